"""Layers: thin Python over the engine."""

from fastrnn.layers.dense import Dense
from fastrnn.layers.embedding import Embedding
from fastrnn.layers.minimal import MinGRU, MinLSTM
from fastrnn.layers.quantized import Quantized
from fastrnn.layers.recurrent import GRU, LSTM, RNN
from fastrnn.layers.sparse import SparseRows
from fastrnn.layers.stream import Stream
from fastrnn.layers.tape import Tape

__all__ = ["GRU", "LSTM", "RNN", "Dense", "Embedding", "MinGRU", "MinLSTM", "Quantized", "SparseRows", "Stream", "Tape"]
