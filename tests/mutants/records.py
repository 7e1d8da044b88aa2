"""All planted faults."""

from __future__ import annotations

from around import AROUND
from keras_onnx import KERAS_AND_ONNX
from learning import LEARNING
from low_precision import LOW_PRECISION
from main_job import MAIN_JOB
from memory import MEMORY
from minimal import MINIMAL
from model_streams import MODEL_STREAMS
from normalization import NORMALIZATION
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE
from rows import ROWS
from sequence_models import SEQUENCE_MODELS
from sessions import SESSIONS
from slices import SLICES
from threads import THREADS
from timing import TIMING
from torch_modules import TORCH_MODULES
from training import TRAINING
from traits import TRAITS
from variational import VARIATIONAL

MUTANTS = [
    *RECURRENCE, *AROUND, *THREADS, *OPTIMIZERS, *MAIN_JOB, *KERAS_AND_ONNX, *LEARNING, *LOW_PRECISION, *MEMORY,
    *MINIMAL, *MODEL_STREAMS, *NORMALIZATION, *ROWS, *SEQUENCE_MODELS, *SESSIONS, *SLICES, *TIMING, *TORCH_MODULES,
    *TRAINING, *TRAITS, *VARIATIONAL,
]  # fmt: skip
