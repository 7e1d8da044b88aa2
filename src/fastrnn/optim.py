"""Optimizers with torch's update rules, and the clipping of gradients.

Gradients come as the layers' `backward` gives them: one layer's {parameter name: array}, a list of such dicts, or a
dict of them by layer names. All of them are checked before the first parameter changes.

A parameter that two layers share (`Dense(..., tied=embedding)`) is updated once, with the sum of the gradients in its
layers' dicts. Clipping knows arrays alone and takes each for a gradient of its own, where torch clips the sum: to get
that, add the two up in one dict and leave the parameter out of the other, as the models do; `step` takes that too.

A gradient may be `SparseRows`, of layers made with ``sparse_grad=True``. Plain SGD and Adagrad then update these rows
alone, to the same numbers as by the dense gradient; rules that move a row also where its gradient is 0 (momentum,
weight decay, RMSprop, Adam, AdamW) refuse it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn._gradients import clip_grad_norm, clip_grad_value, leaves, named_gradients
from fastrnn.layers._module import Layer, check_number, check_size
from fastrnn.layers._parameter import Parameter, check_values
from fastrnn.layers.sparse import SparseRows

Array = NDArray[Any]
Options = dict[str, Any]

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm", "clip_grad_value"]


class Optimizer:
    """What all optimizers have in common; `SGD`, `RMSprop`, `Adagrad`, `Adam` and `AdamW` each add a rule.

    Parameters
    ----------
    target : layer, list of layers, or model
        Whose parameters are updated. It decides the form of the gradients: a layer's dict, a list of dicts in that
        order, or {layer name: dict}.
    **options : float or bool
        What the rule has to set; `lr`, the learning rate, can be assigned later too.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """

    def __init__(self, target: Any, **options: Any) -> None:
        self.target = target
        self._options = self._check({name: check_option(name, value) for name, value in options.items()})
        self._count = 0
        self._parameters = {
            prefix + name: parameter
            for prefix, layer in layers_of(target).items()
            for name, parameter in layer._parameters.items()
        }
        self._names: dict[str, list[str]] = {}  # of each parameter the first name: all its names
        first: dict[Parameter, str] = {}
        for name, parameter in self._parameters.items():
            self._names.setdefault(first.setdefault(parameter, name), []).append(name)
        start = self._options.get("initial_accumulator_value", 0.0)
        self._state = {
            name: {slot: np.full_like(self._parameters[name].stored, start) for slot in self._slots(self._options)}
            for name in self._names
        }

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self._options["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        self._options["lr"] = check_option("lr", value)

    def step(self, grads: Any) -> None:
        """Update all parameters in place, or, after an error, none.

        Parameters
        ----------
        grads : dict, list of dicts, or dict of dicts
            An array, or `SparseRows`, for every parameter in its shape, cast to its dtype; not modified.

        Raises
        ------
        ValueError
            Lists every missing, unexpected and misshapen gradient, or names one that is sparse where the rule has to
            move every row.
        """
        gradients = self._gradients(grads)
        self._count += 1
        for name, gradient in gradients.items():
            parameter = self._parameters[name]
            parameter.touch()  # first, so that not even Ctrl-C can leave a packed copy that seems up to date
            engine, state = _engine.load(parameter.stored.dtype), self._state[name]
            if isinstance(gradient, SparseRows):
                self._update_rows(engine, parameter.stored, gradient, state)
            else:
                self._update(engine, parameter.stored, gradient, state)
            parameter.touch()  # and last, since another thread may have packed what was half done

    def state_dict(self) -> dict[str, Any]:
        """Return all that an exact continuation needs, as copies.

        Returns
        -------
        dict
            {"step": updates made, "options": {name: value}, "state": {parameter name: {torch's name: array}}}, the
            arrays in the parameters' shapes, a shared parameter under the first of its names. In a list or a model
            names begin with the layer's position or name: "0.weight", "output.weight".
        """
        return {
            "step": self._count,
            "options": dict(self._options),
            "state": {
                name: {
                    slot: np.array(array.T if self._parameters[name].transposed else array, order="C")
                    for slot, array in arrays.items()
                }
                for name, arrays in self._state.items()
            },
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where the `state_dict` of such an optimizer was taken; all of it or, after an error, nothing.

        Raises
        ------
        ValueError
            Lists every missing, unexpected and misshapen entry, or names the option that is out of range.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, got {type(state_dict).__name__}")
        given = dict(leaves(state_dict))
        missing = [name for name in ("step", *(f"options.{name}" for name in self._options)) if name not in given]
        if missing:
            raise ValueError(f"state_dict must be of {type(self).__name__}, but has no {', '.join(missing)}")
        count = check_size(given.pop("step"), "step", least=0)
        options = self._check({name: check_option(name, given.pop(f"options.{name}")) for name in self._options})
        slots = self._slots(options)
        expected = {f"state.{name}.{slot}": self._parameters[name] for name in self._names for slot in slots}
        arrays = check_values(expected, given, "entries of state_dict")
        self._state = {
            name: {slot: self._parameters[name].in_storage(arrays[f"state.{name}.{slot}"]).copy() for slot in slots}
            for name in self._names
        }
        self._options, self._count = options, count

    def _gradients(self, grads: Any) -> dict[str, Array | SparseRows]:
        """Return each parameter's gradient as the parameter lies in memory, under the first of its names."""
        given = named_gradients(grads)
        expected: dict[str, Parameter] = {}
        for names in self._names.values():
            for name in [name for name in names if name in given] or names:
                expected[name] = self._parameters[name]
        sparse = {name: value for name, value in given.items() if isinstance(value, SparseRows)}
        shapes = {name: np.broadcast_to(rows.values.dtype.type(0), rows.shape) for name, rows in sparse.items()}
        arrays = check_values(expected, {**given, **shapes}, "grads")
        gradients: dict[str, Array | SparseRows] = {}
        for first, names in self._names.items():
            parameter, present = self._parameters[first], [name for name in names if name in arrays]
            if len(present) == 1 and present[0] in sparse:
                gradients[first] = self._check_rows(present[0], sparse[present[0]], parameter)
                continue
            wholes = [sparse[name].to_dense() if name in sparse else arrays[name] for name in present]
            parts = [parameter.in_storage(array) for array in wholes]
            gradients[first] = sum(parts[1:], start=parts[0])
        return gradients

    def _check_rows(self, name: str, rows: SparseRows, parameter: Parameter) -> SparseRows:
        """Return a sparse gradient as the parameter lies in memory, or refuse it."""
        if obstacle := self._obstacle():
            raise ValueError(
                f"grads has SparseRows for {name}, but {obstacle} moves rows whose gradient is 0 too: "
                "give its to_dense(), or make the layer without sparse_grad"
            )
        if rows.transposed != parameter.transposed:
            raise ValueError(f"grads must have SparseRows for {name} with transposed={parameter.transposed}")
        values = np.ascontiguousarray(rows.values, parameter.stored.dtype)
        return SparseRows(rows.indices, values, rows.shape, rows.transposed)

    def _obstacle(self) -> str:
        """What makes the rule change a parameter whose gradient is 0; "" for nothing."""
        return type(self).__name__

    def _update_rows(self, engine: Any, p: Array, g: SparseRows, state: dict[str, Array]) -> None:
        """Change some rows of a parameter, and what is remembered of them."""
        rows, some = p[g.indices], {slot: array[g.indices] for slot, array in state.items()}
        self._update(engine, rows, g.values, some)
        for slot, array in some.items():
            state[slot][g.indices] = array
        p[g.indices] = rows

    def _check(self, options: Options) -> Options:
        """Return the options if they go together."""
        return options

    def _slots(self, options: Options) -> list[str]:
        """Torch's names of what the rule remembers of each parameter's gradients."""
        raise AssertionError("every rule defines what it remembers")

    def _update(self, engine: Any, p: Array, g: Array, state: dict[str, Array]) -> None:
        """Change a parameter, and what is remembered, by its gradient."""
        raise AssertionError("every rule defines its update")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._options.items())})"


