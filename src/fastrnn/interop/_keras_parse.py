"""A Keras configuration as the steps of a `Sequential`, or the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from fastrnn.interop._functions import FUNCTIONS
from fastrnn.interop._keras_weights import parameters_of, suffixes
from fastrnn.interop.sequential import ActivationStep, DenseStep, EmbeddingStep, MaskingStep, RecurrentStep, Step
from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding
from fastrnn.layers.recurrent import Recurrent

Array = NDArray[Any]
Config = dict[str, Any]
Weights = list[list[Array]]  # of the parts of a layer

CELLS: dict[str, type[Recurrent]] = {"SimpleRNN": RNN, "LSTM": LSTM, "GRU": GRU}
ACTIVATIONS: dict[str, Any] = {  # Keras' name: ours
    **{name: name for name in ("tanh", "relu", "sigmoid", "linear", "elu", "softplus", "softsign")},
    "hard_sigmoid": ("hard_sigmoid", 1 / 6, 0.5), "leaky_relu": ("leaky_relu", 0.2),
}  # fmt: skip
NOTHING_AT_INFERENCE = ("InputLayer", "SpatialDropout1D", "GaussianDropout", "GaussianNoise")


@dataclass(frozen=True)
class Recurrence:
    """A recurrent layer of Keras, as yet without neighbours to be stacked with."""

    cell: type[Recurrent]
    options: Config  # of the fastrnn layer
    cells: Weights
    go_backwards: bool
    return_sequences: bool
    pad: str
    stateful: bool

    def can_carry(self, above: Recurrence) -> bool:
        """Return whether `above`, which reads this layer's output, can be the next layer of one stack."""
        same = (self.cell, self.options, self.stateful) == (above.cell, above.options, above.stateful)
        return same and self.return_sequences and not self.go_backwards and not above.go_backwards


@dataclass(frozen=True)
class Dropping:
    """A Dropout layer: nothing at inference, and what a stack does between its layers in training."""

    rate: float


def steps_of(layers: list[Config], weights: dict[str, Weights]) -> list[Step]:
    """Return the steps of a chain of layers; equal recurrent layers that follow one another become one stack."""
    steps: list[Step] = []
    stack: list[Recurrence] = []
    rates: list[float] = []  # below each layer of the stack
    rate = 0.0
    for config in layers:
        link = parse(config, weights.get(config["config"].get("name"), []))
        if isinstance(link, Dropping):
            rate += link.rate - rate * link.rate  # of two masks in a row
        elif isinstance(link, Recurrence):
            if not (stack and stack[-1].can_carry(link) and all(other == rate for other in rates[1:])):
                steps += built(stack, rates)
                stack, rates = [], []
            stack.append(link)
            rates.append(rate)
            rate = 0.0
        elif link is not None:
            steps += built(stack, rates)
            stack, rates, rate = [], [], 0.0
            steps.append(link)
    return steps + built(stack, rates)


def built(stack: list[Recurrence], rates: list[float]) -> list[Step]:
    """Return the step of some equal recurrent layers, or none for none."""
    if not stack:
        return []
    top = stack[-1]
    dropout = rates[1] if len(rates) > 1 else 0.0
    layer = top.cell(len(stack[0].cells[0][0]), num_layers=len(stack), dropout=dropout, init=0.0, **top.options)
    values: dict[str, Array] = {}
    for recurrence, names in zip(stack, suffixes(layer), strict=True):
        for arrays, suffix in zip(recurrence.cells, names, strict=True):
            values |= parameters_of(arrays, suffix, isinstance(layer, GRU))
    layer.load_state_dict(values)
    return [RecurrentStep(layer, top.go_backwards, top.return_sequences, top.pad, top.stateful)]


