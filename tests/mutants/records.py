"""All planted faults."""

from __future__ import annotations

from around import AROUND
from learning import LEARNING
from main_job import MAIN_JOB
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE
from threads import THREADS
from torch_modules import TORCH_MODULES

MUTANTS = [*RECURRENCE, *AROUND, *THREADS, *OPTIMIZERS, *MAIN_JOB, *LEARNING, *TORCH_MODULES]
