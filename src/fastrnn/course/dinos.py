"""The course's language model over letters, which learns the names of dinosaurs and invents others.

    a⟨t⟩ = tanh(Wax x⟨t⟩ + Waa a⟨t-1⟩ + b)
    ŷ⟨t⟩ = softmax(Wya a⟨t⟩ + by),  the odds of the next letter
    J    = Σ_t -ln ŷ⟨t⟩[Y⟨t⟩]

`parameters` is a dict of Wax (n_a, n_x), Waa (n_a, n_a), Wya (n_y, n_a), b (n_a, 1) and by (n_y, 1); n_x and n_y are
both the size of the vocabulary. A name is a list of ids: X begins with None, a column of zeros, and Y is X one letter
on, its end the line break. The batch is one name, m = 1.

Examples
--------
>>> from fastrnn.course import dinos
>>> names = ["aba", "abba", "baab"] * 20
>>> ids = {"\\n": 0, "a": 1, "b": 2}
>>> parameters = dinos.model(names, {i: c for c, i in ids.items()}, ids, 50, n_a=8, dino_names=1, vocab_size=3)
Iteration: 0, Loss: 1.103007
<BLANKLINE>
Aabbbb
<BLANKLINE>
<BLANKLINE>
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastrnn import losses, optim
from fastrnn.course._columns import Array, Parameters, column, layer_with, logits, parameter, softmax
from fastrnn.course.rnn import Gradients, gradients_of, rnn_layer
from fastrnn.layers import Dense

__all__ = [
    "clip", "get_initial_loss", "initialize_parameters", "model", "optimize", "print_sample", "rnn_backward",
    "rnn_forward", "rnn_step_backward", "rnn_step_forward", "sample", "smooth", "softmax", "update_parameters",
]  # fmt: skip

CLIPPED = ("dWax", "dWaa", "dWya", "db", "dby")
LONGEST = 50  # letters of a name that is sampled

Cache = tuple[dict[int, Array], dict[int, Array], dict[int, Array]]


def initialize_parameters(n_a: int, n_x: int, n_y: int) -> dict[str, Array]:
    """Return Wax, Waa and Wya drawn from N(0, 0.01²), always the same, and zero biases b and by."""
    rng = np.random.RandomState(1)  # draws what np.random.seed(1) starts, and leaves that generator alone
    return {
        "Wax": rng.randn(n_a, n_x) * 0.01,
        "Waa": rng.randn(n_a, n_a) * 0.01,
        "Wya": rng.randn(n_y, n_a) * 0.01,
        "b": np.zeros((n_a, 1)),
        "by": np.zeros((n_y, 1)),
    }


def rnn_step_forward(parameters: Parameters, a_prev: Any, x: Any) -> tuple[Array, Array]:
    """Return a⟨t⟩ (n_a, 1) and ŷ⟨t⟩ (n_y, 1) from a⟨t-1⟩ (n_a, 1) and the column x⟨t⟩ (n_x, 1)."""
    layer = rnn_layer(parameters, "b")
    x, a_prev = column(x, "x", layer.input_size, None), column(a_prev, "a_prev", layer.hidden_size, None)
    _, h = layer(x.T[None], a_prev.T[None])
    a = h[0].T
    return a, softmax(logits(a, parameters, "Wya").T)


def rnn_forward(X: Any, Y: Any, a0: Any, parameters: Parameters, vocab_size: int = 27) -> tuple[float, Cache]:
    """Return the loss of a name, and the cache for `rnn_backward`.

    Parameters
    ----------
    X : list
        Ids, None for a column of zeros.
    Y : list
        The ids to be predicted, as many.
    a0 : array
        (n_a, 1).
    parameters : dict
        Wax, Waa, Wya, b, by.
    vocab_size : int
        n_x.

    Returns
    -------
    loss : float
        J, a sum over the steps.
    cache : tuple
        (y_hat, a, x), dicts from the step t = 0, 1, ... to its column; a[-1] is a0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if len(X) != len(Y):
        raise ValueError(f"Y must have as many ids as X, {len(X)}, got {len(Y)}")
    layer = rnn_layer(parameters, "b")
    if vocab_size != layer.input_size:
        raise ValueError(f"vocab_size must be the columns of Wax, {layer.input_size}, got {vocab_size}")
    a0 = column(a0, "a0", layer.hidden_size, 1)
    columns = np.stack([_one_hot(index, vocab_size) for index in X], axis=2)
    h, _ = layer(columns.T, a0.T[None])
    z = logits(h.T, parameters, "Wya")
    loss, _ = losses.softmax_cross_entropy(z[:, 0], Y, reduction="sum")
    odds = softmax(z.T)

    steps = range(len(X))
    a = {-1: a0.copy(), **{t: h[t].T for t in steps}}
    return loss, ({t: odds[:, :, t] for t in steps}, a, {t: columns[:, :, t] for t in steps})


