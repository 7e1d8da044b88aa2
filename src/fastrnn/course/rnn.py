"""The basic recurrent network of the course, forward and backward.

    a⟨t⟩ = tanh(Wax x⟨t⟩ + Waa a⟨t-1⟩ + ba)
    ŷ⟨t⟩ = softmax(Wya a⟨t⟩ + by)

`parameters` is a dict of Wax (n_a, n_x), Waa (n_a, n_a), ba (n_a, 1), Wya (n_y, n_a) and by (n_y, 1). The gradients are
those of a loss J that the caller has differentiated as far as a: the output layer has no part in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn.course._columns import Array, Parameters, column, layer_with, logits, parameter, softmax
from fastrnn.layers import RNN

Cache = tuple[Any, ...]
Gradients = dict[str, Array]


def rnn_cell_forward(xt: Any, a_prev: Any, parameters: Parameters) -> tuple[Array, Array, Cache]:
    """Return one step of the network: a⟨t⟩, ŷ⟨t⟩ and the cache for `rnn_cell_backward`.

    Parameters
    ----------
    xt : array
        x⟨t⟩, (n_x, m).
    a_prev : array
        a⟨t-1⟩, (n_a, m).
    parameters : dict
        Wax, Waa, ba, Wya, by.

    Returns
    -------
    a_next : array
        a⟨t⟩ = tanh(Wax x⟨t⟩ + Waa a⟨t-1⟩ + ba), (n_a, m).
    yt_pred : array
        ŷ⟨t⟩ = softmax(Wya a⟨t⟩ + by), (n_y, m).
    cache : tuple
        (a_next, a_prev, xt, parameters).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import course
    >>> one = np.ones((1, 1))
    >>> parameters = {"Wax": one, "Waa": one, "ba": -one, "Wya": one, "by": one}
    >>> a_next, yt_pred, cache = course.rnn_cell_forward(one, one, parameters)
    >>> bool(np.isclose(a_next[0, 0], np.tanh(1 + 1 - 1))), yt_pred.item()
    (True, 1.0)
    """
    layer, x, a = _checked(xt, a_prev, parameters, "xt", "a_prev", steps=False)
    _, h = layer(x.T[None], a.T[None])
    a_next = h[0].T
    return a_next, softmax(logits(a_next, parameters, "Wya").T), (a_next, a_prev, xt, parameters)


def rnn_forward(x: Any, a0: Any, parameters: Parameters) -> tuple[Array, Array, Cache]:
    """Return the whole network over a sequence: every a⟨t⟩, every ŷ⟨t⟩ and the caches for `rnn_backward`.

    Parameters
    ----------
    x : array
        (n_x, m, T_x).
    a0 : array
        a⟨0⟩, (n_a, m).
    parameters : dict
        Wax, Waa, ba, Wya, by.

    Returns
    -------
    a : array
        (n_a, m, T_x).
    y_pred : array
        (n_y, m, T_x).
    caches : tuple
        (list of every step's cache, x).
    """
    layer, x, a0 = _checked(x, a0, parameters, "x", "a0", steps=True)
    y, _ = layer(x.T, a0.T[None])
    a, states = y.T, [a0, *(step.T for step in y.copy())]
    caches = [(states[t + 1], states[t], x[:, :, t], parameters) for t in range(len(y))]
    return a, softmax(logits(a, parameters, "Wya").T), (caches, x)


def rnn_cell_backward(da_next: Any, cache: Cache) -> Gradients:
    """Return the gradients of one step, from that of its a⟨t⟩.

    With δ = (1 - a⟨t⟩²) ⊙ da⟨t⟩, the gradient of what tanh was taken of:
    dxt = Waxᵀ δ, da_prev = Waaᵀ δ, dWax = δ x⟨t⟩ᵀ, dWaa = δ a⟨t-1⟩ᵀ, dba = Σ δ over the examples.

    Parameters
    ----------
    da_next : array
        da⟨t⟩ = ∂J/∂a⟨t⟩, (n_a, m).
    cache : tuple
        Of `rnn_cell_forward`.

    Returns
    -------
    dict
        dxt (n_x, m), da_prev (n_a, m), dWax (n_a, n_x), dWaa (n_a, n_a), dba (n_a, 1).
    """
    a_next, a_prev, xt, parameters = cache
    a_next = column(a_next, "a_next", None, None)
    da_next = column(da_next, "da_next", *a_next.shape)
    xt = column(xt, "xt", None, None)
    dx, da_prev, gradients = gradients_of(
        xt[..., None], a_prev, a_next[..., None], da_next[..., None], None, parameters
    )
    return {"dxt": dx[..., 0], "da_prev": da_prev, **gradients}


def rnn_backward(da: Any, caches: Cache) -> Gradients:
    """Return the gradients of the whole network: back-propagation through time.

    Each a⟨t⟩ gets what the loss sends it at its own step, da⟨t⟩, and what the step after it sends back, its da_prev;
    the gradients of the parameters are the sums of those of the steps.

    Parameters
    ----------
    da : array
        What the loss at each step sends to its a⟨t⟩, (n_a, m, T); with T < T_x the first T steps are meant.
    caches : tuple
        Of `rnn_forward`.

    Returns
    -------
    dict
        dx (n_x, m, T), da0 (n_a, m), dWax (n_a, n_x), dWaa (n_a, n_a), dba (n_a, 1).
    """
    steps, x = caches
    a, a0, parameters = np.stack([cache[0] for cache in steps], axis=2), steps[0][1], steps[0][3]
    da = column(da, "da", *a.shape[:2], None)
    T = da.shape[2]
    if T > len(steps):
        raise ValueError(f"da must have at most as many steps as x, {len(steps)}, got {T}")
    dx, da0, gradients = gradients_of(x[:, :, :T], a0, a[:, :, :T], da, None, parameters)
    return {"dx": dx, "da0": da0, **gradients}


def gradients_of(
    x: Array, a0: Any, a: Array, da: Array, da_last: Array | None, parameters: Parameters, bias: str = "ba"
) -> tuple[Array, Array, Gradients]:
    """Return dx, da0 and the gradients of the parameters for steps whose a is known; one call of the engine.

    x (n_x, m, T), a and da (n_a, m, T); da_last (n_a, m) is what comes back from a step after the last.
    """
    layer, x, a0 = _checked(x, a0, parameters, "x", "a0", steps=True, bias=bias)
    tape = layer.forward(x.T, a0.T[None])[2]
    tape.kept[0].h[...] = a.T  # what the cache holds counts, whoever has made it
    dx, dh, grads = layer.backward(tape, da.T, None if da_last is None else da_last.T[None])
    assert dx is not None
    return dx.T, dh[0].T, {
        "dWax": grads["weight_ih_l0"],
        "dWaa": grads["weight_hh_l0"],
        f"d{bias}": grads["bias_ih_l0"][:, None],
    }  # fmt: skip


def rnn_layer(parameters: Parameters, bias: str = "ba") -> RNN:
    """Return a layer with the course's parameters; the hidden bias is called `ba` in one exercise, `b` in the other."""
    Wax = parameter(parameters, "Wax", None, None)
    n_a, n_x = Wax.shape
    Waa, b = parameter(parameters, "Waa", n_a, n_a), parameter(parameters, bias, n_a, 1)
    layer: RNN = layer_with(RNN, n_x, n_a, weight_ih_l0=Wax, weight_hh_l0=Waa, bias_ih_l0=b[:, 0])
    return layer


def _checked(
    x: Any, a: Any, parameters: Parameters, x_name: str, a_name: str, *, steps: bool, bias: str = "ba"
) -> tuple[RNN, Array, Array]:
    """Return the layer, x (n_x, m) or, of `steps`, (n_x, m, T_x), and the state before it (n_a, m)."""
    layer = rnn_layer(parameters, bias)
    x = column(x, x_name, layer.input_size, None, *([None] if steps else []))
    return layer, x, column(a, a_name, layer.hidden_size, x.shape[1])
