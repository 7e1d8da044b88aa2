"""All planted faults."""

from __future__ import annotations

from around import AROUND
from main_job import MAIN_JOB
from memory import MEMORY
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE
from threads import THREADS

MUTANTS = [*RECURRENCE, *AROUND, *THREADS, *OPTIMIZERS, *MAIN_JOB, *MEMORY]