def rnn_step_backward(dy: Any, gradients: Gradients, parameters: Parameters, x: Any, a: Any, a_prev: Any) -> Gradients:
    """Add the gradients of one step to `gradients`, in place, and return that.

    dWya += dy aᵀ, dby += dy, da = Wyaᵀ dy + da_next, δ = (1 - a²) ⊙ da, dWax += δ xᵀ, dWaa += δ a_prevᵀ, db += δ,
    da_next = Waaᵀ δ.

    Parameters
    ----------
    dy : array
        ∂J/∂(Wya a + by) = ŷ - onehot(Y), (n_y, 1).
    gradients : dict
        dWax, dWaa, dWya, db, dby, and da_next (n_a, 1), what the step after this one sends back.
    parameters : dict
        Wax, Waa, Wya, b, by.
    x, a, a_prev : array
        x⟨t⟩ (n_x, 1), a⟨t⟩ and a⟨t-1⟩ (n_a, 1).
    """
    dy, x, a = column(dy, "dy", None, 1), column(x, "x", None, 1), column(a, "a", None, 1)
    step = _gradients(dy[..., None], x[..., None], a[..., None], a_prev, gradients["da_next"], parameters)
    for name in CLIPPED:
        gradients[name] += step[name]
    gradients["da_next"] = step["da_next"]
    return gradients


def rnn_backward(X: Any, Y: Any, parameters: Parameters, cache: Cache) -> tuple[Gradients, dict[int, Array]]:
    """Return the gradients of a name's loss by back-propagation through time, and the hidden states.

    Parameters
    ----------
    X, Y : list
        As for `rnn_forward`.
    parameters : dict
        Wax, Waa, Wya, b, by.
    cache : tuple
        Of `rnn_forward`.

    Returns
    -------
    gradients : dict
        dWax, dWaa, dWya, db, dby, and da_next, the gradient of a0.
    a : dict
        {t: a⟨t⟩}, from the cache.
    """
    y_hat, a, x = cache
    steps = range(len(X))
    dy = np.stack([y_hat[t] for t in steps], axis=2)
    dy[list(Y), 0, list(steps)] -= 1
    columns, states = (np.stack([part[t] for t in steps], axis=2) for part in (x, a))
    return _gradients(dy, columns, states, a[-1], None, parameters), a


def clip(gradients: Gradients, maxValue: float) -> Gradients:
    """Bring every number of the parameters' gradients into -maxValue ... maxValue, in place, and return these."""
    clipped = {name: gradients[name] for name in CLIPPED}
    optim.clip_grad_value(clipped, maxValue)
    return clipped


def update_parameters(parameters: dict[str, Array], gradients: Gradients, lr: float) -> dict[str, Array]:
    """Go a step down the gradient, W -= lr dW, in place, and return the parameters."""
    for name in CLIPPED:
        parameters[name[1:]] -= lr * gradients[name]
    return parameters


def optimize(
    X: Any, Y: Any, a_prev: Any, parameters: dict[str, Array], learning_rate: float = 0.01
) -> tuple[float, Gradients, Array]:
    """Learn one name: forward, backward, clip to ±5, update the parameters in place.

    Returns
    -------
    loss : float
        Before the update.
    gradients : dict
        Clipped.
    a_last : array
        The last hidden state, (n_a, 1), from which the next name starts.
    """
    loss, cache = rnn_forward(X, Y, a_prev, parameters, vocab_size=parameter(parameters, "Wax", None, None).shape[1])
    gradients, a = rnn_backward(X, Y, parameters, cache)
    gradients = clip(gradients, 5)
    update_parameters(parameters, gradients, learning_rate)
    return loss, gradients, a[len(X) - 1]