class SGD(Optimizer):
    """p ← p - lr g, or with momentum p ← p - lr b, b ← momentum b + (1 - dampening) g, at first b = g.

    Polyak (1964); torch.optim.SGD.

    Parameters
    ----------
    target : layer, list of layers, or model
        Whose parameters are updated.
    lr : float
        The learning rate.
    momentum, dampening : float
        Of the running sum b of gradients; without momentum there is none.
    weight_decay : float
        Adds weight_decay · p to g.
    nesterov : bool
        Go along g + momentum b instead of b (Sutskever et al. 2013); asks for momentum without dampening.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> dense = fastrnn.Dense(2, 1, init=0.0)
    >>> optimizer = fastrnn.optim.SGD(dense, lr=0.5)
    >>> optimizer.step({"weight": np.array([[1.0, 2.0]]), "bias": np.array([4.0])})
    >>> dense.parameters["weight"].tolist(), dense.parameters["bias"].tolist()
    ([[-0.5, -1.0]], [-2.0])
    """

    def __init__(
        self,
        target: Any,
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            target, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov
        )

    def _check(self, options: Options) -> Options:
        if options["nesterov"] and not (options["momentum"] > 0 and options["dampening"] == 0):
            raise ValueError(
                "nesterov needs momentum above 0 and dampening 0, "
                f"got momentum={options['momentum']} and dampening={options['dampening']}"
            )
        return options

    def _slots(self, options: Options) -> list[str]:
        return ["momentum_buffer"] if options["momentum"] else []

    def _obstacle(self) -> str:
        return next((f"SGD with {name}" for name in ("momentum", "weight_decay") if self._options[name]), "")

    def _update(self, engine: Any, p: Array, g: Array, state: dict[str, Array]) -> None:
        o = self._options
        keep, gain = (0.0, 1.0) if self._count == 1 else (o["momentum"], 1 - o["dampening"])
        ahead = o["momentum"] if o["nesterov"] else 0.0
        engine.sgd(p, g, state.get("momentum_buffer"), o["lr"], o["weight_decay"], keep, gain, ahead)


