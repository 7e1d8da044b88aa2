"""All planted faults."""

from __future__ import annotations

from around import AROUND
from main_job import MAIN_JOB
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE
from sequence_models import SEQUENCE_MODELS
from threads import THREADS
from training import TRAINING

MUTANTS = [*RECURRENCE, *AROUND, *THREADS, *OPTIMIZERS, *MAIN_JOB, *TRAINING, *SEQUENCE_MODELS]
