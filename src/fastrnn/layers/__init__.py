"""Layers: thin Python over the engine."""

from fastrnn.layers.recurrent import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN"]
