"""`RNN`, `LSTM`, `GRU` and their cells as torch modules: torch's parameters and autograd, fastrnn's engine.

A training script changes one import:

    from fastrnn import torch as rnn  # rnn.LSTM(...) instead of torch.nn.LSTM(...)
"""

try:
    import torch as _torch  # noqa: F401 - the first to need it, and so the one that says what is missing
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("fastrnn.torch needs PyTorch: pip install 'fastrnn[torch]'") from error

from fastrnn.torch.modules import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]
