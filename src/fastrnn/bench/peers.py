"""One problem, five libraries: the same weights and data, each run in its ordinary way on as many threads.

A runner has the calls that are timed: `forward` (inference), `train` (forward, backward, the gradients of the input and
of all parameters), `step` (one time step with a state, from Python; fastrnn's by a stream, which carries it) and
`update` (`train`, then Adam and whatever repacking the new weights need). `results(kind)` makes the same call and
returns arrays in one common form, so that the libraries can be checked to agree before they are timed. Layers are batch
first, float32; onnxruntime's are time-major, the only layout its CPU kernels have.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastrnn

Arrays = dict[str, NDArray[Any]]

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
GRIDS = {
    "small": {"H": (32, 256), "N": (1, 32), "T": (1, 32)},
    "full": {"H": (32, 64, 128, 256, 512, 1024), "N": (1, 8, 32, 128), "T": (1, 32, 128)},
}
KINDS = ("forward", "train", "step", "update")
RATE = 1e-6  # of Adam: the weights stay what they are, as far as speed goes
TOLERANCE = 1e-4  # every library computes in float32, in its own order and with its own tanh


class Point(NamedTuple):
    """A point of the grid; the input is as wide as the state."""

    cell: str
    H: int
    N: int
    T: int

    def __str__(self) -> str:
        return f"{self.cell} H={self.H} N={self.N} T={self.T}"

    def flops(self, kind: str) -> int:
        """Floating-point operations of the products; the gates' own are not counted."""
        passes = 3 if kind in ("train", "update") else 1
        return passes * 2 * GATES[self.cell] * self.H * (self.H + self.H) * self.N * self.T


def points(cells: Any, H: Any, N: Any, T: Any) -> Iterator[Point]:
    """Every point of a grid."""
    return (Point(*values) for values in product(cells, H, N, T))


class Problem:
    """The weights and data of a point, by torch's names and shapes, and the threads that a library may use."""

    def __init__(self, point: Point, threads: int = 1) -> None:
        cell, H, N, T = point
        rng = np.random.default_rng(0)
        rows, bound = GATES[cell] * H, H**-0.5
        shapes = {
            "weight_ih_l0": (rows, H),
            "weight_hh_l0": (rows, H),
            "bias_ih_l0": (rows,),
            "bias_hh_l0": (rows,),
        }
        self.point, self.threads = point, threads
        self.weights = {name: rng.uniform(-bound, bound, shape).astype("float32") for name, shape in shapes.items()}
        self.x = rng.standard_normal((N, T, H), "float32")
        self.dy = rng.standard_normal((N, T, H), "float32")
        self.state = tuple(rng.uniform(-1, 1, (1, N, H)).astype("float32") for _ in range(2 if cell == "lstm" else 1))


class Engine:
    """fastrnn's compiled layers."""

    namespace = "fastrnn"
    modules: ClassVar[tuple[str, ...]] = ("fastrnn",)
    kinds: ClassVar[tuple[str, ...]] = KINDS

    def __init__(self, problem: Problem) -> None:
        fastrnn.set_num_threads(problem.threads)
        self.layer = getattr(import_module(self.namespace), problem.point.cell.upper())(
            problem.point.H, problem.point.H
        )
        self.layer.load_state_dict(problem.weights)
        self.x, self.dy, self.x_step = problem.x, problem.dy, problem.x[:, 0].copy()
        self.state = problem.state if len(problem.state) == 2 else problem.state[0]
        self.stream = self.layer.stream(problem.point.N)
        self.optimizer: Any = None

    def forward(self) -> Any:
        return self.layer(self.x)

    def train(self) -> Any:
        _, _, tape = self.layer.forward(self.x)
        return self.layer.backward(tape, self.dy)

    def step(self) -> Any:
        return self.stream.step(self.x_step)

    def update(self) -> Any:
        if self.optimizer is None:
            self.optimizer = fastrnn.optim.Adam(self.layer, lr=RATE)
        dx, _, grads = self.train()
        self.optimizer.step(grads)
        return dx, None, grads

    def results(self, kind: str) -> Arrays:
        if kind in ("train", "update"):
            dx, _, grads = getattr(self, kind)()
            return {"dx": dx, **grads}
        if kind == "step":
            self.stream.state = self.state
            return named_outputs(self.step()[:, None], self.stream.state)
        return named_outputs(*self.forward())


class Reference(Engine):
    """The plain NumPy twins."""

    namespace = "fastrnn.reference"
    kinds = ("forward", "train", "step")


