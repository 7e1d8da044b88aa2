"""The functions of a well-known sequence-models course, by their own names and shapes, computed by the engine.

Its first exercise, "Building your recurrent network step by step", is here; its second, the language model over the
names of dinosaurs, is `fastrnn.course.dinos`, whose `clip`, `optimize` and `sample` are here too. Who has written
these functions can compare theirs with them, number by number, and read in `docs/course.md` how the same is said in
fastrnn's own layers, which are meant for real work.

The letters are the course's: n_x features, m examples, T_x time steps, n_a hidden units, n_y outputs. Arrays have
features first and time last: x (n_x, m, T_x), a (n_a, m, T_x); of one step (n_x, m) and (n_a, m). All is float64.

Examples
--------
>>> import numpy as np
>>> from fastrnn import course
>>> rng = np.random.default_rng(0)
>>> shapes = {"Wax": (5, 3), "Waa": (5, 5), "Wya": (2, 5), "ba": (5, 1), "by": (2, 1)}
>>> parameters = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
>>> x, a0 = rng.standard_normal((3, 10, 4)), np.zeros((5, 10))
>>> a, y_pred, caches = course.rnn_forward(x, a0, parameters)
>>> gradients = course.rnn_backward(np.ones_like(a), caches)
>>> a.shape, y_pred.shape, gradients["dWax"].shape
((5, 10, 4), (2, 10, 4), (5, 3))
"""

from fastrnn.course._columns import sigmoid, softmax
from fastrnn.course.dinos import clip, optimize, sample
from fastrnn.course.lstm import lstm_backward, lstm_cell_backward, lstm_cell_forward, lstm_forward
from fastrnn.course.rnn import rnn_backward, rnn_cell_backward, rnn_cell_forward, rnn_forward

__all__ = [
    "clip", "lstm_backward", "lstm_cell_backward", "lstm_cell_forward", "lstm_forward", "optimize", "rnn_backward",
    "rnn_cell_backward", "rnn_cell_forward", "rnn_forward", "sample", "sigmoid", "softmax",
]  # fmt: skip
