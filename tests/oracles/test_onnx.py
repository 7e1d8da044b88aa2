"""ONNX graphs run here against onnxruntime and torch, and layers written as graphs against onnxruntime."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, make, normal, oracle, python, state_like
from onnx_node import run_model

import fastrnn
from fastrnn import interop

onnx = oracle("onnx")

TOLERANCE = 4e-6  # both sides compute in float32
T, N, I, H = 6, 4, 3, 5
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
WEIGHTS = ("W", "R", "B", "P")


def graph_of(nodes, inputs, outputs, constants=None, version=14):
    """A model with the types of some inputs, outputs of any shape, and constants."""

    def described(name, array=None):
        number = onnx.TensorProto.FLOAT if array is None else onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        return onnx.helper.make_tensor_value_info(name, number, None if array is None else [None] * array.ndim)

    graph = onnx.helper.make_graph(
        nodes, "graph", [described(*item) for item in inputs.items()], [described(name) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)], ir_version=8)


def recurrent(operator, direction="forward", *, lengths=None, missing=(), outputs=None, dtype="float32", **attributes):
    """A model of one node with constant weights, and its inputs; `missing` are those that are left out."""
    D, G = DIRECTIONS[direction], GATES[operator]
    values = {
        "X": normal("X", T, N, I), "W": normal("W", D, G * H, I) / 2, "R": normal("R", D, G * H, H) / 2,
        "B": normal("B", D, 2 * G * H) / 2, "sequence_lens": None if lengths is None else np.array(lengths, "int32"),
        "initial_h": normal("h", D, N, H),
    }  # fmt: skip
    if operator == "LSTM":
        values |= {"initial_c": normal("c", D, N, H), "P": normal("P", D, 3 * H) / 2}
    values = {
        name: None if value is None or name in missing else value.astype(dtype if value.dtype == "f" else value.dtype)
        for name, value in values.items()
    }
    names = outputs or (["Y", "Y_h", "Y_c"] if operator == "LSTM" else ["Y", "Y_h"])
    node = onnx.helper.make_node(
        operator, [name if value is not None else "" for name, value in values.items()], names, hidden_size=H,
        direction=direction, **attributes,
    )  # fmt: skip
    given = {name: value for name, value in values.items() if value is not None}
    inputs = {name: value for name, value in given.items() if name not in WEIGHTS}
    constants = {name: value for name, value in given.items() if name in WEIGHTS}
    return graph_of([node], inputs, [name for name in names if name], constants), inputs


def assert_equals_onnxruntime(model, inputs, tolerance=TOLERANCE):
    got, expected = interop.from_onnx(model).run(inputs), run_model(model.SerializeToString(), inputs)
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert got[name].dtype == value.dtype
        assert_close(got[name], value, tolerance, name)


@pytest.mark.parametrize("lengths", [None, [6, 0, 3, 1]], ids=["whole", "sequence_lens"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("operator", "attributes"),
    [("RNN", {}), ("LSTM", {}), ("GRU", {"linear_before_reset": 0}), ("GRU", {"linear_before_reset": 1})],
    ids=["rnn", "lstm", "gru-before", "gru-after"],
)
def test_recurrent(operator, attributes, direction, lengths):
    """Every direction; a row of length 0 ends at a zero state, whatever state it was given."""
    assert_equals_onnxruntime(*recurrent(operator, direction, lengths=lengths, missing=("P",), **attributes))


@pytest.mark.parametrize("missing", [("B",), ("initial_h",), ("initial_c",), ("B", "initial_h", "initial_c")], ids=str)
@pytest.mark.parametrize("operator", GATES)
def test_missing_inputs(operator, missing):
    assert_equals_onnxruntime(*recurrent(operator, "bidirectional", missing=(*missing, "P")))


LSTM_ATTRIBUTES = {
    "peepholes": {},
    "clip": {"clip": 0.3},
    "input_forget": {"input_forget": 1},
    "all": {
        "clip": 0.7, "input_forget": 1, "activations": ["HardSigmoid", "Elu", "Softsign"],
        "activation_alpha": [0.3, 0.8], "activation_beta": [0.4],
    },
}  # fmt: skip


@pytest.mark.parametrize("lengths", [None, [6, 0, 3, 1]], ids=["whole", "sequence_lens"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", LSTM_ATTRIBUTES)
def test_lstm_attributes(name, direction, lengths):
    """Everything that an LSTM node may have, with peepholes."""
    attributes = {
        key: value * DIRECTIONS[direction] if isinstance(value, list) else value
        for key, value in LSTM_ATTRIBUTES[name].items()
    }
    assert_equals_onnxruntime(*recurrent("LSTM", direction, lengths=lengths, **attributes))


# {function: the alpha and beta that it reads}
FUNCTIONS = {
    "Tanh": [], "Relu": [], "Sigmoid": [], "Softsign": [], "Softplus": [], "Affine": [0.5, 0.1], "LeakyRelu": [0.3],
    "ThresholdedRelu": [0.2], "ScaledTanh": [0.7, 1.3], "HardSigmoid": [0.3, 0.4], "Elu": [0.6],
}  # fmt: skip
DEFAULTS = ["LeakyRelu", "HardSigmoid", "Elu"]  # of the others onnxruntime has defaults of its own
PLACES = {  # of the function, in a node whose directions differ
    "RNN": lambda name: [name, "Tanh"],
    "GRU": lambda name: ["HardSigmoid", name, "Sigmoid", "Elu"],
    "LSTM": lambda name: ["HardSigmoid", name, "ScaledTanh", "Sigmoid", "Elu", name],
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("operator", GATES)
def test_activations(operator, name):
    """Alphas and betas are consumed in turn by the functions that read one, in both directions."""
    names = PLACES[operator](name)
    numbers = [FUNCTIONS[one] for one in names]
    attributes = {
        "activations": names,
        "activation_alpha": [pair[0] for pair in numbers if pair],
        "activation_beta": [pair[1] for pair in numbers if len(pair) == 2],
    }
    attributes = {key: value for key, value in attributes.items() if value}
    model, inputs = recurrent(operator, "bidirectional", lengths=[6, 1, 3, 4], missing=("P",), **attributes)
    assert_equals_onnxruntime(model, inputs)
    assert len(interop.from_onnx(model).layers) == (1 if (operator, name) == ("RNN", "Tanh") else 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_default_numbers(name):
    if FUNCTIONS[name] and name not in DEFAULTS:
        model, _ = recurrent("RNN", activations=[name])
        with pytest.raises(ValueError, match=f"must have a number for {name}"):
            interop.from_onnx(model)
    else:
        assert_equals_onnxruntime(*recurrent("RNN", activations=[name]))


@pytest.mark.parametrize("clip", [0.2, 5.0])
@pytest.mark.parametrize("after", [0, 1])
def test_clip(clip, after):
    assert_equals_onnxruntime(*recurrent("RNN", "bidirectional", clip=clip))
    assert_equals_onnxruntime(*recurrent("GRU", "bidirectional", clip=clip, linear_before_reset=after))


@pytest.mark.parametrize("outputs", [["Y"], ["", "Y_h"], ["", "", "Y_c"]], ids=str)
def test_missing_outputs(outputs):
    assert_equals_onnxruntime(*recurrent("LSTM", outputs=outputs, missing=("P",)))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("operator", GATES)
def test_layout(operator, direction):
    """Layout 1, which onnxruntime does not have, is layout 0 with the batch first everywhere."""
    lengths = [6, 2, 3, 1]
    model, inputs = recurrent(operator, direction, lengths=lengths, missing=("P",))
    expected = interop.from_onnx(model).run(inputs)
    turned, _ = recurrent(operator, direction, lengths=lengths, missing=("P",), layout=1)
    got = interop.from_onnx(turned).run({name: batch_first(value) for name, value in inputs.items()})
    assert_same_bits(got.pop("Y"), np.ascontiguousarray(expected.pop("Y").transpose(2, 0, 1, 3)))
    assert_same_bits(got, {name: batch_first(value) for name, value in expected.items()})


@pytest.mark.parametrize("shape", [(1, 2), (2, 3), (3, 1)])
def test_gathered_elements_are_as_many_as_indices(shape):
    """Indices are not stretched to the data's other axes, of which they may cover a part."""
    indices = np.random.default_rng(0).integers(0, 4, shape)
    node = onnx.helper.make_node("GatherElements", ["X", "indices"], ["Y"], axis=1)
    inputs = {"X": normal("X", 3, 4, dtype="float32"), "indices": indices}
    assert_equals_onnxruntime(graph_of([node], inputs, ["Y"]), inputs, 0)


