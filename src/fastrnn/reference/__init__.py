"""Recurrent networks in plain NumPy, in the equations' own shape: what the engine must compute, and a text to read.

The classes have the constructors and methods of the engine's layers, and need nothing but NumPy. A good order to read
them in: `activations`, `cells` and `minimal` (one time step of each cell, forward and backward), `sequence` (the loop
over time), `layers` (directions and stacks), `dropout`, then `dense` and `losses`.
"""

from fastrnn.reference import losses
from fastrnn.reference.dense import Dense, Embedding
from fastrnn.reference.layers import GRU, LSTM, RNN, MinGRU, MinLSTM

__all__ = ["GRU", "LSTM", "RNN", "Dense", "Embedding", "MinGRU", "MinLSTM", "losses"]
