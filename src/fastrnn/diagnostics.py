"""How far back a gradient reaches: its norm at every step, and what the gates have to do with it.

The gradient of h at step t is what its own step's loss sends, and what comes back from step t + 1 through a product
with the Jacobian ∂h⟨t+1⟩/∂h⟨t⟩. Over many steps it shrinks or grows like a power of that (Hochreiter 1991; Bengio,
Simard and Frasconi 1994); an LSTM's cell has the forget gate for a Jacobian, which can be 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers._arguments import time_major
from fastrnn.layers._module import check_number
from fastrnn.layers._recurrent import RecurrentBase
from fastrnn.layers.sparse import SparseRows
from fastrnn.layers.tape import Tape

__all__ = ["GradientFlow", "gradient_flow"]

Array = NDArray[Any]
Loss = Callable[[Array], tuple[Any, ...]]

# Whether a unit stands where its function is nearly flat: in the outer tenth of its range at either end.
SATURATED: Mapping[str, Callable[[Array], Array]] = {
    "sigmoid": lambda v: (v < 0.1) | (v > 0.9),
    "tanh": lambda v: np.abs(v) > 0.8,
    "relu": lambda v: v == 0,
    "linear": lambda v: np.zeros(v.shape, bool),
}
ACTIVATION_OF = {"i": 0, "f": 0, "o": 0, "r": 0, "z": 0, "g": 1, "n": 1}  # its place in a layer's activations


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """What `gradient_flow` found; printed, it is a table.

    Attributes
    ----------
    names : tuple of str
        The layers and directions in the order of a state, as in the parameters' names: "l0", "l0_reverse", "l1", ...
    norms : array
        (L·D, T), ‖∂L/∂h⟨t⟩‖, the Euclidean norm over the whole batch, of all that reaches h⟨t⟩; t counts as the input
        does, for the reverse direction too. Zero where every row is padded.
    saturated : dict
        {gate: (L·D,)}, the share of values over real steps that lie in the outer tenth of the gate's range, where its
        slope is small: below 0.1 or above 0.9 (Karpathy, Johnson and Fei-Fei 2015), for tanh beyond ±0.8. Gates are
        i, f, g, o of an LSTM, r, z, n of a GRU, z of a MinGRU, f, i of a MinLSTM, n of both where it has an end, and h
        of an RNN (relu: the share of zeros).
    forget : array or None
        (L·D,), the mean of what the old state is multiplied by: the gate f of an LSTM, z of a GRU, 1 - z of a MinGRU,
        f / (f + i) of a MinLSTM; None of an RNN.
    gradient_norm : float
        Of the gradients of all the layer's parameters together, which `optim.clip_grad_norm` compares with its limit.
    clip : float
        The limit that was asked about.
    clip_hit_rate : float
        The share of numbers in those gradients beyond ±clip, which `optim.clip_grad_value` would change.
    """

    names: tuple[str, ...]
    norms: Array
    saturated: dict[str, Array]
    forget: Array | None
    gradient_norm: float
    clip: float
    clip_hit_rate: float

    @property
    def memory(self) -> Array | None:
        """(L·D,), 1 / (1 - forget): after so many steps a cell left to itself, its gate at the mean, has kept 1/e.

        What the net puts back through the other gates comes on top: see `norms` for how far the gradient reaches.
        """
        with np.errstate(divide="ignore"):  # a gate at 1 keeps for ever
            return None if self.forget is None else 1 / (1 - self.forget)

    def __str__(self) -> str:
        """Return a line for each layer and direction, and one for the gradients of the parameters."""
        width, last = max(map(len, self.names)), self.norms.shape[1] - 1
        lines = []
        for k, name in enumerate(self.names):
            line = f"{name:{width}}  |dL/dh| {self.norms[k, 0]:.1e} at t=0, {self.norms[k, -1]:.1e} at t={last}"
            line += "; saturated " + " ".join(f"{gate} {share[k]:.0%}" for gate, share in self.saturated.items())
            if self.forget is not None and self.memory is not None:
                line += f"; forget gate {self.forget[k]:.3f}, a memory of {self.memory[k]:.1f} steps"
            lines.append(line)
        lines.append(
            f"gradients of the parameters: norm {self.gradient_norm:.2e}, "
            f"{self.clip_hit_rate:.2%} of their numbers beyond ±{self.clip:g}"
        )
        return "\n".join(lines)


def gradient_flow(
    layer_or_model: Any,
    *data: Any,
    dy: Any = None,
    loss: Loss | None = None,
    state: Any = None,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    clip: float = 5.0,
) -> GradientFlow:
    """Run forward and backward once, and return how the gradient flowed back through time.

    Nothing is trained and nothing changes: the parameters stay, and dropout draws what the next `forward` will draw.

    Parameters
    ----------
    layer_or_model : recurrent layer or model
        The model is a `LanguageModel`, fitted without contexts.
    *data : array or str
        Of a layer x, as for its `forward`; of a model what it is scored on: of a `LanguageModel` a text.
    dy : array, optional
        The gradient of the output, in the shape of y.
    loss : callable, optional
        Gives the loss and dy from y: ``lambda y: losses.squared_error(y, target)``, or, through a dense layer,
        ``lambda y: dense.cross_entropy(y, targets)``, of whose results the first two count. A model has its own. With
        neither `dy` nor `loss`, L is the sum of the last layer's final h, so that all gradient starts at the last step.
    state, lengths, mask, resets : optional
        As for `forward`.
    clip : float
        The limit of a clipping by value whose hits are counted.

    Returns
    -------
    GradientFlow

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((8, 50, 3), dtype="float32")
    >>> lstm, rnn = fastrnn.LSTM(3, 16, seed=0), fastrnn.RNN(3, 16, seed=0)
    >>> flow = fastrnn.diagnostics.gradient_flow(lstm, x)
    >>> flow.names, flow.norms.shape, sorted(flow.saturated)
    (('l0',), (1, 50), ['f', 'g', 'i', 'o'])
    >>> bool(flow.norms[0, 0] > 100 * fastrnn.diagnostics.gradient_flow(rnn, x).norms[0, 0])
    True
    """
    if dy is not None and loss is not None:
        raise ValueError("dy and loss say the same thing twice: give one of them")
    limit = check_number(clip, "clip", below=None)
    layer, x, own_loss = _case(layer_or_model, data)
    count = layer.forward_count
    y, final, tape = layer.forward(x, state, lengths, mask=mask, resets=resets)
    layer.forward_count = count
    if tape.T == 0:
        raise ValueError("x must have at least one step, got none")
    loss, dstate = own_loss if loss is None else loss, None
    if dy is None and loss is not None:
        dy = _gradient_by(loss, y)
    elif dy is None:
        dstate = _ones_for_last(final, layer)
    gates = _gates(tape)
    tape.watch()
    _, _, grads = layer.backward(tape, dy, dstate)
    dense = [grad.to_dense() if isinstance(grad, SparseRows) else grad for grad in grads.values()]
    numbers = np.concatenate([np.abs(gradient, dtype=np.float64).ravel() for gradient in dense])
    return GradientFlow(
        names=_names(layer),
        norms=np.stack([_norms(array, tape) for array in tape.hidden_gradients()]),
        saturated=_saturated(gates, layer),
        forget=_forget(gates, layer),
        gradient_norm=float(np.sqrt(numbers @ numbers)),
        clip=limit,
        clip_hit_rate=float((numbers > limit).mean()),
    )


def _case(target: Any, data: tuple[Any, ...]) -> tuple[Any, Any, Loss | None]:
    """Return the recurrent layer, its input, and a model's own loss over the layer's output."""
    if hasattr(target, "_flow_case"):
        layer, x, loss = target._flow_case(*data)
        return layer, x, loss
    if not isinstance(target, RecurrentBase):
        raise TypeError(f"layer_or_model must be a recurrent layer or a LanguageModel, got {type(target).__name__}")
    if len(data) != 1:
        raise TypeError(f"a layer takes one array, x, got {len(data)} arguments")
    return target, data[0], None


def _gradient_by(loss: Loss, y: Array) -> Any:
    result = loss(y)
    if not isinstance(result, tuple) or len(result) < 2:
        raise TypeError(f"loss must return a tuple (loss, dy, ...), got {type(result).__name__}")
    return result[1]


def _ones_for_last(final: Any, layer: Any) -> Any:
    """Return the gradient of the sum of the last layer's final h, in the form of a state."""
    h = final[0] if isinstance(final, tuple) else final
    ones = np.zeros_like(h)
    ones[-layer._directions :] = 1
    return (ones, None) if isinstance(final, tuple) else ones


