"""One time step of every cell, forward and backward.

A step starts from ``a`` [N, G·H] = W x_t + b_ih, the input's share of the G gates (see
`fastrnn.reference.sequence`), and from the state before the step: h [N, H], and c [N, H] for an LSTM. ``U`` [G·H, H] is
``weight_hh`` and ``b`` [G·H] is ``bias_hh``; gates are stacked in torch's order. Rows of a batch are rows of a matrix,
so the column equation ``U h`` reads ``h @ U.T`` here.

``step_forward`` returns the new state and what the step keeps for its twin, as {name: [N, H]}.
``step_backward`` takes dL/d(new state), total, and returns dL/da, dL/d(previous state), dL/dU and dL/db.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kept = dict[str, Array]
State = tuple[Array, ...]
Gradients = tuple[Array, State, Array, Array]


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), written so that exp never overflows."""
    e = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, e, np.ones_like(e)) / (1 + e)
    return result


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    result: Array = np.maximum(x, 0)
    return result


def linear(x: Array) -> Array:
    """Return x."""
    return x


# f and its derivative written in terms of h = f(x), which is what the step has kept.
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h**2),
    "relu": (relu, lambda h: (h > 0).astype(h.dtype)),
    "sigmoid": (sigmoid, lambda h: h * (1 - h)),
    "linear": (linear, np.ones_like),
}


class RNNCell:
    """The simple recurrent network of Elman (1990); torch.nn.RNN, the ONNX operator RNN.

    h' = f(W x + b_ih + U h + b_hh), f one of tanh, relu, sigmoid and linear
    """

    gates = 1
    states = ("h",)
    shown = ("h",)
    kept = ("h",)

    def __init__(self, nonlinearity: str) -> None:
        self.nonlinearity = nonlinearity

    def step_forward(self, a: Array, state: State, U: Array, b: Array) -> tuple[State, Kept]:
        (h,) = state
        f, _ = NONLINEARITIES[self.nonlinearity]
        h_new = f(a + h @ U.T + b)
        return (h_new,), {"h": h_new}

    def step_backward(self, dstate: State, kept: Kept, state: State, U: Array) -> Gradients:
        (h,), (dh_new,) = state, dstate
        _, derivative = NONLINEARITIES[self.nonlinearity]
        da = dh_new * derivative(kept["h"])
        dh = da @ U
        return da, (dh,), da.T @ h, da.sum(axis=0)


class LSTMCell:
    """Long short-term memory: the cell, input and output gates of Hochreiter and Schmidhuber (1997), the forget gate of
    Gers, Schmidhuber and Cummins (2000), no peepholes; torch.nn.LSTM, the ONNX operator LSTM without its input P.

    i, f, o = sigmoid(W x + b_ih + U h + b_hh), each with its own rows of W, U, b
    g = tanh(W x + b_ih + U h + b_hh)
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ tanh(c')

    Rows in torch's order i, f, g, o (ONNX has i, o, f, c, and calls g "c").
    """

    gates = 4
    states = ("h", "c")
    shown = ("i", "f", "g", "o", "c", "h")
    kept = ("i", "f", "g", "o", "c", "h")

    def step_forward(self, a: Array, state: State, U: Array, b: Array) -> tuple[State, Kept]:
        h, c = state
        i, f, g, o = np.split(a + h @ U.T + b, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        h_new = o * np.tanh(c_new)
        return (h_new, c_new), {"i": i, "f": f, "g": g, "o": o, "c": c_new, "h": h_new}

    def step_backward(self, dstate: State, kept: Kept, state: State, U: Array) -> Gradients:
        (h, c), (dh_new, dc_new) = state, dstate
        i, f, g, o = (kept[name] for name in "ifgo")
        tanh_c = np.tanh(kept["c"])
        # h' = o ⊙ tanh(c')
        do = dh_new * tanh_c
        dc_new = dc_new + dh_new * o * (1 - tanh_c**2)
        # c' = f ⊙ c + i ⊙ g
        df, di, dg = dc_new * c, dc_new * g, dc_new * i
        dc = dc_new * f
        # through sigmoid and tanh to the sums W x + b_ih + U h + b_hh
        da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)], axis=1)
        dh = da @ U
        return da, (dh, dc), da.T @ h, da.sum(axis=0)