def batch_first(value):
    return value if value.ndim == 1 else np.ascontiguousarray(value.swapaxes(0, 1))


def test_float64_and_weights_that_are_computed():
    """Weights may be inputs or results of other nodes; then each run has its own, and `layers` has none."""
    model, inputs = recurrent("GRU", "bidirectional", dtype="float64")
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    expected = interop.from_onnx(model).run(inputs)
    assert expected["Y"].dtype == "float64"
    node = model.graph.node[0]
    free = interop.from_onnx(graph_of([node], inputs | weights, ["Y", "Y_h"]))
    assert free.layers == [] and free.inputs == [*inputs, *weights]
    assert_same_bits(free.run(inputs | weights), expected)
    half = free.run(inputs | {name: value / 2 for name, value in weights.items()})
    assert np.abs(half["Y"] - expected["Y"]).max() > 1e-3
    assert_same_bits(free.run(inputs | weights), expected)


def test_layers_are_the_models_own():
    model, inputs = recurrent("LSTM", missing=("P",))
    ours = interop.from_onnx(model)
    (layer,) = ours.layers
    state = (inputs["initial_h"], inputs["initial_c"])
    assert_same_bits(np.ascontiguousarray(ours.run(inputs)["Y"][:, 0]), layer(inputs["X"], state)[0])
    stream = layer.stream(N)
    stream.state = state
    for t in range(T):
        assert_same_bits(stream.step(inputs["X"][t]), np.ascontiguousarray(ours.run(inputs)["Y"][t, 0]))
    layer.set_parameters(weight_ih_l0=np.zeros((4 * H, I)))
    assert_same_bits(np.ascontiguousarray(ours.run(inputs)["Y"][:, 0]), layer(inputs["X"], state)[0])