def _names(layer: Any) -> tuple[str, ...]:
    suffixes = ("", "_reverse")[: layer._directions]
    return tuple(f"l{k}{suffix}" for k in range(layer.num_layers) for suffix in suffixes)


def _norms(array: Array, tape: Tape) -> Array:
    """Return the norm (T,) of what a tape shows, in double precision, whose squares do not underflow."""
    rows = time_major(array, tape.batched, tape.layer.batch_first).astype(np.float64)
    norms: Array = np.linalg.norm(rows, axis=(1, 2))
    return norms


def _gates(tape: Tape) -> list[dict[str, Array]]:
    """Return what a tape shows, each array cut down to its real steps, (steps, H)."""

    def real(array: Array) -> Array:
        rows = time_major(array, tape.batched, tape.layer.batch_first)
        return rows.reshape(-1, rows.shape[2]) if tape.active is None else rows[tape.active]

    return [{name: real(array) for name, array in part.items()} for part in tape.gates()]


def _saturated(gates: list[dict[str, Array]], layer: Any) -> dict[str, Array]:
    """Return the shares of each gate whose activation has an end, of an RNN those of h."""
    kinds = [activation if isinstance(activation, str) else activation[0] for activation in layer.activations]
    order = {"h": 0} if len(kinds) == 1 else ACTIVATION_OF
    functions = {name: kinds[order[name]] for name in gates[0] if name in order}
    return {
        name: np.array([_mean(SATURATED[function](part[name])) for part in gates])
        for name, function in functions.items()
        if function in SATURATED
    }


def _forget(gates: list[dict[str, Array]], layer: Any) -> Array | None:
    keeps = [kept for kept in map(layer._keeps, gates) if kept is not None]
    return np.array([_mean(kept) for kept in keeps]) if keeps else None


def _mean(array: Array) -> float:
    return float(array.mean(dtype=np.float64)) if array.size else np.nan
