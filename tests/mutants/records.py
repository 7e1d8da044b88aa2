"""All planted faults."""

from __future__ import annotations

from around import AROUND
from main_job import MAIN_JOB
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE

MUTANTS = [*RECURRENCE, *AROUND, *OPTIMIZERS, *MAIN_JOB]
