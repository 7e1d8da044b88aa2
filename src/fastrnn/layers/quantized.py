"""A recurrent layer for inference with weights of low precision; `docs/quantization.md` has its accuracy and speed."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn._engine import LOW_PRECISIONS
from fastrnn.layers._initial import MINIMAL
from fastrnn.layers.recurrent import Recurrent

Array = NDArray[Any]

CODES = {"bfloat16": np.uint16, "int8": np.int8}
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Quantized(Recurrent):
    """What `layer.quantize(precision)` returns: the layer with its weights in bfloat16 or int8, for inference alone.

    It is called, and streams, as the layer that it was made of; the weights are converted once, and later changes of
    that layer do not reach it. Biases, states, gates and results are float32.

    "bfloat16": weights, and what a step multiplies by them, x and h, round to the nearest bfloat16, ties to even; their
    products are exact, and added in float32. "int8": each row w of a weight matrix becomes
    round(127 w / max |w|) and the scale max |w| / 127, and so does each row that a step multiplies by it; integer
    products are summed exactly in 32 bits (K <= 133,000), and a row of x that holds nan or inf gives nan.

    Attributes
    ----------
    precision : {"bfloat16", "int8"}
        Of the weights.
    weight_bytes : int
        Bytes of memory that the parameters take, scales and biases included.
    path : str
        The instructions that compute the products.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> lstm = fastrnn.LSTM(64, 256, seed=0)
    >>> q = lstm.quantize("int8")
    >>> x = np.random.default_rng(0).standard_normal((2, 20, 64), dtype="float32")
    >>> bool(np.abs(q(x)[0] - lstm(x)[0]).max() < 0.02)
    True
    >>> q.weight_bytes < sum(p.nbytes for p in lstm.parameters.values()) / 3.5
    True
    """

    _fixed = (*Recurrent._fixed, "precision")
    precision: str

    def __init__(self, layer: Recurrent, precision: str) -> None:
        if precision not in LOW_PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(LOW_PRECISIONS)}, got {precision!r}")
        if isinstance(layer, Quantized):
            raise TypeError(f"layer is quantized already, to {layer.precision}")
        if layer._name in MINIMAL:
            raise ValueError(f"a {type(layer).__name__} cannot be quantized, for it has no recurrent weights")
        others = [name for name in layer.parameters if not name.startswith(WEIGHTS)]
        if others:
            raise ValueError(f"only products with x and h can be quantized; the layer also has {', '.join(others)}")
        self.precision = precision
        self.input_size, self.hidden_size, self.num_layers = layer.input_size, layer.hidden_size, layer.num_layers
        self.bidirectional, self.batch_first, self.bias = layer.bidirectional, layer.batch_first, layer.bias
        self._directions, self._output_size = layer._directions, layer._output_size
        self.dtype, self.proj_size, self.dropout = np.dtype("float32"), 0, 0.0
        self.forward_count = 0
        self._name, self._number, self._state_names = layer._name, layer._number, layer._state_names
        self._given_traits = layer._traits()
        self._config = {"cell": type(layer).__name__, **layer.get_config(), "dtype": "float32", "precision": precision}
        self._parameters = {}
        names, count = list(layer._parameters), 4 if layer.bias else 2
        self._rest: list[list[Array | None]] = []  # scales and biases of each layer and direction
        codes = []
        for k in range(0, len(names), count):
            ih, scale_ih = _convert(_stored(layer, names[k]), precision)
            hh, scale_hh = _convert(_stored(layer, names[k + 1]), precision)
            biases = [_stored(layer, name) for name in names[k + 2 : k + 4]] if layer.bias else [None, None]
            codes.append([ih, hh])
            self._rest.append([scale_ih, scale_hh, *biases])
        self._pack_codes(codes)

    def _pack_codes(self, codes: list[list[Array]]) -> None:
        engine = _engine.load("float32")
        self._packs = [
            engine.QuantizedWeights(
                LOW_PRECISIONS[self.precision], self._number, self._given_traits, len(ih), self.hidden_size,
                ih.astype(np.int32), hh.astype(np.int32), *rest,
            )
            for (ih, hh), rest in zip(codes, self._rest, strict=True)
        ]  # fmt: skip

    def _codes(self) -> list[list[Array]]:
        """Return the weights of each layer and direction, [I, G·H] and [H, G·H], as int8 or as bits of bfloat16."""
        return [[codes.astype(CODES[self.precision]) for codes in pack.codes()] for pack in self._packs]

    @property
    def weight_bytes(self) -> int:
        """Bytes of memory that the parameters take."""
        rest = sum(array.nbytes for arrays in self._rest for array in arrays if array is not None)
        return sum(pack.nbytes for pack in self._packs) + rest

    @property
    def path(self) -> str:
        """The instructions that compute the products."""
        return str(_engine.load("float32").quantized_path(LOW_PRECISIONS[self.precision]))

    def _weights(self, engine: Any) -> tuple[list[Any], tuple[int, ...]]:
        return self._packs, ()

    def _refuse(self, what: str) -> NoReturn:
        raise TypeError(
            f"{what} is not for a layer in {self.precision}, which does inference alone: "
            "use the layer that it was made of, and quantize that again"
        )

    def forward(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: training needs the layer that this one was made of."""
        self._refuse("forward")

    def backward(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: training needs the layer that this one was made of."""
        self._refuse("backward")

    def quantize(self, precision: str) -> NoReturn:
        """Refuse: what was rounded away is gone."""
        self._refuse("quantize")

    def state_dict(self) -> NoReturn:
        """Refuse: the parameters are gone; `pickle` stores a quantized layer."""
        self._refuse("state_dict")

    def load_state_dict(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: the weights were converted once."""
        self._refuse("load_state_dict")

    def set_parameters(self, **arrays: Any) -> NoReturn:
        """Refuse: the weights were converted once."""
        self._refuse("set_parameters")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer that this one was made of, its class and the precision."""
        return dict(self._config)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packs": self._codes()}  # another machine packs otherwise

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pack_codes(state["_packs"])


def _stored(layer: Recurrent, name: str) -> Array:
    """Return a copy of a parameter in float32, weights as (I, G·H)."""
    with np.errstate(over="ignore"):
        array = layer._parameters[name].stored.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite float32 numbers to be quantized")
    return array


def _convert(weights: Array, precision: str) -> tuple[Array, Array | None]:
    """Return weights (K, G·H) as the bits of bfloat16, or as int8 and the scale of each column."""
    if precision == "bfloat16":
        bits = weights.view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16), None
    most = np.abs(weights).max(axis=0)
    most[most < 1e-30] = 0  # the factor would overflow
    factor = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    return np.rint(weights * factor).astype(np.int8), most / np.float32(127)
