"""Recurrent networks in plain NumPy, in the equations' own shape: what the engine must compute, and a text to read.

The classes have the constructors and methods of the engine's layers, and need nothing but NumPy. A good order to read
them in: `cells` (one time step of each cell, forward and backward), `layers` (the loop over time, directions, stacks),
`dropout`, `dense`, `losses`; then `arguments` and `parameters`, which hold the bookkeeping.
"""

from fastrnn.reference.dense import Dense, Embedding
from fastrnn.reference.layers import GRU, LSTM, RNN
from fastrnn.reference.losses import softmax_cross_entropy, squared_error

__all__ = ["GRU", "LSTM", "RNN", "Dense", "Embedding", "softmax_cross_entropy", "squared_error"]
