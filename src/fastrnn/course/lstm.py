"""Long short-term memory as the course has it, forward and backward.

    u⟨t⟩  = [a⟨t-1⟩; x⟨t⟩]                      the one below the other, (n_a + n_x, m)
    Γf⟨t⟩ = σ(Wf u⟨t⟩ + bf)                     forget gate, `ft` in the code
    Γi⟨t⟩ = σ(Wi u⟨t⟩ + bi)                     update gate, `it` (Γu in the lectures)
    c̃⟨t⟩  = tanh(Wc u⟨t⟩ + bc)                  candidate, `cct`
    Γo⟨t⟩ = σ(Wo u⟨t⟩ + bo)                     output gate, `ot`
    c⟨t⟩  = Γf⟨t⟩ ⊙ c⟨t-1⟩ + Γi⟨t⟩ ⊙ c̃⟨t⟩
    a⟨t⟩  = Γo⟨t⟩ ⊙ tanh(c⟨t⟩)
    ŷ⟨t⟩  = softmax(Wy a⟨t⟩ + by)

`parameters` is a dict of Wf, Wi, Wc, Wo (n_a, n_a + n_x), bf, bi, bc, bo (n_a, 1), Wy (n_y, n_a) and by (n_y, 1). The
gradients are those of a loss J that the caller has differentiated as far as a: the output layer has no part in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn.course._columns import Array, Parameters, column, layer_with, logits, parameter, softmax
from fastrnn.course.rnn import Cache, Gradients
from fastrnn.layers import LSTM

GATES = "ifco"  # the course's letters in the order in which the engine stacks the gates, i f g o
CACHED = "figo"  # the engine's letters in the order of a cache: ft, it, cct, ot


def lstm_cell_forward(xt: Any, a_prev: Any, c_prev: Any, parameters: Parameters) -> tuple[Array, Array, Array, Cache]:
    """Return one step of the network: a⟨t⟩, c⟨t⟩, ŷ⟨t⟩ and the cache for `lstm_cell_backward`.

    Parameters
    ----------
    xt : array
        x⟨t⟩, (n_x, m).
    a_prev, c_prev : array
        a⟨t-1⟩ and c⟨t-1⟩, (n_a, m).
    parameters : dict
        Wf, bf, Wi, bi, Wc, bc, Wo, bo, Wy, by.

    Returns
    -------
    a_next, c_next : array
        a⟨t⟩ and c⟨t⟩, (n_a, m).
    yt_pred : array
        ŷ⟨t⟩, (n_y, m).
    cache : tuple
        (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    layer = _lstm_layer(parameters)
    xt = column(xt, "xt", layer.input_size, None)
    states = [(a_prev, "a_prev"), (c_prev, "c_prev")]
    a_prev, c_prev = (column(state, name, layer.hidden_size, xt.shape[1]) for state, name in states)
    a, c, (cache,) = _run(layer, xt[..., None], a_prev, c_prev, parameters)
    a_next, c_next = a[..., 0], c[..., 0]
    return a_next, c_next, softmax(logits(a_next, parameters, "Wy").T), cache


def lstm_forward(x: Any, a0: Any, parameters: Parameters) -> tuple[Array, Array, Array, Cache]:
    """Return the whole network over a sequence, from a⟨0⟩ = a0 and c⟨0⟩ = 0.

    Parameters
    ----------
    x : array
        (n_x, m, T_x).
    a0 : array
        (n_a, m).
    parameters : dict
        Wf, bf, Wi, bi, Wc, bc, Wo, bo, Wy, by.

    Returns
    -------
    a : array
        Every a⟨t⟩, (n_a, m, T_x).
    y : array
        Every ŷ⟨t⟩, (n_y, m, T_x).
    c : array
        Every c⟨t⟩, (n_a, m, T_x).
    caches : tuple
        (list of every step's cache, x).
    """
    layer = _lstm_layer(parameters)
    x = column(x, "x", layer.input_size, None, None)
    a0 = column(a0, "a0", layer.hidden_size, x.shape[1])
    a, c, caches = _run(layer, x, a0, np.zeros_like(a0), parameters)
    return a, softmax(logits(a, parameters, "Wy").T), c, (caches, x)


def lstm_cell_backward(da_next: Any, dc_next: Any, cache: Cache) -> Gradients:
    """Return the gradients of one step, from those of its a⟨t⟩ and c⟨t⟩.

    With s = dc⟨t⟩ + da⟨t⟩ ⊙ Γo ⊙ (1 - tanh²(c⟨t⟩)), all that reaches c⟨t⟩, the gradients of what each gate's σ or tanh
    was taken of are

        δf = s ⊙ c⟨t-1⟩ ⊙ Γf (1 - Γf)    δi = s ⊙ c̃ ⊙ Γi (1 - Γi)
        δc = s ⊙ Γi ⊙ (1 - c̃²)           δo = da⟨t⟩ ⊙ tanh(c⟨t⟩) ⊙ Γo (1 - Γo)

    and, for each of the four, dW = δ uᵀ and db = Σ δ over the examples; Σ Wᵀ δ over the four is the gradient of u, its
    first n_a rows da_prev, the others dxt; dc_prev = s ⊙ Γf.

    Parameters
    ----------
    da_next, dc_next : array
        ∂J/∂a⟨t⟩, and what reaches c⟨t⟩ otherwise than through a⟨t⟩, (n_a, m).
    cache : tuple
        Of `lstm_cell_forward`.

    Returns
    -------
    dict
        dxt (n_x, m), da_prev and dc_prev (n_a, m), dWf, dWi, dWc, dWo (n_a, n_a + n_x), dbf, dbi, dbc, dbo (n_a, 1).
    """
    shape = column(cache[0], "a_next", None, None).shape
    da_next, dc_next = column(da_next, "da_next", *shape), column(dc_next, "dc_next", *shape)
    dx, da_prev, dc_prev, gradients = _gradients([cache], da_next[..., None], dc_next)
    return {"dxt": dx[..., 0], "da_prev": da_prev, "dc_prev": dc_prev, **gradients}


def lstm_backward(da: Any, caches: Cache) -> Gradients:
    """Return the gradients of the whole network: back-propagation through time.

    Each a⟨t⟩ gets what the loss sends it at its own step, da⟨t⟩, and what the step after it sends back, its da_prev;
    c⟨t⟩ gets that step's dc_prev; the gradients of the parameters are the sums of those of the steps.

    Parameters
    ----------
    da : array
        What the loss at each step sends to its a⟨t⟩, (n_a, m, T); with T < T_x the first T steps are meant.
    caches : tuple
        Of `lstm_forward`.

    Returns
    -------
    dict
        dx (n_x, m, T), da0 (n_a, m), dWf, dWi, dWc, dWo (n_a, n_a + n_x), dbf, dbi, dbc, dbo (n_a, 1).
    """
    steps, _ = caches
    da = column(da, "da", *column(steps[0][0], "a_next", None, None).shape, None)
    T = da.shape[2]
    if T > len(steps):
        raise ValueError(f"da must have at most as many steps as x, {len(steps)}, got {T}")
    dx, da0, _, gradients = _gradients(steps[:T], da, None)
    return {"dx": dx, "da0": da0, **gradients}


def _run(layer: LSTM, x: Array, a0: Array, c0: Array, parameters: Parameters) -> tuple[Array, Array, list[Cache]]:
    """Return a and c (n_a, m, T_x) and every step's cache, from one call of the engine: its tape shows the gates."""
    _, _, tape = layer.forward(x.T, (a0.T[None], c0.T[None]))
    (gates,) = tape.gates()
    steps = {name: [step.T for step in gate] for name, gate in gates.items()}
    a, c = [a0, *steps["h"]], [c0, *steps["c"]]
    caches = [
        (a[t + 1], c[t + 1], a[t], c[t], *(steps[name][t] for name in CACHED), x[:, :, t], parameters)
        for t in range(x.shape[2])
    ]
    return gates["h"].T.copy(), gates["c"].T.copy(), caches


def _gradients(caches: list[Cache], da: Array, dc_last: Array | None) -> tuple[Array, Array, Array, Gradients]:
    """Return dx, da0, dc0 and the gradients of the parameters for steps whose gates are known, da (n_a, m, T)."""
    layer = _lstm_layer(caches[0][-1])
    a, c, _, _, *gates, x = (np.stack([cache[k] for cache in caches], axis=2) for k in range(9))
    a0, c0 = caches[0][2:4]
    tape = layer.forward(x.T, (np.asarray(a0).T[None], np.asarray(c0).T[None]))[2]
    kept = tape.kept[0]  # what the caches hold counts, whoever has made them
    kept.h[...], kept.c[:, :, : len(c)] = a.T, c.T
    for name, gate in zip(CACHED, gates, strict=True):
        kept.gates[:, :, layer._gate_names.index(name)] = gate.T
    dstate = None if dc_last is None else (None, dc_last.T[None])
    dx, (dh, dc), grads = layer.backward(tape, da.T, dstate)
    assert dx is not None
    return dx.T, dh[0].T, dc[0].T, _named(grads)


def _lstm_layer(parameters: Parameters) -> LSTM:
    """Return a layer with the course's parameters: its matrices cut into what multiplies a and what multiplies x."""
    n_a = len(parameter(parameters, "Wf", None, None))
    n_x = parameter(parameters, "Wf", n_a, None).shape[1] - n_a
    if n_x < 1:
        raise ValueError(f"parameters['Wf'] must have the shape (n_a, n_a + n_x), got {(n_a, n_a + n_x)}")
    W = np.concatenate([parameter(parameters, f"W{gate}", n_a, n_a + n_x) for gate in GATES])
    b = np.concatenate([parameter(parameters, f"b{gate}", n_a, 1) for gate in GATES])
    layer: LSTM = layer_with(LSTM, n_x, n_a, weight_hh_l0=W[:, :n_a], weight_ih_l0=W[:, n_a:], bias_ih_l0=b[:, 0])
    return layer


def _named(grads: dict[str, Array]) -> Gradients:
    """Return the engine's gradients by the course's names."""
    dW = np.split(np.concatenate([grads["weight_hh_l0"], grads["weight_ih_l0"]], axis=1), 4)
    db = np.split(grads["bias_ih_l0"][:, None], 4)
    return {f"d{kind}{gate}": part[GATES.index(gate)] for gate in "fico" for kind, part in (("W", dW), ("b", db))}