def sample(parameters: Parameters, char_to_ix: Mapping[str, int], seed: int) -> list[int]:
    """Return the ids of a name that the model invents, letter by letter; the last is that of the line break.

    It starts from x = 0 and a = 0. Letter k is drawn from ŷ with a generator seeded anew with seed + 2k, and is the
    input of the next step. A name ends with the line break, which is added where 50 letters have brought none.

    Parameters
    ----------
    parameters : dict
        Wax, Waa, Wya, b, by.
    char_to_ix : dict
        The id of each letter, "\\n" among them.
    seed : int
        Of the draws.
    """
    newline = char_to_ix["\n"]
    layer, indices = rnn_layer(parameters, "b"), []
    stream = layer.stream()
    a = stream.step(_one_hot(None, layer.input_size).T)
    for k in range(LONGEST):
        odds = softmax(logits(a.T, parameters, "Wya").T)[:, 0]
        indices.append(int(np.random.RandomState(seed + 2 * k).choice(len(odds), p=odds)))
        if indices[-1] == newline:
            return indices
        a = stream.step(np.array([indices[-1]]))  # an id means its one-hot column
    return [*indices, newline]


def model(
    data: str | Iterable[str],
    ix_to_char: Mapping[int, str],
    char_to_ix: Mapping[str, int],
    num_iterations: int = 35000,
    n_a: int = 50,
    dino_names: int = 7,
    vocab_size: int = 27,
) -> dict[str, Array]:
    """Train on names, one at an update, and print some inventions every 2000 updates.

    The hidden state at the end of a name is where the next one starts. Initial values and the order of the names are
    always the same.

    Parameters
    ----------
    data : str or iterable of str
        The names, a line each or one by one, of letters that `char_to_ix` has.
    ix_to_char, char_to_ix : dict
        The vocabulary, "\\n" in it.
    num_iterations : int
        Updates.
    n_a : int
        Hidden units.
    dino_names : int
        How many names are invented each time.
    vocab_size : int
        n_x and n_y.

    Returns
    -------
    dict
        The parameters: Wax, Waa, Wya, b, by.
    """
    examples = [name.strip() for name in (data.splitlines() if isinstance(data, str) else data)]
    np.random.RandomState(0).shuffle(examples)
    parameters, a_prev = initialize_parameters(n_a, vocab_size, vocab_size), np.zeros((n_a, 1))
    loss = get_initial_loss(vocab_size, dino_names)
    for j in range(num_iterations):
        letters = [char_to_ix[letter] for letter in examples[j % len(examples)]]
        current, _, a_prev = optimize([None, *letters], [*letters, char_to_ix["\n"]], a_prev, parameters)
        loss = smooth(loss, current)
        if j % 2000 == 0:
            print(f"Iteration: {j}, Loss: {loss:f}\n")
            for seed in range(dino_names):
                print_sample(sample(parameters, char_to_ix, seed), ix_to_char)
            print("\n")
    return parameters


def smooth(loss: float, cur_loss: float) -> float:
    """Return the running mean 0.999 loss + 0.001 cur_loss."""
    return loss * 0.999 + cur_loss * 0.001


def get_initial_loss(vocab_size: int, seq_length: int) -> float:
    """Return the loss of so many letters when all are as likely: seq_length ln(vocab_size)."""
    return seq_length * math.log(vocab_size)


def print_sample(sample_ix: Iterable[int], ix_to_char: Mapping[int, str]) -> None:
    """Print the letters of a list of ids, the first a capital."""
    text = "".join(ix_to_char[index] for index in sample_ix)
    print(text[:1].upper() + text[1:], end="")


def _one_hot(index: int | None, size: int) -> Array:
    """Return the column (size, 1) of an id; zeros for None."""
    x = np.zeros((size, 1))
    if index is not None:
        x[index] = 1
    return x


def _gradients(dy: Array, x: Array, a: Array, a0: Any, da_next: Array | None, parameters: Parameters) -> Gradients:
    """Return all gradients of steps whose a is known: dy (n_y, 1, T), x (n_x, 1, T), a (n_a, 1, T)."""
    n_y, n_a = len(dy), len(a)
    W, b = parameter(parameters, "Wya", n_y, n_a), parameter(parameters, "by", n_y, 1)
    dense = layer_with(Dense, n_a, n_y, weight=W, bias=b[:, 0])
    da, output = dense.backward(dense.forward(a.T)[1], dy.T)
    _, da0, gradients = gradients_of(x, a0, a, da.T, da_next, parameters, bias="b")
    return {**gradients, "dWya": output["weight"], "dby": output["bias"][:, None], "da_next": da0}
