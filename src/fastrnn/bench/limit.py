"""The least time that a problem can take on this machine, from what was measured on it in the same run.

A call is products with matrices of G·H·H weights (I = H), and activations. A product of some rows takes as long as its
multiply-adds at the peak, or as reading its matrix once at the bandwidth of the cache that holds it, whichever is more.
The input has one product of all N·T rows, the state one of N rows in every step. Training has three more of all rows
(the gradients of the input and of both matrices) and one more in every step. The activations of the gates come on top:
they wait for the products and keep the same units busy. Threads share all of it evenly, each with weights of its own.
"""

from __future__ import annotations

from fastrnn.bench import machine, peers

ACTIVATIONS = {
    "rnn": {"sigmoid": 0, "tanh": 1},
    "lstm": {"sigmoid": 3, "tanh": 2},
    "gru": {"sigmoid": 2, "tanh": 1},
}
PRODUCTS = {"forward": (1, 1), "step": (1, 1), "train": (4, 2)}  # of all rows at once, and in every step


def limit(point: peers.Point, kind: str, peak: float, threads: int = 1) -> float | None:
    """Return the least seconds of a call where a core's peak is so many GFLOP/s; None for kinds that do other work."""
    if kind not in PRODUCTS:
        return None
    cell, H, N, T = point
    weights = peers.GATES[cell] * H * H // threads

    def product(rows: int) -> float:
        return max(2 * weights * rows / peak, 4 * weights / machine.read_rate(4 * weights))

    merged, in_every_step = PRODUCTS[kind]
    activations = sum(count * machine.activation_cost(name) for name, count in ACTIVATIONS[cell].items())
    nanoseconds = merged * product(N * T) + in_every_step * T * product(N) + activations * N * T * H / threads
    return nanoseconds * 1e-9