def parse(layer: Config, weights: Weights) -> Recurrence | Dropping | Step | None:
    """Return what a layer's configuration says, None where it says nothing at inference."""
    kind, config = layer["class_name"], layer["config"]
    if not str(layer.get("module")).split(".")[0] == "keras":
        raise refusal(layer, "only Keras' own layers have equations that are known here")
    if kind in CELLS:
        return parse_recurrent(layer, weights)
    if kind == "Bidirectional":
        return parse_bidirectional(layer, weights)
    if kind == "TimeDistributed":
        if config["layer"]["class_name"] != "Dense":
            raise refusal(layer, f"it must be around a Dense, got {config['layer']['class_name']}")
        return parse(config["layer"], weights)
    if config.get("lora_rank"):
        raise refusal(layer, "it has weights of LoRA beside its own: merge them first")
    if kind == "Embedding":
        dtype = dtype_of(layer)
        (table,) = weights[0]
        embedding = Embedding(*table.shape, dtype=dtype)
        embedding.load_state_dict({"weight": table})
        return EmbeddingStep(embedding, config["mask_zero"])
    if kind == "Dense":
        dtype = dtype_of(layer)
        kernel, *bias = weights[0]
        dense = Dense(kernel.shape[0], kernel.shape[1], bias=bool(bias), dtype=dtype)
        dense.load_state_dict({"weight": kernel.T} | ({"bias": bias[0]} if bias else {}))
        return DenseStep(dense, named(layer, "activation", list(FUNCTIONS)))
    if kind == "Activation":
        return ActivationStep(named(layer, "activation", list(FUNCTIONS)))
    if kind == "Masking":
        return MaskingStep(config["mask_value"])
    if kind == "Dropout":
        return Dropping(config["rate"])
    if kind in NOTHING_AT_INFERENCE:
        return None
    raise refusal(
        layer, "known are SimpleRNN, LSTM, GRU, Bidirectional, Embedding, Dense, TimeDistributed(Dense), Masking, "
        "Activation, Dropout and noise",
    )  # fmt: skip


def parse_recurrent(layer: Config, weights: Weights) -> Recurrence:
    kind, config = layer["class_name"], layer["config"]
    options = {"hidden_size": config["units"], "bias": config["use_bias"], "dtype": dtype_of(layer)}
    activation = ACTIVATIONS[named(layer, "activation", list(ACTIVATIONS))]
    if kind == "SimpleRNN":
        options["nonlinearity"] = activation
    else:
        gate = ACTIVATIONS[named(layer, "recurrent_activation", list(ACTIVATIONS))]
        options["activations"] = (gate, activation, activation) if kind == "LSTM" else (gate, activation)
    if kind == "GRU":
        options["reset_after"] = config["reset_after"]
    pad = "zero" if config.get("zero_output_for_mask") else "hold"
    return Recurrence(
        CELLS[kind], options, weights, config["go_backwards"], config["return_sequences"], pad, config["stateful"]
    )


def parse_bidirectional(layer: Config, weights: Weights) -> Recurrence:
    config = layer["config"]
    if config["merge_mode"] != "concat":
        raise refusal(
            layer, f'merge_mode must be "concat", got {config["merge_mode"]!r}: a fastrnn layer has both directions '
            "side by side",
        )  # fmt: skip
    sides = [config["layer"], config["backward_layer"]]
    for side in sides:
        if side["class_name"] not in CELLS:
            raise refusal(layer, f"it must be around SimpleRNN, LSTM or GRU, got {side['class_name']}")
    forward, backward = (parse_recurrent(side, [part]) for side, part in zip(sides, weights, strict=True))
    if forward.go_backwards:
        raise refusal(layer, "its forward layer goes backwards, so that its outputs are of different steps")
    if (forward.cell, forward.options) != (backward.cell, backward.options):
        raise refusal(layer, "its two directions differ in more than their weights")
    pad = "zero" if forward.return_sequences else "hold"  # Bidirectional sets zero_output_for_mask so
    return Recurrence(
        forward.cell, forward.options | {"bidirectional": True}, weights, False, forward.return_sequences, pad,
        forward.stateful,
    )  # fmt: skip