class GRUCell:
    """The gated recurrent unit of Cho et al. (2014), reset gate after the recurrent product; torch.nn.GRU, the ONNX
    operator GRU with linear_before_reset = 1.

    r, z = sigmoid(W x + b_ih + U h + b_hh), each with its own rows of W, U, b
    n = tanh(W x + b_ih + r ⊙ m), m = U h + b_hh
    h' = (1 - z) ⊙ n + z ⊙ h

    Rows in torch's order r, z, n (ONNX has z, r, h, and calls n "h").
    """

    gates = 3
    states = ("h",)
    shown = ("r", "z", "n", "h")
    kept = ("r", "z", "n", "h", "m")

    def step_forward(self, a: Array, state: State, U: Array, b: Array) -> tuple[State, Kept]:
        (h,) = state
        a_r, a_z, a_n = np.split(a, 3, axis=1)
        u_r, u_z, m = np.split(h @ U.T + b, 3, axis=1)
        r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
        n = np.tanh(a_n + r * m)
        h_new = (1 - z) * n + z * h
        return (h_new,), {"r": r, "z": z, "n": n, "h": h_new, "m": m}

    def step_backward(self, dstate: State, kept: Kept, state: State, U: Array) -> Gradients:
        (h,), (dh_new,) = state, dstate
        r, z, n, m = (kept[name] for name in "rznm")
        # h' = (1 - z) ⊙ n + z ⊙ h
        dz, dn, dh = dh_new * (h - n), dh_new * (1 - z), dh_new * z
        # n = tanh(W x + b_ih + r ⊙ m)
        da_n = dn * (1 - n**2)
        dr, dm = da_n * m, da_n * r
        # through the sigmoids; the candidate's rows differ on the two sides of the reset gate
        da_r, da_z = dr * r * (1 - r), dz * z * (1 - z)
        da = np.concatenate([da_r, da_z, da_n], axis=1)
        du = np.concatenate([da_r, da_z, dm], axis=1)
        dh = dh + du @ U
        return da, (dh,), du.T @ h, du.sum(axis=0)


class GRUResetBeforeCell:
    """The gated recurrent unit of Cho et al. (2014), reset gate before the recurrent product, as in the paper's own
    equations; the ONNX operator GRU with linear_before_reset = 0, its default.

    r, z = sigmoid(W x + b_ih + U h + b_hh), each with its own rows of W, U, b
    n = tanh(W x + b_ih + U (r ⊙ h) + b_hh)
    h' = (1 - z) ⊙ n + z ⊙ h
    """

    gates = 3
    states = ("h",)
    shown = ("r", "z", "n", "h")
    kept = ("r", "z", "n", "h")

    def step_forward(self, a: Array, state: State, U: Array, b: Array) -> tuple[State, Kept]:
        (h,) = state
        U_r, U_z, U_n = np.split(U, 3)
        a_r, a_z, a_n = np.split(a + b, 3, axis=1)
        r, z = sigmoid(a_r + h @ U_r.T), sigmoid(a_z + h @ U_z.T)
        n = np.tanh(a_n + (r * h) @ U_n.T)
        h_new = (1 - z) * n + z * h
        return (h_new,), {"r": r, "z": z, "n": n, "h": h_new}

    def step_backward(self, dstate: State, kept: Kept, state: State, U: Array) -> Gradients:
        (h,), (dh_new,) = state, dstate
        r, z, n = (kept[name] for name in "rzn")
        U_r, U_z, U_n = np.split(U, 3)
        # h' = (1 - z) ⊙ n + z ⊙ h
        dz, dn, dh = dh_new * (h - n), dh_new * (1 - z), dh_new * z
        # n = tanh(W x + b_ih + U (r ⊙ h) + b_hh)
        da_n = dn * (1 - n**2)
        drh = da_n @ U_n
        dr, dh = drh * h, dh + drh * r
        # through the sigmoids
        da_r, da_z = dr * r * (1 - r), dz * z * (1 - z)
        dh = dh + da_r @ U_r + da_z @ U_z
        da = np.concatenate([da_r, da_z, da_n], axis=1)
        dU = np.concatenate([da_r.T @ h, da_z.T @ h, da_n.T @ (r * h)])
        return da, (dh,), dU, da.sum(axis=0)


Cell = RNNCell | LSTMCell | GRUCell | GRUResetBeforeCell
