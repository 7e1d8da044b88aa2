"""The ONNX operators RNN, LSTM and GRU, run by fastrnn's layers: every attribute, every optional input and output.

A node's directions are one bidirectional layer where both have the same activations, else one layer each. A layer runs
the reverse direction by itself over time turned round, its padding then being on the left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.interop._onnx_operators import Node
from fastrnn.layers import GRU, LSTM, RNN
from fastrnn.layers._traits import ACTIVATIONS as layer_activations
from fastrnn.layers.recurrent import Recurrent

Array = NDArray[Any]
Options = dict[str, Any]

CELLS: dict[str, type[Recurrent]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
GATES = {"RNN": [0], "LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}  # where ours stand among ONNX' i o f c and z r h
PEEPHOLES = [0, 2, 1]  # where our i, f, o stand among ONNX' i, o, f
ACTIVATIONS = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
DIRECTIONS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}  # whether each is the reverse one

FUNCTIONS = {  # ONNX' function: ours
    "Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Affine": "affine", "LeakyRelu": "leaky_relu",
    "ThresholdedRelu": "thresholded_relu", "ScaledTanh": "scaled_tanh", "HardSigmoid": "hard_sigmoid", "Elu": "elu",
    "Softsign": "softsign", "Softplus": "softplus",
}  # fmt: skip
UNSETTLED = ("affine", "thresholded_relu", "scaled_tanh")
NO_DEFAULTS = "ONNX' definition names none, or one that onnxruntime does not take"
ATTRIBUTES = {
    "activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "input_forget", "layout",
    "linear_before_reset",
}  # fmt: skip


class RecurrentNode:
    """One node of these operators, with the layers of the weights that it was last given."""

    def __init__(self, node: Node) -> None:
        self.node = node
        unknown = node.attributes.keys() - ATTRIBUTES
        if unknown:
            raise node.refuse(f"its attributes must be of {', '.join(sorted(ATTRIBUTES))}, got {', '.join(unknown)}")
        direction = node.get("direction", default="forward")
        if direction not in DIRECTIONS:
            raise node.refuse(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
        self.reverse = DIRECTIONS[direction]
        self.batch_first = bool(node.get("layout"))
        self.options = self._options()
        self._made: tuple[tuple[Array | None, ...], list[Recurrent]] | None = None

    def _options(self) -> list[Options]:
        """Return the layer's options that the attributes say, for each direction."""
        node, count = self.node, len(ACTIVATIONS[self.node.operator])
        shared: Options = {}
        if node.operator == "GRU":
            shared["reset_after"] = bool(node.get("linear_before_reset"))
        if node.operator == "LSTM":
            shared["coupled"] = bool(node.get("input_forget"))
        if "clip" in node.attributes:
            shared["clip"] = node.get("clip")
        functions = self._activations(count * len(self.reverse))
        options = []
        for k in range(len(self.reverse)):
            chosen = functions[k * count : (k + 1) * count]
            own = {"nonlinearity": chosen[0]} if node.operator == "RNN" else {"activations": chosen}
            options.append(shared | own)
        return options

    def _activations(self, count: int) -> list[Any]:
        """Return the activations as layers take them; alphas and betas go in turn to the functions that read one."""
        node, ours = self.node, {name.lower(): activation for name, activation in FUNCTIONS.items()}
        names = node.get("activations", default=ACTIVATIONS[node.operator] * len(self.reverse))
        if len(names) != count or any(name.lower() not in ours for name in names):
            raise node.refuse(f"activations must be {count} of {', '.join(FUNCTIONS)}, got {', '.join(names)}")
        given = [iter(node.get(f"activation_{which}", default=[])) for which in ("alpha", "beta")]
        functions: list[Any] = []
        for name in names:
            activation = ours[name.lower()]
            defaults = layer_activations[activation]
            numbers = [next(values, None) for values in given[: len(defaults)]]
            if None in numbers and activation in UNSETTLED:
                raise node.refuse(f"activation_alpha and activation_beta must have a number for {name}: {NO_DEFAULTS}")
            chosen = [default if one is None else one for one, default in zip(numbers, defaults, strict=True)]
            functions.append("linear" if (activation, *chosen) == ("affine", 1, 0) else (activation, *chosen))
        return functions

    def prepare(self, W: Array, R: Array, B: Array | None, P: Array | None) -> list[Recurrent]:
        """Return the layers of some weights: those of the last call, unless the arrays are others."""
        made, arrays = self._made, (W, R, B, P)
        if made is None or any(a is not b for a, b in zip(made[0], arrays, strict=True)):
            made = self._made = (arrays, self._make(W, R, B, P))
        return made[1]

    def _make(self, W: Array, R: Array, B: Array | None, P: Array | None) -> list[Recurrent]:
        node, D, gates = self.node, len(self.reverse), len(GATES[self.node.operator])
        H, I = R.shape[-1], W.shape[-1]
        expected = {"W": (D, gates * H, I), "R": (D, gates * H, H), "B": (D, 2 * gates * H), "P": (D, 3 * H)}
        for name, array in (("W", W), ("R", R), ("B", B), ("P", P)):
            if array is not None and array.shape != expected[name]:
                raise node.refuse(f"{name} must have the shape {expected[name]}, got {array.shape}")
        if node.get("hidden_size", default=H) != H:
            raise node.refuse(f"hidden_size must be {H}, as R says, got {node.get('hidden_size')}")
        if W.dtype.name not in ("float32", "float64"):
            raise node.refuse(f"its weights must be float32 or float64, got {W.dtype}")
        together = D == 1 or self.options[0] == self.options[1]
        groups = [list(range(D))] if together else [[d] for d in range(D)]
        layers = []
        for group in groups:
            options = self.options[group[0]] | ({} if P is None else {"peephole": True})
            try:
                layer = CELLS[node.operator](
                    I, H, bidirectional=len(group) == 2, batch_first=False, bias=B is not None, dtype=W.dtype, init=0.0,
                    **options,
                )  # fmt: skip
            except ValueError as error:
                raise node.refuse(str(error)) from error
            values: dict[str, Array] = {}
            for suffix, d in zip(("l0", "l0_reverse"), group, strict=False):
                values |= self._parameters(suffix, *(None if array is None else array[d] for array in (W, R, B, P)))
            layer.load_state_dict(values)
            layers.append(layer)
        return layers

    def _parameters(self, suffix: str, W: Any, R: Any, B: Any, P: Any) -> dict[str, Array]:
        """Return one direction's parameters by fastrnn's names, gates in its order."""
        order = GATES[self.node.operator]
        named = {"weight_ih": W, "weight_hh": R}
        if B is not None:
            named["bias_ih"], named["bias_hh"] = np.split(B, 2)
        values = {f"{name}_{suffix}": reordered(array, order) for name, array in named.items()}
        return values if P is None else values | {f"weight_peephole_{suffix}": reordered(P, PEEPHOLES)}

    def __call__(
        self, X: Array, W: Array, R: Array, B: Array | None = None, sequence_lens: Array | None = None,
        initial_h: Array | None = None, initial_c: Array | None = None, P: Array | None = None,
    ) -> tuple[Array, ...]:  # fmt: skip
        """Return Y, Y_h and, of an LSTM, Y_c."""
        layers = self.prepare(W, R, B, P)
        if X.dtype != layers[0].dtype or X.ndim != 3:
            raise self.node.refuse(f"X must be {layers[0].dtype} with 3 axes, got {X.dtype} with {X.ndim}")
        x = X.swapaxes(0, 1) if self.batch_first else X
        T, N, _ = x.shape
        initial = [None if s is None else s.swapaxes(0, 1) if self.batch_first else s for s in (initial_h, initial_c)]
        active = None if sequence_lens is None else self._active(sequence_lens, T)
        outputs, states = [], []
        for layer, at in self._runs(layers):
            turned = layer.bidirectional is False and self.reverse[at.start]
            y, state = self._run(layer, x, [None if s is None else s[at] for s in initial], active, turned)
            outputs.append(y.reshape(T, N, at.stop - at.start, layer.hidden_size))
            states.append(state)
        Y = np.concatenate(outputs, axis=2)  # (T, N, D, H)
        finals = [np.concatenate(parts) for parts in zip(*states, strict=True)]
        if sequence_lens is not None:
            for final in finals:
                final[:, np.asarray(sequence_lens) == 0] = 0  # a row without a step ends at zeros, not where it started
        if self.batch_first:
            return Y.swapaxes(0, 1), *(final.swapaxes(0, 1) for final in finals)
        return Y.swapaxes(1, 2), *finals

    def _active(self, lengths: Array, T: int) -> Array:
        """Return which steps [T, N] are real."""
        if lengths.size and not 0 <= lengths.min() <= lengths.max() <= T:
            raise self.node.refuse(f"sequence_lens must be from 0 to {T}, got {lengths.min()} to {lengths.max()}")
        return np.arange(T)[:, None] < lengths

    def _runs(self, layers: list[Recurrent]) -> list[tuple[Recurrent, slice]]:
        """Return each layer with the directions it stands for."""
        if len(layers) == 1:
            return [(layers[0], slice(0, len(self.reverse)))]
        return [(layer, slice(d, d + 1)) for d, layer in enumerate(layers)]

    @staticmethod
    def _run(
        layer: Recurrent, x: Array, initial: list[Array | None], active: Array | None, turned: bool
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return the outputs [T, N, ·] and the final state of a layer over x [T, N, I], turned round in time or not."""
        time = slice(None, None, -1 if turned else 1)
        state: Any = initial[0]
        if isinstance(layer, LSTM) and any(part is not None for part in initial):
            zeros = np.zeros((2 if layer.bidirectional else 1, x.shape[1], layer.hidden_size), layer.dtype)
            state = tuple(zeros if part is None else part for part in initial)
        y, final = layer(x[time], state, mask=None if active is None else active[time])
        return y[time], final if isinstance(final, tuple) else (final,)


def reordered(array: Array, order: list[int]) -> Array:
    """Return the blocks of the first axis in another order."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[k] for k in order])