def chain_of(model: Config) -> list[Config]:
    """Return the layers of a model from the input to the output, which must be one chain."""
    if model["class_name"] not in ("Sequential", "Functional"):
        raise refusal(model, "only Sequential and functional models say what they compute")
    chain = model["config"]["layers"] if model["class_name"] == "Sequential" else functional_chain(model)
    for layer in chain:
        inner = layer["config"]["layer"] if layer["class_name"] == "Bidirectional" else layer
        if inner["config"].get("return_state"):
            raise refusal(layer, "return_state gives it several outputs, and a chain of layers has one")
    return chain


def functional_chain(model: Config) -> list[Config]:
    """Return the layers of a functional model, found from its output back to its input."""
    layers = model["config"]["layers"]
    by_name = {layer["name"]: layer for layer in layers}
    inputs, outputs = model["config"]["input_layers"], model["config"]["output_layers"]
    if not all(len(ends) == 3 and isinstance(ends[0], str) for ends in (inputs, outputs)):
        raise refusal(model, f"it must have one input and one output, got {inputs} and {outputs}")
    chain: list[Config] = []
    name = outputs[0]
    while True:
        layer = by_name[name]
        chain.insert(0, layer)
        if name == inputs[0]:
            break
        name = only_source(layer)
    check_masks(model, by_name, chain)
    return chain


def only_source(layer: Config) -> str:
    """Return the name of the one layer whose output a layer of a functional model reads."""
    nodes = layer["inbound_nodes"]
    read = [argument for node in nodes for argument in node["args"]]
    if len(nodes) != 1 or len(read) != 1 or not is_tensor(read[0]):
        raise refusal(layer, "it must be called once, on the output of one layer: only a chain of layers is read")
    options = [name for name, value in nodes[0]["kwargs"].items() if value not in (None, False) and name != "mask"]
    if options:
        raise refusal(layer, f"it is called with {', '.join(options)}, which is not kept")
    return read[0]["config"]["keras_history"][0]


def is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def check_masks(model: Config, by_name: dict[str, Config], chain: list[Config]) -> None:
    """Refuse what stands beside the chain, but the operations by which Embedding and Masking make their masks."""
    made = []
    for below, layer in pairwise(chain):
        if layer["class_name"] == "Masking":
            made.append((below["name"], layer["config"]["mask_value"]))
        if layer["class_name"] == "Embedding" and layer["config"]["mask_zero"]:
            made.append((below["name"], 0))
    for layer in by_name.values():
        if layer in chain or layer["class_name"] == "Any":
            continue
        arguments = layer["inbound_nodes"][0]["args"] if layer["class_name"] == "NotEqual" else []
        if len(arguments) != 2 or (arguments[0]["config"]["keras_history"][0], arguments[1]) not in made:
            raise refusal(layer, "it stands beside the chain from the input to the output")


def named(layer: Config, which: str, known: list[str]) -> str:
    """Return the name of an activation that can be held here."""
    given = layer["config"][which]
    name = "linear" if given is None else given
    if not isinstance(name, str) or name not in known:
        raise refusal(layer, f"{which} must be one of {', '.join(known)}, got {given!r}")
    return name


def dtype_of(layer: Config) -> str:
    """Return the precision of a layer's weights and arithmetic."""
    policy = layer["config"].get("dtype")
    name = policy["config"].get("name", policy["class_name"]) if isinstance(policy, dict) else policy
    if name not in ("float32", "float64") or layer["config"].get("quantization_config"):
        raise refusal(layer, f"its dtype policy must be float32 or float64, not quantized, got {name}")
    return name


def refusal(layer: Config, reason: str) -> ValueError:
    name = layer["config"].get("name", "")
    return ValueError(f"the Keras layer {layer['class_name']} {name!r} cannot be converted: {reason}")
