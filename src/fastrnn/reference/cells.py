"""One time step of every cell, forward and backward.

A step starts from ``a`` [N, G·H] = W x_t + b_ih, the input's share of the G gates, W x_t normalised where there are
gains (see `fastrnn.reference.sequence`), from the state before the step: h [N, H], and c [N, H] for an LSTM, and from
the `Weights` ``w``; gates are stacked in torch's order. Rows of a batch are rows of a matrix, so the column equation
``U h`` reads ``h @ U.T`` here. ``m`` [N, P] is a mask on h where U reads it (Gal and Ghahramani 2016), or None.

``step_forward`` returns the new state and what the step keeps for its twin, as {name: [N, H]}.
``step_backward`` takes dL/d(new state), total, and returns dL/da, dL/d(previous state), and what the step adds to the
gradients of the weights that it used, by their names in `Weights`.

f, g and h are the cell's activations, by ONNX's names: of the gates (sigmoid, of an RNN tanh), of the candidate (tanh)
and of the cell (tanh), where a layer asks for no others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._traits import Activation
from fastrnn.reference.activations import Gate
from fastrnn.reference.dropout import masked
from fastrnn.reference.norm import centred, norm_backward, scaled

Array = NDArray[Any]
Kept = dict[str, Array]
State = tuple[Array, ...]
Gradients = tuple[Array, State, dict[str, Array]]


class Weights(NamedTuple):
    """The parameters of one direction: weight_ih [G·H, I], weight_hh [G·H, H], bias_ih [G·H], bias_hh [G·H]; of an LSTM
    also weight_hr [P, H], with which weight_hh is [G·H, P], and the peepholes of i, f and o, [3·H], or None; the gains
    by which W x and U h, [G·H], and an LSTM's c, [H], are normalised, and the bias of the last, or None. U and b_hh are
    None where no weight is recurrent (`fastrnn.reference.minimal`)."""

    W: Array
    U: Array
    b_ih: Array
    b_hh: Array
    R: Array | None = None
    p: Array | None = None
    s_ih: Array | None = None
    s_hh: Array | None = None
    s_c: Array | None = None
    b_c: Array | None = None


def product_with_state(h: Array, w: Weights, groups: tuple[int, ...]) -> tuple[Array, Kept]:
    """Return U h, normalised where there are gains, and then what its gradient needs."""
    u = h @ w.U.T
    if w.s_hh is None:
        return u, {}
    u = centred(u, groups)
    return w.s_hh * scaled(u, groups), {"u": u}


def gradients_of_product_with_state(
    du: Array, kept: Kept, h: Array, w: Weights, groups: tuple[int, ...]
) -> tuple[Array, dict[str, Array]]:
    """Return dL/dh, and the gradients of U and its gains, from that of what `product_with_state` returned."""
    gradients = {}
    if w.s_hh is not None:
        du, gradients["s_hh"] = norm_backward(du, kept["u"], w.s_hh, groups)
    return du @ w.U, {"U": du.T @ h, **gradients}


class RNNCell:
    """The simple recurrent network of Elman (1990); torch.nn.RNN, the ONNX operator RNN.

    h' = f(W x + b_ih + U h + b_hh)
    """

    gates = 1
    normalised = ()
    states = ("h",)
    shown = ("h",)
    kept = ("h",)

    def __init__(self, activations: tuple[Activation, ...], clip: float | None) -> None:
        self.f = Gate(activations[0], clip)

    def step_forward(self, a: Array, state: State, w: Weights, m: Array | None) -> tuple[State, Kept]:
        (h,) = state
        h_new = self.f(a + masked(h, m) @ w.U.T + w.b_hh)
        return (h_new,), {"h": h_new}

    def step_backward(self, dstate: State, kept: Kept, state: State, w: Weights, m: Array | None) -> Gradients:
        (h,), (dh_new,) = state, dstate
        da = dh_new * self.f.slope(kept["h"])
        dh = masked(da @ w.U, m)
        return da, (dh,), {"U": da.T @ masked(h, m), "b_hh": da.sum(axis=0)}


class LSTMCell:
    """Long short-term memory: the cell, input and output gates of Hochreiter and Schmidhuber (1997), the forget gate of
    Gers, Schmidhuber and Cummins (2000); torch.nn.LSTM, the ONNX operator LSTM.

    i, f, o = f(W x + b_ih + U h + b_hh), each with its own rows of W, U, b
    g = g(W x + b_ih + U h + b_hh)
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ h(c')

    Rows in torch's order i, f, g, o (ONNX has i, o, f, c, and calls g "c").

    With peepholes (Gers and Schmidhuber 2000; ONNX's input P) p_i ⊙ c and p_f ⊙ c join the sums of i and f, and
    p_o ⊙ c' that of o. `coupled` sets f = 1 - i (Greff et al. 2017; ONNX's input_forget). With a projection
    h' = R (o ⊙ h(c')) (Sak, Senior and Beaufays 2014; torch's proj_size).

    With layer normalization (Ba, Kiros and Hinton 2016, equations 20 to 22) the sums are LN(W x; s_ih) + b_ih +
    LN(U h; s_hh) + b_hh, each over all gates together, and h' = o ⊙ h(LN(c'; s_c) + b_c).
    """

    gates = 4
    normalised = (4,)
    states = ("h", "c")
    shown = ("i", "f", "g", "o", "c", "h")
    kept = ("i", "f", "g", "o", "c", "h")

    def __init__(self, activations: tuple[Activation, ...], clip: float | None, coupled: bool) -> None:
        self.f, self.g = Gate(activations[0], clip), Gate(activations[1], clip)
        self.h = Gate(activations[2])
        self.coupled = coupled

    def step_forward(self, a: Array, state: State, w: Weights, m: Array | None) -> tuple[State, Kept]:
        h, c = state
        u, normed = product_with_state(masked(h, m), w, self.normalised)
        i, f, g, o = np.split(a + u + w.b_hh, 4, axis=1)
        p_i, p_f, p_o = np.zeros((3, 1), a.dtype) if w.p is None else np.split(w.p, 3)
        i, g = self.f(i + p_i * c), self.g(g)
        f = 1 - i if self.coupled else self.f(f + p_f * c)
        c_new = f * c + i * g
        o = self.f(o + p_o * c_new)
        h_new = o * self.h(self._normalised_cell(c_new, w))
        if w.R is not None:
            h_new = h_new @ w.R.T
        return (h_new, c_new), {"i": i, "f": f, "g": g, "o": o, "c": c_new, "h": h_new, **normed}

    def _normalised_cell(self, c: Array, w: Weights) -> Array:
        return c if w.s_c is None else w.s_c * scaled(centred(c, (1,)), (1,)) + w.b_c

    def step_backward(self, dstate: State, kept: Kept, state: State, w: Weights, m: Array | None) -> Gradients:
        (h, c), (dh_new, dc_new) = state, dstate
        i, f, g, o, c_new = (kept[name] for name in "ifgoc")
        p_i, p_f, p_o = np.zeros((3, 1), h.dtype) if w.p is None else np.split(w.p, 3)
        gradients = {}
        squashed = self.h(self._normalised_cell(c_new, w))
        # h' = R (o ⊙ h(c'))
        if w.R is not None:
            gradients["R"] = dh_new.T @ (o * squashed)
            dh_new = dh_new @ w.R
        # o ⊙ h(c'), o = f(... + p_o ⊙ c')
        da_o = dh_new * squashed * self.f.slope(o)
        dc_h = dh_new * o * self.h.slope(squashed)
        if w.s_c is not None:
            gradients["b_c"] = dc_h.sum(axis=0)
            dc_h, gradients["s_c"] = norm_backward(dc_h, centred(c_new, (1,)), w.s_c, (1,))
        dc_new = dc_new + dc_h + da_o * p_o
        # c' = f ⊙ c + i ⊙ g
        df, di, dg = dc_new * c, dc_new * g, dc_new * i
        if self.coupled:
            di, df = di - df, np.zeros_like(df)
        # through the activations to the sums W x + b_ih + U h + b_hh + p ⊙ c
        da_i, da_f, da_g = di * self.f.slope(i), df * self.f.slope(f), dg * self.g.slope(g)
        dc = dc_new * f + da_i * p_i + da_f * p_f
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        dh, products = gradients_of_product_with_state(da, kept, masked(h, m), w, self.normalised)
        dh = masked(dh, m)
        gradients |= {**products, "b_hh": da.sum(axis=0)}
        if w.p is not None:
            gradients["p"] = np.concatenate([da_i * c, da_f * c, da_o * c_new], axis=1).sum(axis=0)
        return da, (dh, dc), gradients


class GRUCell:
    """The gated recurrent unit of Cho et al. (2014), reset gate after the recurrent product; torch.nn.GRU, the ONNX
    operator GRU with linear_before_reset = 1.

    r, z = f(W x + b_ih + U h + b_hh), each with its own rows of W, U, b
    n = g(W x + b_ih + r ⊙ u_n), u_n = U h + b_hh
    h' = (1 - z) ⊙ n + z ⊙ h

    Rows in torch's order r, z, n (ONNX has z, r, h, and calls n "h").

    With layer normalization (Ba, Kiros and Hinton 2016, supplement) W x and U h become LN(W x; s_ih) and LN(U h; s_hh),
    r and z together and n by itself.
    """

    gates = 3
    normalised = (2, 1)
    states = ("h",)
    shown = ("r", "z", "n", "h")
    kept = ("r", "z", "n", "h", "u_n")

    def __init__(self, activations: tuple[Activation, ...], clip: float | None) -> None:
        self.f, self.g = Gate(activations[0], clip), Gate(activations[1], clip)

    def step_forward(self, a: Array, state: State, w: Weights, m: Array | None) -> tuple[State, Kept]:
        (h,) = state
        a_r, a_z, a_n = np.split(a, 3, axis=1)
        u, normed = product_with_state(masked(h, m), w, self.normalised)
        u_r, u_z, u_n = np.split(u + w.b_hh, 3, axis=1)
        r, z = self.f(a_r + u_r), self.f(a_z + u_z)
        n = self.g(a_n + r * u_n)
        h_new = (1 - z) * n + z * h
        return (h_new,), {"r": r, "z": z, "n": n, "h": h_new, "u_n": u_n, **normed}

    def step_backward(self, dstate: State, kept: Kept, state: State, w: Weights, m: Array | None) -> Gradients:
        (h,), (dh_new,) = state, dstate
        r, z, n, u_n = (kept[name] for name in self.kept if name != "h")
        # h' = (1 - z) ⊙ n + z ⊙ h
        dz, dn, dh = dh_new * (h - n), dh_new * (1 - z), dh_new * z
        # n = g(W x + b_ih + r ⊙ u_n)
        da_n = dn * self.g.slope(n)
        dr, du_n = da_n * u_n, da_n * r
        # through the gates; the candidate's rows differ on the two sides of the reset gate
        da_r, da_z = dr * self.f.slope(r), dz * self.f.slope(z)
        da = np.concatenate([da_r, da_z, da_n], axis=1)
        du = np.concatenate([da_r, da_z, du_n], axis=1)
        dh_u, products = gradients_of_product_with_state(du, kept, masked(h, m), w, self.normalised)
        return da, (dh + masked(dh_u, m),), {**products, "b_hh": du.sum(axis=0)}


class GRUResetBeforeCell:
    """The gated recurrent unit of Cho et al. (2014), reset gate before the recurrent product, as in the paper's own
    equations; the ONNX operator GRU with linear_before_reset = 0, its default.

    r, z = f(W x + b_ih + U h + b_hh), each with its own rows of W, U, b
    n = g(W x + b_ih + U (r ⊙ h) + b_hh)
    h' = (1 - z) ⊙ n + z ⊙ h
    """

    gates = 3
    normalised = ()
    states = ("h",)
    shown = ("r", "z", "n", "h")
    kept = ("r", "z", "n", "h")

    def __init__(self, activations: tuple[Activation, ...], clip: float | None) -> None:
        self.f, self.g = Gate(activations[0], clip), Gate(activations[1], clip)

    def step_forward(self, a: Array, state: State, w: Weights, m: Array | None) -> tuple[State, Kept]:
        (h,) = state
        U_r, U_z, U_n = np.split(w.U, 3)
        a_r, a_z, a_n = np.split(a + w.b_hh, 3, axis=1)
        seen = masked(h, m)
        r, z = self.f(a_r + seen @ U_r.T), self.f(a_z + seen @ U_z.T)
        n = self.g(a_n + (r * seen) @ U_n.T)
        h_new = (1 - z) * n + z * h
        return (h_new,), {"r": r, "z": z, "n": n, "h": h_new}

    def step_backward(self, dstate: State, kept: Kept, state: State, w: Weights, m: Array | None) -> Gradients:
        (h,), (dh_new,) = state, dstate
        r, z, n = (kept[name] for name in "rzn")
        U_r, U_z, U_n = np.split(w.U, 3)
        seen = masked(h, m)
        # h' = (1 - z) ⊙ n + z ⊙ h
        dz, dn, dh = dh_new * (h - n), dh_new * (1 - z), dh_new * z
        # n = g(W x + b_ih + U (r ⊙ h) + b_hh)
        da_n = dn * self.g.slope(n)
        drh = da_n @ U_n
        dr, dseen = drh * seen, drh * r
        # through the gates
        da_r, da_z = dr * self.f.slope(r), dz * self.f.slope(z)
        dh = dh + masked(dseen + da_r @ U_r + da_z @ U_z, m)
        da = np.concatenate([da_r, da_z, da_n], axis=1)
        dU = np.concatenate([da_r.T @ seen, da_z.T @ seen, da_n.T @ (r * seen)])
        return da, (dh,), {"U": dU, "b_hh": da.sum(axis=0)}


Cell = RNNCell | LSTMCell | GRUCell | GRUResetBeforeCell