def test_copies():
    """A pickled model runs alike, and its layers are its own."""
    model, inputs = recurrent("GRU", "bidirectional", lengths=[6, 0, 3, 1])
    ours = interop.from_onnx(model)
    expected = ours.run(inputs)
    for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert_same_bits(copied.run(inputs), expected)
        copied.layers[0].set_parameters(weight_hh_l0=np.zeros((3 * H, H)))
        assert np.abs(copied.run(inputs)["Y"] - expected["Y"]).max() > 1e-3
    assert_same_bits(ours.run(inputs), expected)


def test_results_are_new_arrays():
    identity = onnx.helper.make_node("Identity", ["x"], ["y"])
    also = onnx.helper.make_node("Identity", ["w"], ["z"])
    x, w = normal("x", 3), normal("w", 3)
    model = interop.from_onnx(graph_of([identity, also], {"x": x}, ["y", "z"], {"w": w}))
    first = model.run({"x": x})
    for value in first.values():
        value += 1
    assert_same_bits(model.run({"x": x}), {"y": x, "z": w})


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_softmax_before_version_13(operator):
    """Then it runs over all axes from the given one on."""
    node = onnx.helper.make_node(operator, ["x"], ["y"], axis=1)
    x = normal("x", 2, 3, 4)
    assert_equals_onnxruntime(graph_of([node], {"x": x}, ["y"], version=11), {"x": x})


