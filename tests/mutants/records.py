"""All planted faults."""

from __future__ import annotations

from around import AROUND
from learning import LEARNING
from low_precision import LOW_PRECISION
from main_job import MAIN_JOB
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE
from threads import THREADS

MUTANTS = [*RECURRENCE, *AROUND, *THREADS, *OPTIMIZERS, *MAIN_JOB, *LEARNING, *LOW_PRECISION]