class Torch:
    """torch.nn's layers, eager."""

    modules = ("torch",)
    kinds: ClassVar[tuple[str, ...]] = KINDS
    suffix = "_l0"  # of a parameter's name

    def __init__(self, problem: Problem) -> None:
        import torch

        torch.set_num_threads(problem.threads)
        self.torch = torch
        self.layer = self.make_layer(problem.point)
        named = {name.removesuffix("_l0"): torch.from_numpy(value) for name, value in problem.weights.items()}
        self.layer.load_state_dict({name + self.suffix: value for name, value in named.items()})
        self.x, self.dy = torch.from_numpy(problem.x), torch.from_numpy(problem.dy)
        self.x_step = self.x[:, :1].clone()
        self.x_leaf = self.x.clone().requires_grad_()
        state = tuple(torch.from_numpy(part) for part in problem.state)
        self.state: Any = state if len(state) == 2 else state[0]
        self.optimizer: Any = None

    def make_layer(self, point: Point) -> Any:
        return getattr(self.torch.nn, point.cell.upper())(point.H, point.H, batch_first=True)

    def run(self, x: Any) -> Any:
        return self.layer(x)

    def forward(self) -> Any:
        with self.torch.inference_mode():
            return self.run(self.x)

    def train(self) -> None:
        self.layer.zero_grad(set_to_none=True)
        self.x_leaf.grad = None
        y, _ = self.run(self.x_leaf)
        y.backward(self.dy)

    def step(self) -> Any:
        with self.torch.inference_mode():
            return self.layer(self.x_step, self.state)

    def update(self) -> None:
        if self.optimizer is None:
            self.optimizer = self.torch.optim.Adam(self.layer.parameters(), lr=RATE, fused=True)
        self.train()
        self.optimizer.step()

    def results(self, kind: str) -> Arrays:
        if kind in ("train", "update"):
            getattr(self, kind)()
            named = {name.removesuffix(self.suffix) + "_l0": value for name, value in self.layer.named_parameters()}
            return {name: tensor.grad.numpy() for name, tensor in {"dx": self.x_leaf, **named}.items()}
        y, state = getattr(self, kind)()
        parts = state if isinstance(state, tuple) else (state,)
        N, _, H = self.x.shape  # a cell has neither steps nor layers
        return named_outputs(y.numpy().reshape(N, -1, H), tuple(part.numpy().reshape(1, N, H) for part in parts))


class TorchCells(Torch):
    """A Python loop over the steps with one of torch.nn's cells, which have less to prepare than its layers."""

    kinds: ClassVar[tuple[str, ...]] = ("forward", "train", "step")
    most_steps = 8  # beyond them the layers are faster
    suffix = ""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.x_step = self.x_step[:, 0]
        self.state = tuple(part[0] for part in self.state) if isinstance(self.state, tuple) else self.state[0]

    def make_layer(self, point: Point) -> Any:
        return getattr(self.torch.nn, f"{point.cell.upper()}Cell")(point.H, point.H)

    def run(self, x: Any) -> Any:
        state, y = None, []
        for x_step in x.unbind(1):
            state = self.layer(x_step, state)
            y.append(state[0] if isinstance(state, tuple) else state)
        return self.torch.stack(y, 1), state

    def step(self) -> Any:
        with self.torch.inference_mode():
            state = self.layer(self.x_step, self.state)
            return (state[0] if isinstance(state, tuple) else state), state


