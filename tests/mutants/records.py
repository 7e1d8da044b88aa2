"""All planted faults."""

from __future__ import annotations

from around import AROUND
from keras_onnx import KERAS_AND_ONNX
from main_job import MAIN_JOB
from optimizers import OPTIMIZERS
from recurrence import RECURRENCE
from threads import THREADS
from traits import TRAITS

MUTANTS = [*RECURRENCE, *AROUND, *THREADS, *OPTIMIZERS, *MAIN_JOB, *TRAITS, *KERAS_AND_ONNX]
