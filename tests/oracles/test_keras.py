"""Layers, models and files of Keras 3 (on its torch backend) against what they become here, and back."""

import copy
import os
import pickle
import zipfile

os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, normal, oracle, python

import fastrnn
from fastrnn import interop

keras = oracle("keras")
L = keras.layers

# Keras' torch backend converts NumPy's arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

TOLERANCE = 2e-6  # for float64 too, whose products Keras rounds to float32 on its torch backend
N, T, I, H = 5, 7, 3, 4
CELLS = {
    "rnn-tanh": (L.SimpleRNN, {}),
    "rnn-relu": (L.SimpleRNN, {"activation": "relu"}),
    "rnn-linear": (L.SimpleRNN, {"activation": None}),
    "lstm": (L.LSTM, {}),
    "gru": (L.GRU, {}),
    "gru-before": (L.GRU, {"reset_after": False}),
}
MASK = np.array([  # whole, right padding, left padding, holes, nothing
    [1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1], [0, 1, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0],
], bool)  # fmt: skip


def array(value):
    return value.detach().numpy()


def randomized(layer, seed="w", shape=(None, None, I)):
    """A layer or model, built, with weights that hide nothing: no bias is zero."""
    if not layer.built:
        layer.build(shape)
    for k, variable in enumerate(layer.weights):
        variable.assign(normal(f"{seed}{k}", *variable.shape, dtype="float64") * 0.5)
    return layer


def keras_layer(cell, **options):
    kind, fixed = CELLS[cell]
    return kind(H, **fixed, **options)


def chain(*layers, shape=(None, I)):
    return randomized(keras.Sequential([keras.Input(shape), *layers]))


