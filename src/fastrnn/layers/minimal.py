"""MinGRU and MinLSTM: layers whose gates read the input alone."""

from __future__ import annotations

from fastrnn.layers._cells import MinGRUBase, MinLSTMBase
from fastrnn.layers.recurrent import Recurrent


class MinGRU(MinGRUBase, Recurrent):
    """The minimal gated recurrent unit (Feng, Tung, Ahmed, Bengio and Hajimirsadeghi 2024, arXiv 2410.01201).

    z = sigmoid(W x + b), n = g(W x + b), each with its own rows of W and b, in this order; h = (1 - z) h' + z n. This
    is the paper's plain form, g linear; its log-space variant has another g, which keeps h positive.

    No weight is recurrent, so that only products of input and elementwise steps are left: there is no `weight_hh` and
    no `bias_hh`, and a step sees the past through h' alone. Stacks and both directions make up for that.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H. `weight_ih_l0` is (2·H, I), `bias_ih_l0` (2·H,).
    num_layers : int
        Layers in the stack, each reading the outputs of the one below.
    nonlinearity : activation
        g, one of those that `LSTM` lists; "linear" by default.
    bidirectional, batch_first, bias, dropout, dtype, seed, sparse_grad, init
        As of `LSTM`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came; `proj_size` and `weight_dropout` must be 0.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> layer = fastrnn.MinGRU(3, 5, num_layers=2, seed=0)
    >>> y, h, tape = layer.forward(np.ones((2, 4, 3), "float32"))
    >>> dx, dh, grads = layer.backward(tape, dy=np.ones_like(y))
    >>> y.shape, list(grads)
    ((2, 4, 5), ['weight_ih_l0', 'bias_ih_l0', 'weight_ih_l1', 'bias_ih_l1'])
    """

    _gate_names = ("z", "n", "h")
    _number = 4


class MinLSTM(MinLSTMBase, Recurrent):
    """The minimal long short-term memory (Feng, Tung, Ahmed, Bengio and Hajimirsadeghi 2024, arXiv 2410.01201).

    f, i = sigmoid(W x + b), n = g(W x + b), each with its own rows of W and b, in this order;
    h = f / (f + i) h' + i / (f + i) n, the paper's plain form with normalized gates, g linear. There is no c: the state
    is h alone.

    What f / (f + i) tends to where both gates vanish is computed so: no input makes it 0 / 0.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H. `weight_ih_l0` is (3·H, I), `bias_ih_l0` (3·H,).
    num_layers : int
        Layers in the stack, each reading the outputs of the one below.
    nonlinearity : activation
        g, one of those that `LSTM` lists; "linear" by default.
    bidirectional, batch_first, bias, dropout, dtype, seed, sparse_grad, init
        As of `LSTM`; by default the forget gate's bias starts from 1 here too.

    Raises
    ------
    TypeError, ValueError
        As of `MinGRU`.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> layer = fastrnn.MinLSTM(10, 5, bidirectional=True, seed=0)
    >>> y, h = layer(np.array([[1, 2, 3], [4, 0, 0]]), lengths=[3, 1])
    >>> y.shape, h.shape
    ((2, 3, 10), (2, 2, 5))
    """

    _gate_names = ("f", "i", "n", "h")
    _number = 5