class OnnxRuntime:
    """A graph of one operator, its weights constant; inference only."""

    modules = ("onnx", "onnxruntime")
    kinds = ("forward", "step")
    # the operator's order of our gates, and its attributes
    operators: ClassVar[dict[str, tuple[tuple[int, ...], dict[str, Any]]]] = {
        "rnn": ((0,), {}),
        "lstm": ((0, 3, 1, 2), {}),
        "gru": ((1, 0, 2), {"linear_before_reset": 1}),
    }

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        x = problem.x.swapaxes(0, 1)
        states = dict(zip(("initial_h", "initial_c"), problem.state, strict=False))
        self.feeds = {
            "forward": {"X": np.ascontiguousarray(x)},
            "step": {"X": np.ascontiguousarray(x[:1]), **states},
        }
        self.sessions: dict[str, Any] = {}

    def session(self, kind: str) -> Any:
        if kind not in self.sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = self.problem.threads, 1
            self.sessions[kind] = onnxruntime.InferenceSession(
                self.model(self.feeds[kind]), options, providers=["CPUExecutionProvider"]
            )
        return self.sessions[kind]

    def model(self, feed: Arrays) -> bytes:
        """Return the graph for inputs of fixed sizes."""
        from onnx import TensorProto, helper, numpy_helper

        cell, H, N, _ = self.problem.point
        order, attributes = self.operators[cell]
        weights = {
            name: np.concatenate([np.split(value, len(order))[k] for k in order])
            for name, value in self.problem.weights.items()
        }
        constants = {
            "W": weights["weight_ih_l0"][None],
            "R": weights["weight_hh_l0"][None],
            "B": np.concatenate([weights["bias_ih_l0"], weights["bias_hh_l0"]])[None],
        }
        state, outputs = ("initial_h", "initial_c"), ("Y", "Y_h", "Y_c")[: 1 + len(self.problem.state)]
        shapes = {"Y": (len(feed["X"]), 1, N, H), "Y_h": (1, N, H), "Y_c": (1, N, H)}
        inputs = ["X", *constants, "", *(name for name in state if name in feed)]
        graph = helper.make_graph(
            [helper.make_node(cell.upper(), inputs, outputs, hidden_size=H, **attributes)],
            cell,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in feed.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        return model.SerializeToString()

    def forward(self) -> Any:
        return self.session("forward").run(None, self.feeds["forward"])

    def step(self) -> Any:
        return self.session("step").run(None, self.feeds["step"])

    def results(self, kind: str) -> Arrays:
        y, *state = getattr(self, kind)()
        return named_outputs(y[:, 0].swapaxes(0, 1), tuple(state))


class Jax:
    """A scan over the steps, compiled for its shapes; the input's share of all steps is one product before it."""

    modules = ("jax",)
    kinds = ("forward", "train", "step")

    def __init__(self, problem: Problem) -> None:
        import jax

        self.jax = jax
        self.step_of = getattr(self, problem.point.cell)
        self.weights = {name: jax.numpy.asarray(value) for name, value in problem.weights.items()}
        self.x, self.dy = jax.numpy.asarray(problem.x), jax.numpy.asarray(problem.dy)
        self.x_step, self.state = self.x[:, :1], tuple(jax.numpy.asarray(part[0]) for part in problem.state)
        self.start = tuple(jax.numpy.zeros_like(part) for part in self.state)
        self.run, self.gradients = jax.jit(self.sequence), jax.jit(jax.grad(self.product, argnums=(0, 1)))

    def sequence(self, weights: Any, x: Any, state: Any) -> Any:
        """Return y (N, T, H) and the final state."""
        z = x.swapaxes(0, 1) @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]

        def step(state: Any, z: Any) -> Any:
            state = self.step_of(z, state[0] @ weights["weight_hh_l0"].T + weights["bias_hh_l0"], *state)
            return state, state[0]

        state, y = self.jax.lax.scan(step, state, z)
        return y.swapaxes(0, 1), state

    def product(self, weights: Any, x: Any) -> Any:
        """Return what has dy for the gradient of y."""
        return self.jax.numpy.vdot(self.sequence(weights, x, self.start)[0], self.dy)

    def rnn(self, z: Any, s: Any, h: Any) -> Any:
        return (self.jax.numpy.tanh(z + s),)

    def lstm(self, z: Any, s: Any, h: Any, c: Any) -> Any:
        sigmoid, tanh = self.jax.nn.sigmoid, self.jax.numpy.tanh
        i, f, g, o = self.jax.numpy.split(z + s, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def gru(self, z: Any, s: Any, h: Any) -> Any:
        (zr, zu, zn), (sr, su, sn) = (self.jax.numpy.split(part, 3, axis=-1) for part in (z, s))
        u = self.jax.nn.sigmoid(zu + su)
        n = self.jax.numpy.tanh(zn + self.jax.nn.sigmoid(zr + sr) * sn)
        return ((1 - u) * n + u * h,)

    def forward(self) -> Any:
        return self.jax.block_until_ready(self.run(self.weights, self.x, self.start))

    def train(self) -> Any:
        return self.jax.block_until_ready(self.gradients(self.weights, self.x))

    def step(self) -> Any:
        return self.jax.block_until_ready(self.run(self.weights, self.x_step, self.state))

    def results(self, kind: str) -> Arrays:
        getattr(self, kind)()  # compiles: the call below is one as it is timed
        if kind == "train":
            weights, dx = self.train()
            return {"dx": np.asarray(dx), **{name: np.asarray(weights[name]) for name in self.weights}}
        y, state = getattr(self, kind)()
        return named_outputs(np.asarray(y), tuple(np.asarray(part)[None] for part in state))


RUNNERS: dict[str, Any] = {
    "fastrnn": Engine,
    "reference": Reference,
    "torch": Torch,
    "torch cells": TorchCells,
    "onnxruntime": OnnxRuntime,
    "jax": Jax,
}


PEERS = [name for name in RUNNERS if name not in ("fastrnn", "reference")]


def absent() -> list[str]:
    """The libraries that are not installed."""
    return [name for name, runner in RUNNERS.items() if not all(find_spec(module) for module in runner.modules)]


def takes_part(name: str, kind: str, point: Point) -> bool:
    """Whether a library, if it is installed, is run at a point."""
    runner = RUNNERS[name]
    return kind in runner.kinds and (kind == "step" or point.T <= getattr(runner, "most_steps", point.T))


def named_outputs(y: NDArray[Any], state: Any) -> Arrays:
    """Return the output and the final state by name."""
    return {"y": y, **dict(zip(("h", "c"), state if isinstance(state, tuple) else (state,), strict=False))}


def check_equal(name: str, got: Arrays, expected: Arrays) -> None:
    """Refuse to compare the speed of libraries that compute different things."""
    if got.keys() != expected.keys():
        raise ValueError(f"{name} returns {', '.join(got)}, expected {', '.join(expected)}")
    for key, value in expected.items():
        error = np.abs(got[key] - value).max() / max(1.0, np.abs(value).max())
        if got[key].shape != value.shape or not error <= TOLERANCE:
            raise ValueError(f"{key} of {name} differs from fastrnn's by {error:.1e}")