def test_older_forms():
    """What an input says in later versions, an attribute says in earlier ones."""
    nodes = [
        onnx.helper.make_node("Slice", ["x"], ["a"], starts=[1, -2], ends=[9, 2], axes=[0, 2]),
        onnx.helper.make_node("Unsqueeze", ["a"], ["b"], axes=[0, 3]),
        onnx.helper.make_node("Squeeze", ["b"], ["c"], axes=[0]),
        onnx.helper.make_node("Split", ["c"], ["d", "e"], axis=1, split=[1, 2]),
        onnx.helper.make_node("TopK", ["e"], ["f", "places"], axis=1, k=1),
        onnx.helper.make_node("ReduceSum", ["f"], ["y"], axes=[0], keepdims=0),
    ]
    x = normal("x", 3, 3, 2)
    assert_equals_onnxruntime(graph_of(nodes, {"x": x}, ["y", "d"], version=9), {"x": x})


# Five models of torch, as its exporter writes them.


def torch_models(torch):
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 6)
            self.lstm = nn.LSTM(6, H, 2, bidirectional=True, batch_first=True)
            self.out = nn.Linear(2 * H, 4)

        def forward(self, ids):
            return torch.log_softmax(self.out(self.lstm(self.embedding(ids))[0]), -1)

    class EncoderDecoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.GRU(3, H, batch_first=True), nn.GRU(2, H, batch_first=True)
            self.out = nn.Linear(H, 2)

        def forward(self, x, target):
            return self.out(self.decoder(target, self.encoder(x)[1])[0])

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.out = nn.GRU(3, H, 2), nn.Linear(H, 3)

        def forward(self, x):
            return torch.softmax(self.out(self.gru(x)[1][-1]), -1)

    class Characters(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(20, 6), nn.LSTM(6, H, 2, batch_first=True)
            self.out = nn.Linear(H, 20)

        def forward(self, ids, h, c):
            y, (h, c) = self.lstm(self.embedding(ids), (h, c))
            return self.out(y), h, c

    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(3, H, bidirectional=True, batch_first=True), nn.Linear(2 * H, 2)

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, (h, _) = self.lstm(packed)
            return self.out(nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0]), h

    return {cls.__name__: cls for cls in (Tagger, EncoderDecoder, Classifier, Characters, Packed)}


def ids(N, T):
    return np.random.default_rng(N * T).integers(0, 20, (N, T))


