# The engine: one source, compiled once for each instruction set and precision (see setup.py). Read on from here.

import numpy as np

include "declarations.pxi"
include "memory.pxi"
include "pack.pxi"
include "plan.pxi"
include "cells.pxi"
include "rnn.pxi"
include "lstm.pxi"
include "gru.pxi"
include "gru_before.pxi"
include "table.pxi"
include "forward.pxi"
include "gradients.pxi"
include "backward.pxi"
include "dropout.pxi"
include "stack.pxi"
include "softmax.pxi"
include "dense.pxi"
include "embedding.pxi"
include "update.pxi"
include "measure.pxi"