def written(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_layer(cell, dtype, bias, masked):
    """Outputs, held at masked steps, and the final state, from a given one."""
    theirs = randomized(keras_layer(cell, use_bias=bias, dtype=dtype, return_sequences=True, return_state=True))
    ours = interop.from_keras(theirs)
    assert (ours.input_size, ours.hidden_size, ours.bias, ours.dtype) == (I, H, bias, dtype)
    x, mask = normal("x", N, T, I, dtype=dtype), MASK if masked else None
    state = [normal(f"s{k}", N, H, dtype=dtype) for k in range(2 if cell == "lstm" else 1)]
    expected, *finals = map(array, theirs(x, initial_state=state, mask=mask))
    y, final = ours(x, tuple(s[None] for s in state) if cell == "lstm" else state[0][None], mask=mask, pad="hold")
    assert_close(y, expected, TOLERANCE, "y")
    for got, expected in zip(final if cell == "lstm" else [final], finals, strict=True):
        assert_close(got[0], expected, TOLERANCE, "final state")
    assert_same_bits(ours.parameters["weight_ih_l0"][-H:].T.copy(), array(theirs.weights[0].value)[:, -H:].copy())


@pytest.mark.parametrize(
    ("name", "gate"),
    [("softplus", "hard_sigmoid"), ("elu", "hard_sigmoid"), ("leaky_relu", "softsign"), ("hard_sigmoid", "tanh")],
)
@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru", "gru-before"])
def test_activations(cell, name, gate):
    kind, fixed = CELLS[cell]
    gates = {} if cell == "rnn-tanh" else {"recurrent_activation": gate}
    theirs = randomized(kind(H, return_sequences=True, activation=name, **gates, **fixed))
    ours, x = interop.from_keras(theirs), normal("x", N, T, I)
    assert_close(ours(x)[0], array(theirs(x)), TOLERANCE)
    assert_close(array(interop.to_keras(ours)(x)), ours(x)[0], TOLERANCE)


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("cell", CELLS)
def test_bidirectional(cell, masked):
    theirs = randomized(L.Bidirectional(keras_layer(cell, return_sequences=True, return_state=True)))
    ours = interop.from_keras(theirs)
    x, mask = normal("x", N, T, I), MASK if masked else None
    state = [normal(f"s{k}", N, H) for k in range(4 if cell == "lstm" else 2)]  # h, c of one direction, then the other
    h0, c0 = (np.stack(state[0::2]), np.stack(state[1::2])) if cell == "lstm" else (np.stack(state), None)
    expected, *finals = map(array, theirs(x, initial_state=state, mask=mask))
    y, final = ours(x, (h0, c0) if cell == "lstm" else h0, mask=mask)  # Keras too gives zeros here
    assert_close(y, expected, TOLERANCE, "y")
    got = [final[k % 2][k // 2] for k in range(4)] if cell == "lstm" else list(final)
    for part, expected in zip(got, finals, strict=True):
        assert_close(part, expected, TOLERANCE, "final state")


MODELS = {
    "stack": lambda cell: [
        keras_layer(cell, return_sequences=True), keras_layer(cell, return_sequences=True), L.Dense(2),
    ],
    "last-output": lambda cell: [L.Masking(), keras_layer(cell), L.Dense(3, activation="softmax")],
    "bidirectional-last": lambda cell: [
        L.Masking(0.5), L.Bidirectional(keras_layer(cell, return_sequences=True)), L.Bidirectional(keras_layer(cell)),
    ],
    "backwards": lambda cell: [
        L.Masking(), keras_layer(cell, return_sequences=True, go_backwards=True),
        keras_layer(cell, return_sequences=True), L.TimeDistributed(L.Dense(2)), L.Activation("tanh"),
    ],
    "backwards-last": lambda cell: [L.Masking(), keras_layer(cell, go_backwards=True), L.Dense(2, activation="relu")],
    "zeros": lambda cell: [L.Masking(), keras_layer(cell, return_sequences=True, zero_output_for_mask=True)],
    "zero-last": lambda cell: [L.Masking(), keras_layer(cell, zero_output_for_mask=True)],
    "training-only": lambda cell: [
        L.GaussianNoise(0.1), keras_layer(cell, dropout=0.2, recurrent_dropout=0.1, kernel_regularizer="l2"),
        L.Dropout(0.5), L.Dense(2, use_bias=False, activation="sigmoid"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru", "gru-before"])
def test_model(cell, build, tmp_path):
    """A model and the file it was written to give what Keras gives, at masked steps too."""
    theirs = chain(*MODELS[build](cell))
    x = normal("x", N, T, I)
    x[~MASK] = theirs.layers[0].mask_value if build == "bidirectional-last" else 0
    expected = array(theirs(x))
    ours = interop.from_keras(theirs)
    assert_close(ours(x), expected, TOLERANCE, "a living model")
    assert_same_bits(interop.from_keras(written(theirs, tmp_path))(x), ours(x))


def test_model_with_mask_given():
    theirs = chain(*MODELS["stack"]("gru"))
    x, mask = normal("x", N, T, I), MASK.astype("float32")
    expected = theirs.layers[2](theirs.layers[1](theirs.layers[0](x, mask=mask), mask=mask))
    assert_close(interop.from_keras(theirs)(x, MASK), array(expected), TOLERANCE)


def test_equal_layers_become_one_stack():
    def layer(**options):
        return L.LSTM(H, return_sequences=True, **options)

    def made(*layers):
        return [(type(one).__name__, one.num_layers, one.dropout) for one in interop.from_keras(chain(*layers)).layers]

    assert made(layer(), layer(), layer()) == [("LSTM", 3, 0)]
    assert made(layer(), L.Dropout(0.3), layer(), L.Dropout(0.3), layer()) == [("LSTM", 3, 0.3)]
    assert made(layer(), L.Dropout(0.3), layer(), layer()) == [("LSTM", 2, 0.3), ("LSTM", 1, 0)]
    assert made(layer(), layer(use_bias=False)) == [("LSTM", 1, 0)] * 2
    assert made(layer(), layer(go_backwards=True), layer()) == [("LSTM", 1, 0)] * 3
    assert made(L.Bidirectional(layer()), L.Bidirectional(layer())) == [("LSTM", 2, 0)]


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_ids_and_masks(kind, tmp_path):
    """An embedding whose id 0 is padding; in a functional model Keras writes the mask's operations beside the chain."""
    layers = [L.Embedding(9, I, mask_zero=True), *MODELS["stack"]("gru")]
    if kind == "sequential":
        theirs = chain(*layers, shape=(None,))
    else:
        x = end = keras.Input((None,))
        for layer in layers:
            end = layer(end)
        theirs = randomized(keras.Model(x, end))
    ids = np.where(MASK, np.random.default_rng(0).integers(1, 9, (N, T)), 0)
    for ours in (interop.from_keras(theirs), interop.from_keras(written(theirs, tmp_path))):
        assert_close(ours(ids), array(theirs(ids)), TOLERANCE)


def test_stateful_model():
    theirs = randomized(keras.Sequential([keras.Input((None, I), batch_size=N), L.GRU(H, stateful=True)]))
    theirs.reset_states = theirs.layers[0].reset_state
    theirs.reset_states()
    ours, x = interop.from_keras(theirs), normal("x", N, T, I)
    for _ in range(2):
        first = ours(x)
        assert_close(first, array(theirs(x)), TOLERANCE, "first call")
        assert_close(ours(x), array(theirs(x)), TOLERANCE, "second call")
        ours.reset_state()
        theirs.reset_states()


def test_stream():
    """Each step gives what the model gives of the sequence so far."""
    ours = interop.from_keras(chain(*MODELS["last-output"]("lstm")[1:]))
    x, stream = normal("x", N, T, I), ours.stream(N)
    for t in range(T):
        assert_same_bits(stream.step(x[:, t]), ours(x[:, : t + 1]))
    stream.reset(np.arange(N) == 1)
    assert_same_bits(stream.step(x[:, 0])[1], ours(x[:, :1])[1])
    with pytest.raises(ValueError, match="no stream"):
        interop.from_keras(chain(*MODELS["backwards"]("lstm"))).stream()


def test_copies():
    """A pickled model and a pickled stream go on alike."""
    ours = interop.from_keras(chain(*MODELS["last-output"]("lstm")))
    x = normal("x", N, T, I)
    stream = ours.stream(N)
    stream.step(x[:, 0])
    for model, going in (pickle.loads(pickle.dumps((ours, stream))), copy.deepcopy((ours, stream))):
        assert_same_bits(model(x), ours(x))
        for t in range(1, T):
            y = going.step(x[:, t])
        assert_same_bits(y, ours(x))


def test_weights_file(tmp_path):
    """The numbers alone go into layers that are there; after an error no layer has changed."""
    theirs = chain(
        L.Embedding(9, I), L.Dropout(0.2), *MODELS["stack"]("lstm")[:2], L.Bidirectional(L.SimpleRNN(2)), L.Dense(3),
        shape=(None,),
    )  # fmt: skip
    path, ids = tmp_path / "m.weights.h5", np.arange(9).reshape(3, 3)
    theirs.save_weights(path)
    expected = interop.from_keras(theirs)
    into = [
        fastrnn.Embedding(9, I), fastrnn.LSTM(I, H, 2), fastrnn.RNN(H, 2, bidirectional=True), fastrnn.Dense(4, 3),
    ]  # fmt: skip
    before = [layer.state_dict() for layer in into]
    for wrong, match in [
        (into[:3], "must hold the weights of the layers embedding, lstm, lstm_1, bidirectional, got .*dense"),
        ([*into[:3], fastrnn.Dense(4, 2)], "misshapen: bias .3,. instead of .2,., weight"),
        ([*into[:3], fastrnn.Dense(4, 3, bias=False)], "unexpected: bias"),
    ]:
        with pytest.raises(ValueError, match=match):
            interop.from_keras(path, into=wrong)
        for layer, kept in zip(into, before, strict=True):
            assert_same_bits(layer.state_dict(), kept)
    assert interop.from_keras(path, into=into) is into
    for layer, other in zip(into, expected.layers, strict=True):
        assert_same_bits(layer.state_dict(), other.state_dict())
    assert expected(ids).shape == (3, 3)
    with pytest.raises(TypeError, match=r"into must be the layers .* got NoneType"):
        interop.from_keras(path)
    with pytest.raises(TypeError, match=r"into must be the layers .* got MinLSTM"):
        interop.from_keras(path, into=fastrnn.MinLSTM(I, 3))


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("cell", CELLS)
def test_weights_file_of_every_cell(cell, bias, tmp_path):
    """One direction and both, into layers that have the options which the file does not tell."""
    layers = [
        keras_layer(cell, use_bias=bias, return_sequences=True),
        L.Bidirectional(keras_layer(cell, use_bias=bias, return_sequences=True)),
    ]
    theirs, x = chain(*layers), normal("x", N, T, I)
    theirs.save_weights(tmp_path / "m.weights.h5")
    into = []
    for layer in interop.from_keras(theirs).layers:
        into.append(type(layer)(**{**layer.get_config(), "init": 0.5, "seed": 0}))
    interop.from_keras(tmp_path / "m.weights.h5", into=into)
    assert_close(into[1](into[0](x)[0])[0], array(theirs(x)), TOLERANCE)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize(
    ("cell", "options"),
    [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False})],
)
def test_to_keras(cell, options, bias, bidirectional):
    layer = getattr(fastrnn, cell)(I, H, bias=bias, bidirectional=bidirectional, init=0.5, seed=1, **options)
    x = normal("x", N, T, I)
    theirs = interop.to_keras(layer, return_state=True)
    y, final = layer(x, mask=MASK, pad="zero" if bidirectional else "hold")
    expected, *finals = map(array, theirs(x, mask=MASK))
    assert_close(y, expected, TOLERANCE, "y")
    h = final[0] if cell == "LSTM" else final
    assert_close(h[0], finals[0], TOLERANCE, "h")
    back = interop.from_keras(theirs)
    assert_close(back(x)[0], layer(x)[0], TOLERANCE, "there and back")
    if cell == "GRU" and layer.reset_after:
        assert_same_bits(back.state_dict(), layer.state_dict())


def test_list_to_keras():
    layers = [
        fastrnn.Embedding(9, I, seed=0), fastrnn.LSTM(I, H, 2, dropout=0.3, seed=0), fastrnn.Dense(H, 2, seed=0),
    ]  # fmt: skip
    theirs = interop.to_keras(layers, return_sequences=False)
    assert [type(layer).__name__ for layer in theirs.layers] == ["Embedding", "LSTM", "Dropout", "LSTM", "Dense"]
    ids = np.arange(8).reshape(2, 4)
    expected = layers[2](layers[1](layers[0](ids))[0][:, -1])
    assert_close(array(theirs(ids)), expected, TOLERANCE)
    assert interop.from_keras(theirs).layers[1].dropout == 0.3
    assert interop.to_keras(fastrnn.RNN(I, H, dtype="float64")).dtype == "float64"


@pytest.mark.parametrize("cell", CELLS)
def test_training_with_one_bias(cell):
    """With the gradient of `bias_hh` set to zero training goes as in Keras; without, the bias moves twice as far."""
    theirs = chain(keras_layer(cell, return_sequences=True))
    ours, twice = (interop.from_keras(theirs).layers[0] for _ in range(2))
    x, target = normal("x", N, T, I), normal("y", N, T, H)
    theirs.compile(keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError())
    one_bias = cell != "gru"
    rounds = 3
    for _ in range(rounds):
        for layer, frozen in ((ours, one_bias), (twice, False)):
            y, _, tape = layer.forward(x)
            _, dy = fastrnn.losses.squared_error(y, target)
            _, _, grads = layer.backward(tape, dy)
            if frozen:
                grads["bias_hh_l0"][...] = 0
            fastrnn.optim.SGD(layer, lr=0.1).step(grads)
        theirs.train_on_batch(x, target)
    trained = interop.from_keras(theirs).layers[0]
    for name, value in trained.parameters.items():
        assert_close(ours.parameters[name], value, 1e-5, name)
    differs = [np.abs(twice.parameters[name] - value).max() > 1e-4 for name, value in trained.parameters.items()]
    assert any(differs) == one_bias


def quantized():
    layer = L.Dense(3)
    layer.build((None, H))
    layer.quantize("int8")
    return layer


REFUSED = {
    "sum": (lambda: [L.Bidirectional(L.LSTM(H), merge_mode="sum")], 'merge_mode must be "concat", got \'sum\''),
    "mul": (lambda: [L.Bidirectional(L.GRU(H), merge_mode="mul")], "merge_mode must .* got 'mul'"),
    "ave": (lambda: [L.Bidirectional(L.GRU(H), merge_mode="ave")], "merge_mode must .* got 'ave'"),
    "none": (lambda: [L.Bidirectional(L.LSTM(H, return_sequences=True), merge_mode=None)], "merge_mode"),
    "two-cells": (lambda: [L.Bidirectional(L.LSTM(H), backward_layer=L.GRU(H, go_backwards=True))], "differ in more"),
    "turned": (
        lambda: [L.Bidirectional(L.LSTM(H, go_backwards=True), backward_layer=L.LSTM(H))], "forward layer goes back",
    ),
    "activation": (lambda: [L.SimpleRNN(H, activation="gelu")], "activation must be one of .* got 'gelu'"),
    "gate": (lambda: [L.GRU(H, recurrent_activation="silu")], "recurrent_activation must be .* got 'silu'"),
    "half": (lambda: [L.LSTM(H, dtype="mixed_float16")], "dtype policy .* got mixed_float16"),
    "bfloat16": (lambda: [L.GRU(H, dtype="bfloat16")], "dtype policy .* got bfloat16"),
    "quantized": (lambda: [L.LSTM(H), quantized()], "dtype policy must be float32 or float64, not quantized"),
    "state": (lambda: [L.LSTM(H, return_state=True)], "return_state"),
    "unknown": (lambda: [L.Conv1D(H, 3), L.LSTM(H)], "Conv1D .* cannot be converted: known are SimpleRNN"),
    "wrapped": (lambda: [L.TimeDistributed(L.LayerNormalization())], "must be around a Dense"),
    "nested": (lambda: [keras.Sequential([keras.Input((None, I)), L.LSTM(H)])], "Sequential"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    build, match = REFUSED[name]
    theirs = keras.Sequential([keras.Input((None, I)), *build()])
    for source in (theirs, written(theirs, tmp_path)):
        with pytest.raises(ValueError, match=match):
            interop.from_keras(source)


def test_low_rank_weights_are_refused():
    model = chain(L.LSTM(H), L.Dense(3))
    model.layers[-1].enable_lora(2)
    with pytest.raises(ValueError, match="weights of LoRA"):
        interop.from_keras(model)


def test_calls_in_training_are_refused():
    x = keras.Input((None, I))
    model = keras.Model(x, L.Dropout(0.5)(L.LSTM(H)(x), training=True))
    with pytest.raises(ValueError, match="called with training"):
        interop.from_keras(model)


def test_functional_models_that_are_no_chain():
    x = keras.Input((None, I))
    h = L.LSTM(H, return_sequences=True)(x)
    added = keras.Model(x, L.Add()([h, L.Dense(H)(x)]))
    two = keras.Model(x, [h, L.Dense(H)(h)])
    own_mask = keras.Model(x, L.LSTM(H)(x, mask=keras.ops.any(keras.ops.not_equal(x, 3.0), axis=-1)))
    with pytest.raises(ValueError, match=r"Add .* on the output of one layer"):
        interop.from_keras(added)
    with pytest.raises(ValueError, match="one input and one output"):
        interop.from_keras(two)
    with pytest.raises(ValueError, match=r"NotEqual .* stands beside the chain"):
        interop.from_keras(own_mask)


def test_classes_of_others_are_refused():
    class LSTM(L.LSTM):
        pass

    with pytest.raises(ValueError, match="only Keras' own layers"):
        interop.from_keras(randomized(LSTM(H)))


def test_subclassed_models_are_refused(tmp_path):
    class Model(keras.Model):
        def call(self, x):
            return x

    theirs = Model()
    theirs(np.zeros((1, 1, I), "f"))
    for source in (theirs, written(theirs, tmp_path)):
        with pytest.raises(ValueError, match="only Keras' own layers"):
            interop.from_keras(source)


@pytest.mark.filterwarnings("ignore")  # Keras calls the format a legacy
def test_older_files_are_refused(tmp_path):
    """A whole model in HDF5, and weights as Keras 2 wrote them."""
    theirs = chain(L.LSTM(H))
    theirs.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"not a \.keras file of Keras 3"):
        interop.from_keras(tmp_path / "m.h5")
    (tmp_path / "m.h5").rename(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="must hold the weights of the layers lstm, got none"):
        interop.from_keras(tmp_path / "m.weights.h5", into=fastrnn.LSTM(I, H))


def test_wrong_arguments(tmp_path):
    with pytest.raises(TypeError, match="source must be a Keras layer or model or the path of a file, got int"):
        interop.from_keras(3)
    with pytest.raises(ValueError, match="source must be built"):
        interop.from_keras(L.LSTM(3))
    with pytest.raises(ValueError, match=r"into is for a \.weights\.h5 file alone"):
        interop.from_keras(randomized(L.LSTM(3)), into=fastrnn.LSTM(I, 3))
    with pytest.raises(TypeError, match="layer must be an RNN, LSTM, GRU, Dense or Embedding"):
        interop.to_keras([fastrnn.LSTM(I, 3), 3])
    with pytest.raises(TypeError, match=r"layer must be an RNN, LSTM, GRU, Dense or Embedding, .* got MinGRU"):
        interop.to_keras(fastrnn.MinGRU(I, 3))
    for layer, match in [
        (fastrnn.LSTM(I, 3, proj_size=2), "no proj_size"), (fastrnn.RNN(I, 3, weight_dropout=0.5), "no weight_dropout"),
        (fastrnn.LSTM(I, 3, peephole=True), "no peephole"), (fastrnn.LSTM(I, 3, coupled=True), "no coupled"),
        (fastrnn.LSTM(I, 3, layer_norm=True), "no layer_norm"), (fastrnn.GRU(I, 3, layer_norm=True), "no layer_norm"),
        (fastrnn.GRU(I, 3, clip=1.0), "no clip"), (fastrnn.RNN(I, 3, nonlinearity=("elu", 0.5)), r"\('elu', 0\.5\)"),
        (fastrnn.LSTM(I, 3, activations=("sigmoid", "tanh", "relu")), "one activation for g and for c"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"cannot be given to Keras, .*{match}"):
            interop.to_keras(layer)
    with pytest.raises(ValueError, match="options are those of a recurrent Keras layer, got return_state"):
        interop.to_keras(fastrnn.Dense(2, 3), return_state=True)


def test_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        interop.from_keras(tmp_path / "none.keras")
    path = tmp_path / "text.keras"
    path.write_text("no archive")
    with pytest.raises(ValueError, match=r"not a \.keras file"):
        interop.from_keras(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match=r"not a \.keras file"):
        interop.from_keras(path)
    path = written(chain(L.LSTM(H)), tmp_path)
    with zipfile.ZipFile(path) as archive:
        config, weights = archive.read("config.json"), archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config.replace(b'"units"', b'"unites"'))
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(ValueError, match="as Keras 3 does, got no 'units'"):
        interop.from_keras(path)
    path = tmp_path / "text.weights.h5"
    path.write_text("no HDF5")
    with pytest.raises(ValueError, match="not an HDF5 file"):
        interop.from_keras(path, into=fastrnn.LSTM(I, H))


def test_files_need_h5py_alone(tmp_path):
    theirs = chain(*MODELS["last-output"]("gru"))
    path, x = written(theirs, tmp_path), normal("x", N, T, I)
    np.save(tmp_path / "x.npy", x)
    code = f"""
import sys
sys.modules["keras"] = sys.modules["torch"] = sys.modules["tensorflow"] = None
import fastrnn, numpy as np
np.save({str(tmp_path / "y.npy")!r}, fastrnn.interop.from_keras({str(path)!r})(np.load({str(tmp_path / "x.npy")!r})))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert_close(np.load(tmp_path / "y.npy"), array(theirs(x)), TOLERANCE)
    done = python(f"import sys; sys.modules['h5py'] = None; import fastrnn; fastrnn.interop.from_keras({str(path)!r})")
    assert done.stderr.strip().splitlines()[-1].startswith("ImportError: reading files of Keras needs h5py")
