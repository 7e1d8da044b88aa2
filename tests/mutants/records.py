"""All planted faults."""

from __future__ import annotations

from around import AROUND
from learning import LEARNING
from main_job import MAIN_JOB
from model_streams import MODEL_STREAMS
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE
MUTANTS = [
    *RECURRENCE, *AROUND, *THREADS, *OPTIMIZERS, *MAIN_JOB, *LEARNING, *TORCH_MODULES, *SESSIONS, *ROWS, *MODEL_STREAMS,
    *TIMING, *TRAINING, *SEQUENCE_MODELS,
]  # fmt: skip
