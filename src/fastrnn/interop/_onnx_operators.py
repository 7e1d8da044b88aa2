"""The ONNX operators that exporters put around recurrent layers, in plain NumPy.

Each function takes the node and its inputs (None where an optional one is missing) and returns one output or a tuple of
them. The operators' meaning is that of https://onnx.ai/onnx/operators/ from version 7 of the set on; where an attribute
became an input in a later version, both forms are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.interop._functions import log_softmax, relu, sigmoid, softmax

Array = NDArray[Any]


@dataclass(eq=False)
class Node:
    """One node of a graph: its operator, what it reads and writes ("" for nothing), its attributes as Python values."""

    operator: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    version: int  # of the operator set

    def get(self, name: str, given: Any = None, default: Any = None) -> Any:
        """Return what an input says, or, in the older form, an attribute."""
        return self.attributes.get(name, default) if given is None else given

    def refuse(self, reason: str) -> ValueError:
        return ValueError(f"the ONNX node {self.name or self.outputs[0]} ({self.operator}) cannot be run: {reason}")


def axes_of(axes: Any) -> tuple[int, ...] | None:
    """Return axes as NumPy takes them."""
    return None if axes is None else tuple(int(axis) for axis in np.atleast_1d(axes))


def constant(node: Node) -> Array:
    if "value" in node.attributes:
        return node.attributes["value"]
    for name, dtype in (("value_float", "f"), ("value_floats", "f"), ("value_int", "i8"), ("value_ints", "i8")):
        if name in node.attributes:
            return np.asarray(node.attributes[name], dtype)
    raise node.refuse(f"of its values numbers are known, got {', '.join(node.attributes)}")


def constant_of_shape(node: Node, shape: Array) -> Array:
    value = node.get("value", default=np.zeros(1, np.float32))
    return np.full(tuple(shape), value[0], value.dtype)


def cast(node: Node, x: Array) -> Array:
    dtype = node.attributes["to"]
    if x.dtype.kind == "f" and dtype.kind in "iu":
        return np.trunc(x).astype(dtype)
    return x.astype(dtype)


def shape(node: Node, x: Array) -> Array:
    return np.array(x.shape[slice(node.get("start"), node.get("end"))], np.int64)


def transpose(node: Node, x: Array) -> Array:
    return x.transpose(node.get("perm"))


def squeeze(node: Node, x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, axes_of(node.get("axes", axes)))


def unsqueeze(node: Node, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, axes_of(node.get("axes", axes)) or ())


def reshape(node: Node, x: Array, shape: Array) -> Array:
    if node.get("allowzero"):
        return x.reshape(tuple(shape))
    return x.reshape([x.shape[k] if size == 0 else size for k, size in enumerate(shape)])


def flatten(node: Node, x: Array) -> Array:
    axis = node.get("axis", default=1)
    return x.reshape(int(np.prod(x.shape[: axis if axis >= 0 else x.ndim + axis])), -1)


def concat(node: Node, *arrays: Array) -> Array:
    return np.concatenate(arrays, axis=node.attributes["axis"])


def split(node: Node, x: Array, sizes: Array | None = None) -> tuple[Array, ...]:
    axis, given = node.get("axis", default=0), node.get("split", sizes)
    count = node.get("num_outputs", default=len(node.outputs))
    equal = [-(-x.shape[axis] // count)] * count  # the last part is the smaller one
    return tuple(np.split(x, np.cumsum(equal if given is None else given)[:-1], axis=axis))


def slice_(node: Node, x: Array, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Array:
    starts, ends = node.get("starts", starts), node.get("ends", ends)
    axes = node.get("axes", axes, range(len(starts)))
    cut = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, [1] * len(starts) if steps is None else steps, strict=True):
        before_the_first = step < 0 and end < -x.shape[axis]
        cut[axis] = slice(int(start), None if before_the_first else int(end), int(step))
    return x[tuple(cut)]


def gather(node: Node, x: Array, indices: Array) -> Array:
    return np.take(x, indices, axis=node.get("axis", default=0))


def gather_elements(node: Node, x: Array, indices: Array) -> Array:
    places = list(np.indices(indices.shape))  # not take_along_axis, which would broadcast
    places[node.get("axis", default=0)] = indices
    return x[tuple(places)]


def scatter_elements(node: Node, x: Array, indices: Array, updates: Array) -> Array:
    if node.get("reduction", default="none") != "none":
        raise node.refuse(f'its reduction must be "none", got {node.get("reduction")!r}')
    result, axis = x.copy(), node.get("axis", default=0)
    places = list(np.indices(indices.shape))
    places[axis] = indices
    result[tuple(places)] = updates
    return result


def expand(node: Node, x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape)))


def one_hot(node: Node, indices: Array, depth: Array, values: Array) -> Array:
    size, axis = int(np.asarray(depth).ravel()[0]), node.get("axis", default=-1)
    ids = np.where(indices < 0, indices + size, indices)
    hot = np.expand_dims(ids, axis) == np.arange(size).reshape(
        [size if k == axis % (ids.ndim + 1) else 1 for k in range(ids.ndim + 1)]
    )
    return np.where(hot, values[1], values[0])


def range_(node: Node, start: Array, limit: Array, delta: Array) -> Array:
    return np.asarray(np.arange(start.item(), limit.item(), delta.item()), start.dtype)


def top_k(node: Node, x: Array, k: Array | None = None) -> tuple[Array, Array]:
    axis, count = node.get("axis", default=-1), int(np.ravel(node.get("k", k))[0])
    if node.get("largest", default=1):  # of equal values the first one comes first
        order = np.flip(x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    indices = np.take(order, np.arange(count), axis=axis)
    return np.take_along_axis(x, indices, axis=axis), indices.astype(np.int64)


def reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    """Return the operator that reduces by a function of NumPy."""

    def reduced(node: Node, x: Array, axes: Array | None = None) -> Array:
        chosen = axes_of(node.get("axes", axes))
        if not chosen:
            if node.get("noop_with_empty_axes"):
                return x
            chosen = tuple(range(x.ndim))
        return np.asarray(function(x, axis=chosen, keepdims=bool(node.get("keepdims", default=1))), x.dtype)

    return reduced


def highest(x: Array, **how: Any) -> Any:
    """The maximum, of nothing the least number there is."""
    return np.max(x, initial=limits(x.dtype)[0], **how)


def lowest(x: Array, **how: Any) -> Any:
    """The minimum, of nothing the greatest number there is."""
    return np.min(x, initial=limits(x.dtype)[1], **how)


def limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind in "iu":
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    return (False, True) if dtype.kind == "b" else (-np.inf, np.inf)


def dropout(node: Node, x: Array, ratio: Array | None = None, training: Array | None = None) -> tuple[Array, Array]:
    if training is not None and training:
        raise node.refuse("its training_mode is true, and a graph is run for inference here")
    return x, np.ones(x.shape, bool)


def matmul(node: Node, a: Array, b: Array) -> Array:
    return np.asarray(a @ b)


def gemm(node: Node, a: Array, b: Array, c: Array | None = None) -> Array:
    alpha, beta = (a.dtype.type(node.get(name, default=1.0)) for name in ("alpha", "beta"))
    product = alpha * ((a.T if node.get("transA") else a) @ (b.T if node.get("transB") else b))
    return product if c is None else product + beta * c


def divide(node: Node, a: Array, b: Array) -> Array:
    if a.dtype.kind not in "iu":
        return np.asarray(a / b)
    return np.asarray((np.abs(a) // np.abs(b) * (np.sign(a) * np.sign(b))).astype(a.dtype))  # towards zero


def normalized(function: Callable[[Array, int], Array]) -> Callable[[Node, Array], Array]:
    """Return the operator of a softmax, which before version 13 runs over all axes from the given one on."""

    def normalize(node: Node, x: Array) -> Array:
        if node.version >= 13:
            return function(x, node.get("axis", default=-1))
        axis = node.get("axis", default=1) % x.ndim
        return function(x.reshape(*x.shape[:axis], -1), -1).reshape(x.shape)

    return normalize


def plain(function: Callable[..., Any]) -> Callable[..., Array]:
    """Return the operator that is a function of its inputs alone."""
    return lambda node, *arrays: np.asarray(function(*arrays))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": plain(np.add), "Cast": cast, "Concat": concat, "Constant": constant, "ConstantOfShape": constant_of_shape,
    "Div": divide, "Dropout": dropout, "Equal": plain(np.equal),
    "Expand": expand, "Flatten": flatten, "Gather": gather, "GatherElements": gather_elements, "Gemm": gemm,
    "Identity": lambda node, x: x, "Less": plain(np.less), "LogSoftmax": normalized(log_softmax), "MatMul": matmul,
    "Max": lambda node, *arrays: reduce(np.maximum, arrays), "Mul": plain(np.multiply),
    "Neg": plain(np.negative), "OneHot": one_hot, "Range": range_, "ReduceMax": reduction(highest),
    "ReduceMean": reduction(np.mean), "ReduceMin": reduction(lowest), "ReduceProd": reduction(np.prod),
    "ReduceSum": reduction(np.sum), "Relu": plain(relu), "Reshape": reshape, "ScatterElements": scatter_elements,
    "Shape": shape, "Sigmoid": plain(sigmoid), "Slice": slice_, "Softmax": normalized(softmax), "Split": split,
    "Squeeze": squeeze, "Sub": plain(np.subtract), "Tanh": plain(np.tanh), "TopK": top_k, "Transpose": transpose,
    "Unsqueeze": unsqueeze, "Where": plain(np.where),
}  # fmt: skip