# For each: its inputs for N rows and T steps, and which axes may vary.
INPUTS = {
    "Tagger": lambda N, T: [ids(N, T)],
    "EncoderDecoder": lambda N, T: [normal("x", N, T, 3), normal("y", N, T + 2, 2)],
    "Classifier": lambda N, T: [normal("x", T, N, 3)],
    "Characters": lambda N, T: [ids(N, T), normal("h", 2, N, H), normal("c", 2, N, H)],
    "Packed": lambda N, T: [normal("x", N, T, 3), np.array([T, *range(1, N)])],
}
AXES = {
    "Tagger": [(0, 1)], "EncoderDecoder": [(0, 1), (0, 1)], "Classifier": [(0, 1)], "Characters": [(0, 1), (1,), (1,)],
    "Packed": [(0, 1), (0,)],
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """{name: (torch's model, its file)}, exported at one size."""
    torch = oracle("torch")
    torch.manual_seed(0)
    models = {}
    for name, cls in torch_models(torch).items():
        model, path = cls().eval(), tmp_path_factory.mktemp("onnx") / f"{name}.onnx"
        example = [torch.from_numpy(value) for value in INPUTS[name](3, 7)]
        names = [f"input_{k}" for k in range(len(example))]
        dynamic = {key: {axis: f"{key}_{axis}" for axis in axes} for key, axes in zip(names, AXES[name], strict=True)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this exporter is called old, and warns of batches of another size
            torch.onnx.export(
                model, tuple(example), path, input_names=names, dynamic_axes=dynamic, dynamo=False, opset_version=17
            )
        models[name] = model, path
    return models


@pytest.mark.parametrize(("N", "T"), [(3, 7), (1, 1), (5, 4)])
@pytest.mark.parametrize("name", INPUTS)
def test_exported_by_torch(name, N, T, exported):
    """At the size of the export and at others, against torch and onnxruntime."""
    torch = oracle("torch")
    model, path = exported[name]
    arrays = INPUTS[name](N, max(T, N))
    inputs = {f"input_{k}": value for k, value in enumerate(arrays)}
    with torch.no_grad():
        expected = model(*map(torch.from_numpy, arrays))
    ours = interop.from_onnx(path)
    got = ours.run(inputs)
    peer = run_model(path.read_bytes(), inputs)
    for key, value in zip(got, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert_close(got[key], value.numpy(), TOLERANCE, f"{key} of torch")
        assert_close(got[key], peer[key], TOLERANCE, f"{key} of onnxruntime")
    assert len(ours.layers) == {"Packed": 1}.get(name, 2)


CELLS = ["lstm", "gru", "gru-before", "rnn-tanh", "rnn-relu", "rnn-sigmoid", "rnn-linear"]


def written(layers, tmp_path, **options):
    path = tmp_path / "model.onnx"
    interop.to_onnx(layers, path, **options)
    return path


def state_inputs(layer, state):
    return {"h0": state} if not isinstance(state, tuple) else dict(zip(("h0", "c0"), state, strict=True))


@pytest.mark.parametrize("options", [
    {}, {"bias": False}, {"num_layers": 2}, {"bidirectional": True, "num_layers": 3}, {"batch_first": False},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("cell", CELLS)
def test_to_onnx(cell, options, tmp_path):
    """With states and lengths as inputs and without, at several sizes, by onnxruntime and by from_onnx."""
    layer = make(cell, I, H, init=0.5, seed=0, **options)
    plain = written(layer, tmp_path).read_bytes()
    path = written(layer, tmp_path, state=True, lengths=True)
    ours = interop.from_onnx(path)
    for n, t in ((N, T), (1, 2)):
        x = normal("x", *((n, t, I) if layer.batch_first else (t, n, I)))
        state, lengths = state_like(layer, n, "s"), np.arange(t, t - n, -1)
        for got, expected in (
            (run_model(plain, {"x": x}), layer(x)),
            *(
                (run({"x": x, "lengths": lengths, **state_inputs(layer, state)}), layer(x, state, lengths))
                for run in (lambda inputs: run_model(path.read_bytes(), inputs), ours.run)
            ),
        ):
            y, final = expected
            assert list(got) == (["y", "h", "c"] if cell == "lstm" else ["y", "h"])
            for value, right in zip(got.values(), (y, *(final if cell == "lstm" else (final,))), strict=True):
                assert_close(value, right, TOLERANCE)


CELL_OPTIONS = {
    "peephole": ("LSTM", {"peephole": True}),
    "coupled": ("LSTM", {"coupled": True, "clip": 0.5, "peephole": True}),
    "lstm": ("LSTM", {"activations": (("hard_sigmoid", 0.3, 0.4), "softsign", ("elu", 0.5))}),
    "gru": ("GRU", {"activations": ("sigmoid", "linear"), "clip": 0.7}),
    "gru-before": ("GRU", {"reset_after": False, "activations": (("scaled_tanh", 0.9, 1.1), ("leaky_relu", 0.3))}),
    "rnn": ("RNN", {"nonlinearity": ("affine", 0.5, 0.1), "clip": 0.9}),
    "rnn-default": ("RNN", {"nonlinearity": "hard_sigmoid"}),
    "in-training-only": (
        "GRU",
        {"dropout": 0.5, "weight_dropout": 0.5, "input_dropout": 0.5, "recurrent_dropout": 0.5},
    ),
}


@pytest.mark.parametrize("name", CELL_OPTIONS)
def test_options_to_onnx(name, tmp_path):
    cell, options = CELL_OPTIONS[name]
    layer = getattr(fastrnn, cell)(I, H, 2, bidirectional=True, init=0.5, seed=0, **options)
    x, state, path = normal("x", N, T, I), state_like(layer, N, "s"), written(layer, tmp_path, state=True)
    y, _ = layer(x, state)
    inputs = {"x": x, **state_inputs(layer, state)}
    assert_close(run_model(path.read_bytes(), inputs)["y"], y, TOLERANCE)
    assert_close(interop.from_onnx(path).run(inputs)["y"], y, TOLERANCE)
    first, *_ = interop.from_onnx(path).layers
    assert (first.peephole, first.coupled) == (layer.peephole, layer.coupled)
    assert first.clip == (None if layer.clip is None else np.float32(layer.clip))


def test_numbers_that_are_no_float32(tmp_path):
    with pytest.raises(ValueError, match=r"its clip 0\.1 is not a float32 number"):
        written(fastrnn.RNN(I, H, clip=0.1, dtype="float64"), tmp_path)
    assert written(fastrnn.RNN(I, H, clip=0.5, dtype="float64"), tmp_path).exists()


def test_layer_there_and_back(tmp_path):
    """What was written is read with the same bits, in float64 too, which onnxruntime has no GRU for."""
    for dtype in ("float32", "float64"):
        layer = fastrnn.GRU(I, H, bidirectional=True, dtype=dtype, seed=0)
        (back,) = interop.from_onnx(written(layer, tmp_path)).layers
        assert_same_bits(back.state_dict(), layer.state_dict())
        x = normal("x", N, T, I, dtype=dtype)
        assert_same_bits(interop.from_onnx(written(layer, tmp_path)).run({"x": x})["y"], layer(x)[0])


def test_list_to_onnx(tmp_path):
    layers = [
        fastrnn.Embedding(9, I, seed=0), fastrnn.LSTM(I, H, 2, seed=0), fastrnn.Dense(H, 4, bias=False, seed=0),
        fastrnn.GRU(4, 2, bidirectional=True, seed=0), fastrnn.Dense(4, 3, seed=0),
    ]  # fmt: skip
    ids = np.arange(8).reshape(2, 4)
    h, lstm = layers[1](layers[0](ids))
    h, gru = layers[3](layers[2](h))
    path = written(layers, tmp_path)
    for got in (run_model(path.read_bytes(), {"x": ids}), interop.from_onnx(path).run({"x": ids})):
        assert list(got) == ["y", "h_0", "c_0", "h_1"]
        for value, right in zip(got.values(), (layers[4](h), *lstm, gru), strict=True):
            assert_close(value, right, TOLERANCE)
    assert interop.from_onnx(written(layers, tmp_path, state=True)).inputs == ["x", "h0_0", "c0_0", "h0_1"]


def test_to_onnx_refuses(tmp_path):
    lstm, dense = fastrnn.LSTM(I, H), fastrnn.Dense(H, 2)
    for layers, options, kind, match in [
        ([lstm, 3], {}, TypeError, "layers must be RNN, LSTM, .* got int"),
        ([fastrnn.MinLSTM(I, H)], {}, TypeError, "layers must be RNN, LSTM, .* got MinLSTM"),
        ([], {}, ValueError, "at least one layer"),
        ([dense, lstm], {}, ValueError, r"fit one another .* Dense\(.* before LSTM\("),
        ([lstm, fastrnn.Dense(H, 2, dtype="float64")], {}, ValueError, "fit one another"),
        ([lstm, fastrnn.GRU(H, 2, batch_first=False)], {}, ValueError, "batch_first"),
        (dense, {"state": True}, ValueError, "layers has none"),
        ([fastrnn.LSTM(I, H, proj_size=2), fastrnn.Dense(2, 2)], {}, ValueError, "to ONNX, which has no proj_size"),
        (fastrnn.GRU(I, H, layer_norm=True), {}, ValueError, "to ONNX, which has no layer_norm"),
    ]:
        with pytest.raises(kind, match=match):
            written(layers, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_refused_when_loaded(tmp_path):
    x = normal("x", 2, 3)

    def node(operator, *inputs, outputs=("y",), **attributes):
        return onnx.helper.make_node(operator, inputs, list(outputs), **attributes)

    loop = node("Erf", "x"), onnx.helper.make_node("Gelu", ["y"], ["z"], domain="com.microsoft")
    for nodes, match in [
        (loop, "operators that are not known here: Erf, com.microsoft.Gelu; known are Add, Cast"),
        ((node("Add", "x", "w"),), "reads w, which no node before it writes"),
        ((node("Identity", "x", outputs=["w"]),), "outputs y are written by no node"),
        ((node("LSTM", "x", "x", "x", direction="sideways"),), "direction must be one of forward"),
        ((node("RNN", "x", "x", "x", activations=["Swish"]),), "activations must be 1 of Tanh, Relu, .* got Swish"),
        ((node("GRU", "x", "x", "x", output_sequence=1),), "attributes must be of .* got output_sequence"),
    ]:
        with pytest.raises(ValueError, match=match):
            interop.from_onnx(graph_of(nodes, {"x": x}, ["y"]))
    with pytest.raises(ValueError, match="operator set 7 or later, got 6"):
        interop.from_onnx(graph_of([node("Identity", "x")], {"x": x}, ["y"], version=6))
    model = graph_of([node("Identity", "w")], {}, ["y"])
    model.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.BFLOAT16, [1], [1.0]))
    with pytest.raises(TypeError, match="w must hold numbers that NumPy has too, got BFLOAT16"):
        interop.from_onnx(model)
    with pytest.raises(TypeError, match=r"source must be the path of a file or an onnx\.ModelProto, got int"):
        interop.from_onnx(3)
    with pytest.raises(FileNotFoundError):
        interop.from_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ValueError, match="is not an ONNX model"):
        interop.from_onnx(tmp_path / "text.onnx")


def test_wrong_weights():
    for name, shape, match in [
        ("W", (1, 4 * H - 4, I), r"W must have the shape \(1, 20, 3\), got \(1, 16, 3\)"),
        ("B", (1, 4 * H), r"B must have the shape \(1, 40\), got \(1, 20\)"),
        ("R", (2, 4 * H, H), "R must have the shape"),
    ]:  # fmt: skip
        model, inputs = recurrent("LSTM", missing=("P",))
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(shape, "f"), name))
        with pytest.raises(ValueError, match=r"LSTM\) cannot be run: " + match):
            interop.from_onnx(model).run(inputs)


def test_wrong_inputs():
    model, inputs = recurrent("GRU", lengths=[6, 1, 2, 3])
    ours = interop.from_onnx(model)
    names = "X, sequence_lens, initial_h"
    for change, kind, match in [
        ({"Z": inputs["X"]}, ValueError, f"inputs must be {names}, got {names}, Z"),
        ({"X": inputs["X"].astype("float64")}, TypeError, "X must be float32, got float64"),
        ({"X": inputs["X"][0]}, ValueError, r"X must have the shape \(any, any, any\), got \(4, 3\)"),
        ({"X": inputs["X"][:, :, :2]}, ValueError, r"GRU\) cannot be run: x must have the shape"),
        ({"sequence_lens": np.array([7, 1, 1, 1], "int32")}, ValueError, "must be from 0 to 6, got 1 to 7"),
    ]:
        with pytest.raises(kind, match=match):
            ours.run(inputs | change)
    x = normal("x", 2, 3)
    lacking = interop.from_onnx(graph_of([onnx.helper.make_node("Concat", ["x", "x"], ["y"])], {"x": x}, ["y"]))
    with pytest.raises(ValueError, match=r"y \(Concat\) cannot be run: it lacks the attribute 'axis'"):
        lacking.run({"x": x})
    with pytest.raises(TypeError, match="inputs must be a mapping of names to arrays, got list"):
        ours.run([1])


def test_missing_package(tmp_path):
    code = "import sys; sys.modules['onnx'] = None; import fastrnn; fastrnn.interop."
    for call in ("from_onnx('model.onnx')", f"to_onnx(fastrnn.GRU(2, 3), {str(tmp_path / 'm')!r})"):
        last = python(code + call).stderr.strip().splitlines()[-1]
        assert last.startswith("ImportError") and "fastrnn[onnx]" in last
