"""One time step of the cells without recurrent weights, forward and backward: Feng, Tung, Ahmed, Bengio and
Hajimirsadeghi (2024), "Were RNNs All We Needed?", arXiv 2410.01201, in the plain form of its first algorithms.

What a step is given and returns is written at `fastrnn.reference.cells`; the `Weights` have no U and no b_hh, and so
``m`` has nothing to mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._traits import Activation
from fastrnn.reference.activations import Gate
from fastrnn.reference.cells import Cell, Gradients, Kept, State, Weights

Array = NDArray[Any]


class MinGRUCell:
    """The minimal gated recurrent unit.

    z = sigmoid(W x + b_ih), n = g(W x + b_ih), each with its own rows of W, b
    h' = (1 - z) ⊙ h + z ⊙ n

    Rows in the order z, n.
    """

    gates = 2
    normalised = ()
    states = ("h",)
    shown = ("z", "n", "h")
    kept = ("z", "n", "h")

    def __init__(self, activations: tuple[Activation, ...]) -> None:
        self.f, self.g = Gate(activations[0]), Gate(activations[1])

    def step_forward(self, a: Array, state: State, w: Weights, m: Array | None) -> tuple[State, Kept]:
        (h,) = state
        a_z, a_n = np.split(a, 2, axis=1)
        z, n = self.f(a_z), self.g(a_n)
        h_new = (1 - z) * h + z * n
        return (h_new,), {"z": z, "n": n, "h": h_new}

    def step_backward(self, dstate: State, kept: Kept, state: State, w: Weights, m: Array | None) -> Gradients:
        (h,), (dh_new,) = state, dstate
        z, n = kept["z"], kept["n"]
        # h' = (1 - z) ⊙ h + z ⊙ n
        dz, dn, dh = dh_new * (n - h), dh_new * z, dh_new * (1 - z)
        da = np.concatenate([dz * self.f.slope(z), dn * self.g.slope(n)], axis=1)
        return da, (dh,), {}


class MinLSTMCell:
    """The minimal long short-term memory.

    f, i = sigmoid(W x + b_ih), n = g(W x + b_ih), each with its own rows of W, b
    h' = f / (f + i) ⊙ h + i / (f + i) ⊙ n

    Rows in the order f, i, n.
    """

    gates = 3
    normalised = ()
    states = ("h",)
    shown = ("f", "i", "n", "h")
    kept = ("f", "i", "n", "h")

    def __init__(self, activations: tuple[Activation, ...]) -> None:
        self.f, self.g = Gate(activations[0]), Gate(activations[1])

    def step_forward(self, a: Array, state: State, w: Weights, m: Array | None) -> tuple[State, Kept]:
        (h,) = state
        a_f, a_i, a_n = np.split(a, 3, axis=1)
        up = lift(a_f, a_i)
        f, i, n = self.f(a_f + up), self.f(a_i + up), self.g(a_n)
        h_new = f / (f + i) * h + i / (f + i) * n
        return (h_new,), {"f": f, "i": i, "n": n, "h": h_new}

    def step_backward(self, dstate: State, kept: Kept, state: State, w: Weights, m: Array | None) -> Gradients:
        (h,), (dh_new,) = state, dstate
        f, i, n = (kept[name] for name in "fin")
        keep, take = f / (f + i), i / (f + i)
        # h' = keep ⊙ h + take ⊙ n
        dkeep, dtake, dn, dh = dh_new * h, dh_new * n, dh_new * take, dh_new * keep
        # keep + take = 1: what raises the one lowers the other
        df, di = (dkeep - dtake) * take / (f + i), (dtake - dkeep) * keep / (f + i)
        da = np.concatenate([df * self.f.slope(f), di * self.f.slope(i), dn * self.g.slope(n)], axis=1)
        return da, (dh,), {}


def lift(a: Array, b: Array) -> Array:
    """Return what is added to the sums of f and i before their sigmoids, zero but where both are far below zero.

    There sigmoid is exp to the last digit, so that f / (f + i) stays the same, and f + i is never too small for it.
    """
    lowest = -40 if a.dtype == np.float64 else -20
    result: Array = np.maximum(lowest - np.maximum(a, b), 0)
    return result


AnyCell = Cell | MinGRUCell | MinLSTMCell