class RMSprop(Optimizer):
    """p ← p - lr g / (√s + eps), s ← alpha s + (1 - alpha) g² (Hinton 2012; torch.optim.RMSprop).

    Parameters
    ----------
    target : layer, list of layers, or model
        Whose parameters are updated.
    lr : float
        The learning rate.
    alpha : float
        Keeps that much of the running mean s, 0 ≤ alpha < 1.
    eps : float
        Bounds the divisor from below.
    weight_decay : float
        Adds weight_decay · p to g.
    momentum : float
        Where not 0: p ← p - lr b, b ← momentum b + g / (√s + eps).
    centered : bool
        Take the variance s - (running mean of g)² in place of s (Graves 2013); where rounding makes it negative, 0.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> dense = fastrnn.Dense(2, 1, init=0.0)
    >>> optimizer = fastrnn.optim.RMSprop(dense, lr=0.5, alpha=0.75)
    >>> optimizer.step({"weight": np.array([[1.0, -2.0]]), "bias": np.array([0.0])})
    >>> dense.parameters["weight"].round(4).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        target: Any,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            target, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )

    def _slots(self, options: Options) -> list[str]:
        wanted = {"square_avg": True, "grad_avg": options["centered"], "momentum_buffer": options["momentum"] > 0}
        return [name for name in wanted if wanted[name]]

    def _update(self, engine: Any, p: Array, g: Array, state: dict[str, Array]) -> None:
        o = self._options
        engine.rmsprop(
            p, g, state["square_avg"], state.get("grad_avg"), state.get("momentum_buffer"), o["lr"], o["weight_decay"],
            o["alpha"], o["eps"], o["momentum"],
        )  # fmt: skip


class Adagrad(Optimizer):
    """p ← p - lr / (1 + (t - 1) lr_decay) · g / (√s + eps), s ← s + g², t the update's number, from 1.

    Duchi, Hazan and Singer (2011); torch.optim.Adagrad.

    Parameters
    ----------
    target : layer, list of layers, or model
        Whose parameters are updated.
    lr, lr_decay : float
        The learning rate, and how fast it falls.
    weight_decay : float
        Adds weight_decay · p to g.
    initial_accumulator_value : float
        Where s starts.
    eps : float
        Bounds the divisor from below.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> dense = fastrnn.Dense(2, 1, init=0.0)
    >>> optimizer = fastrnn.optim.Adagrad(dense, lr=0.5)
    >>> optimizer.step({"weight": np.array([[1.0, -2.0]]), "bias": np.array([0.0])})
    >>> dense.parameters["weight"].tolist()
    [[-0.5, 0.5]]
    """

    def __init__(
        self,
        target: Any,
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            target, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, eps=eps,
        )  # fmt: skip

    def _slots(self, options: Options) -> list[str]:
        return ["sum"]

    def _obstacle(self) -> str:
        return "Adagrad with weight_decay" if self._options["weight_decay"] else ""

    def _update(self, engine: Any, p: Array, g: Array, state: dict[str, Array]) -> None:
        o = self._options
        rate = o["lr"] / (1 + (self._count - 1) * o["lr_decay"])
        engine.adagrad(p, g, state["sum"], rate, o["weight_decay"], o["eps"])


class Adam(Optimizer):
    """p ← p - lr m̂ / (√v̂ + eps), m̂ and v̂ the running means of g and g², free of their bias towards 0.

    m ← β₁ m + (1 - β₁) g, m̂ = m / (1 - β₁ᵗ) at update t; v and v̂ alike of g² by β₂ (Kingma and Ba 2015;
    torch.optim.Adam).

    Parameters
    ----------
    target : layer, list of layers, or model
        Whose parameters are updated.
    lr : float
        The learning rate.
    betas : pair of floats
        (β₁, β₂), each from 0 to below 1.
    eps : float
        Bounds the divisor from below.
    weight_decay : float
        Adds weight_decay · p to g.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> dense = fastrnn.Dense(2, 1, init=0.0)
    >>> optimizer = fastrnn.optim.Adam(dense, lr=0.5)
    >>> optimizer.step({"weight": np.array([[1.0, -2.0]]), "bias": np.array([0.0])})
    >>> dense.parameters["weight"].round(4).tolist()
    [[-0.5, 0.5]]
    """

    def __init__(
        self,
        target: Any,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(target, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _slots(self, options: Options) -> list[str]:
        return ["exp_avg", "exp_avg_sq"]

    def _decay(self) -> tuple[float, float]:
        """Return how much of p is added to g, and what p is multiplied by."""
        return self._options["weight_decay"], 1.0

    def _update(self, engine: Any, p: Array, g: Array, state: dict[str, Array]) -> None:
        o, (beta1, beta2) = self._options, self._options["betas"]
        step_size = o["lr"] / (1 - beta1**self._count)
        correction = math.sqrt(1 - beta2**self._count)
        engine.adam(
            p, g, state["exp_avg"], state["exp_avg_sq"], step_size, beta1, beta2, correction, o["eps"], *self._decay()
        )


class AdamW(Adam):
    """`Adam` with weight decay apart from the gradient: p ← (1 - lr · weight_decay) p before each update.

    Loshchilov and Hutter (2019); torch.optim.AdamW.

    Parameters
    ----------
    target, lr, betas, eps
        As of `Adam`.
    weight_decay : float
        Times lr, the share of p that an update takes away.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> dense = fastrnn.Dense(1, 1, seed=0, init=1.0)
    >>> before = dense.parameters["weight"].item()
    >>> optimizer = fastrnn.optim.AdamW(dense, lr=0.5, weight_decay=0.5)
    >>> optimizer.step({"weight": np.array([[0.0]]), "bias": np.array([0.0])})
    >>> round(dense.parameters["weight"].item() / before, 4)
    0.75
    """

    def __init__(
        self,
        target: Any,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(target, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _decay(self) -> tuple[float, float]:
        return 0.0, 1 - self._options["lr"] * self._options["weight_decay"]


def layers_of(target: Any) -> dict[str, Layer]:
    """Return {prefix of its parameters' names: layer} of what an optimizer takes."""
    layers: dict[str, Any] = {}
    if isinstance(target, Layer):
        layers = {"": target}
    elif isinstance(target, (list, tuple)):
        layers = {f"{position}.": layer for position, layer in enumerate(target)}
    elif "layers" in dir(target):
        layers = {f"{name}.": layer for name, layer in target.layers.items()}
    if not layers or not all(isinstance(layer, Layer) for layer in layers.values()):
        what = ", ".join(type(layer).__name__ for layer in layers.values())
        raise TypeError(
            f"target must be a layer, a list of layers or a model, got {type(target).__name__}"
            + (f" of {what}" if layers else "")
        )
    return layers


def check_option(name: str, value: Any) -> Any:
    """Return an option's value as a plain number, pair or boolean."""
    if name in ("nesterov", "centered"):
        return bool(value)
    if name == "betas":
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ValueError(f"betas must be a pair of numbers, got {value!r}")
        return tuple(check_number(beta, "betas", below=1) for beta in value)
    return check_number(value, name, below=1 if name == "alpha" else math.inf)
