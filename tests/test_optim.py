"""The optimizers against their rules in plain NumPy, and what they promise about forms, errors, copies and states."""

import copy
import pickle
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import DTYPES, assert_close, assert_same_bits, normal, run

import fastrnn
from fastrnn import optim

UPDATES = 100
TOLERANCE = {"float32": 3e-6, "float64": 1e-12}

# name: (class, options)
RULES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd-decay": ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    "sgd-momentum": ("SGD", {"lr": 0.01, "momentum": 0.9}),
    "sgd-dampening": ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.4, "weight_decay": 0.1}),
    "sgd-nesterov": ("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop-decay": ("RMSprop", {"alpha": 0.9, "eps": 1e-2, "weight_decay": 0.1}),
    "rmsprop-momentum": ("RMSprop", {"lr": 1e-3, "momentum": 0.9}),
    "rmsprop-centered": ("RMSprop", {"lr": 1e-3, "alpha": 0.9, "centered": True}),
    "rmsprop-all": (
        "RMSprop", {"lr": 1e-3, "alpha": 0.3, "eps": 0.1, "weight_decay": 0.2, "momentum": 0.7, "centered": True},
    ),
    "adagrad": ("Adagrad", {}),
    "adagrad-all": (
        "Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 0.1},
    ),
    "adam": ("Adam", {"lr": 1e-2}),
    "adam-decay": ("Adam", {"lr": 1e-2, "betas": (0.8, 0.95), "eps": 1e-2, "weight_decay": 0.1}),
    "adam-forgetful": ("Adam", {"lr": 1e-2, "betas": (0.3, 0.4)}),
    "adam-no-memory": ("Adam", {"lr": 1e-2, "betas": (0.0, 0.0)}),
    "adamw": ("AdamW", {"lr": 1e-2}),
    "adamw-decay": ("AdamW", {"lr": 1e-2, "betas": (0.8, 0.95), "weight_decay": 0.5}),
}  # fmt: skip

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_rule = pytest.mark.parametrize("rule", RULES)


def new(rule: str, target, **changes):
    name, options = RULES[rule]
    return getattr(optim, name)(target, **{**options, **changes})


def two_layers(dtype: str = "float32"):
    """Recurrent and other parameters, transposed and not, of sizes that leave some lanes of a vector over."""
    return [fastrnn.LSTM(3, 5, seed=0, dtype=dtype), fastrnn.Dense(5, 33, seed=0, dtype=dtype)]


def gradients_of(layer, seed, dtype: str = "float32") -> dict:
    """Random gradients, laid out as `backward` lays them."""
    grads = {}
    for name, parameter in layer._parameters.items():
        array = normal(f"{seed} {name}", *parameter.stored.shape, dtype=dtype)
        grads[name] = array.T if parameter.transposed else array
    return grads


def sgd(p, grads, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    buffer = None
    for g in grads:
        g = g + weight_decay * p
        buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
        p = p - lr * (g + momentum * buffer if nesterov else buffer if momentum else g)
    return p


def rmsprop(p, grads, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    square = mean = buffer = 0.0
    for g in grads:
        g = g + weight_decay * p
        square = alpha * square + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        buffer = momentum * buffer + g / (np.sqrt(square - centered * mean**2) + eps)
        p = p - lr * buffer
    return p


def adagrad(p, grads, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    total = initial_accumulator_value
    for t, g in enumerate(grads):
        g = g + weight_decay * p
        total = total + g**2
        p = p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return p


def adam(p, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    mean = square = 0.0
    for t, g in enumerate(grads, 1):
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g**2
        p = p - lr * (mean / (1 - betas[0] ** t)) / (np.sqrt(square / (1 - betas[1] ** t)) + eps)
    return p


def adamw(p, grads, weight_decay=1e-2, **options):
    return adam(p, grads, weight_decay=weight_decay, decoupled=True, **options)


EQUATIONS = {"SGD": sgd, "RMSprop": rmsprop, "Adagrad": adagrad, "Adam": adam, "AdamW": adamw}


@every_dtype
@every_rule
def test_rule_equals_its_equations(rule, dtype):
    """Over many updates, each parameter by itself; in float64 from the same gradients."""
    layers = two_layers(dtype)
    before = [layer.state_dict() for layer in layers]
    optimizer = new(rule, layers)
    history = [[gradients_of(layer, f"{rule} {k}", dtype) for layer in layers] for k in range(UPDATES)]
    for grads in history:
        optimizer.step(grads)
    name, options = RULES[rule]
    for position, layer in enumerate(layers):
        for key, value in layer.parameters.items():
            grads = [step[position][key].astype("float64") for step in history]
            expected = EQUATIONS[name](before[position][key].astype("float64"), grads, **options)
            assert_close(value, expected, TOLERANCE[dtype], key)
            assert value.dtype == dtype


def test_defaults_are_torchs():
    dense = fastrnn.Dense(2, 2)
    assert repr(optim.SGD(dense)) == "SGD(lr=0.001, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)"
    assert repr(optim.RMSprop(dense)) == (
        "RMSprop(lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0, centered=False)"
    )
    assert repr(optim.Adagrad(dense)) == (
        "Adagrad(lr=0.01, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10)"
    )
    assert repr(optim.Adam(dense)) == "Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)"
    assert repr(optim.AdamW(dense)) == "AdamW(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)"


@every_dtype
def test_no_variance_left_is_no_nan(dtype):
    """A constant gradient has the variance 0, which rounding must not turn into the root of a negative number."""
    dense = fastrnn.Dense(1, 500, bias=False, dtype=dtype)
    optimizer = optim.RMSprop(dense, lr=1e-6, alpha=0.7, centered=True)
    grads = {"weight": normal("g", 500, 1, dtype=dtype)}
    for _ in range(200):
        optimizer.step(grads)
        assert np.isfinite(dense.parameters["weight"]).all()


@every_dtype
def test_nothing_remembered_is_nothing_lost(dtype):
    """Where a mean keeps nothing, a gradient after one that is 10^20 times as large counts in full."""
    dense = fastrnn.Dense(1, 9, bias=False, init=0.0, dtype=dtype)
    optimizer = optim.Adam(dense, lr=0.5, betas=(0.0, 0.0))
    for size in (1e10, 1e-10):
        optimizer.step({"weight": np.full((9, 1), size)})
    assert_close(dense.parameters["weight"], np.full((9, 1), -0.5 - 0.5 / (1 + 1e-8 / 1e-10)), 1e-6)


@every_rule
def test_layer_list_and_model_agree(rule):
    """The same layers by themselves, in a list, in a tuple and in a model."""
    results = []
    for form in ("layers", "list", "tuple", "model"):
        layers = two_layers()
        names = ("recurrent", "output")
        targets = {
            "layers": layers, "list": [layers], "tuple": [tuple(layers)],
            "model": [SimpleNamespace(layers=dict(zip(names, layers, strict=True)))],
        }[form]  # fmt: skip
        optimizers = [new(rule, target) for target in targets]
        for k in range(3):
            parts = [gradients_of(layer, k) for layer in layers]
            grads = {
                "layers": parts, "list": [parts], "tuple": [tuple(parts)],
                "model": [dict(zip(names, parts, strict=True))],
            }[form]  # fmt: skip
            for optimizer, given in zip(optimizers, grads, strict=True):
                optimizer.step(given)
        results.append([layer.state_dict() for layer in layers])
    for result in results[1:]:
        assert_same_bits(result, results[0])


@every_rule
def test_layout_of_gradients_does_not_matter(rule):
    """As backward lays them, in C order, strided, of another precision or byte order, off the numbers' boundaries."""

    def misaligned(array):
        moved = np.zeros(array.nbytes + 1, "uint8")[1:].view(array.dtype).reshape(array.shape)
        moved[...] = array
        return moved

    results = []
    for lay in (
        lambda array: array, np.ascontiguousarray, lambda array: np.repeat(array, 2, axis=0)[::2],
        lambda array: array.astype("float64"), lambda array: array.astype(array.dtype.newbyteorder()), misaligned,
    ):  # fmt: skip
        layer = two_layers()[0]
        optimizer = new(rule, layer)
        for k in range(2):
            grads = {name: lay(array) for name, array in gradients_of(layer, k).items()}
            before = {name: array.copy() for name, array in grads.items()}
            for array in grads.values():
                array.flags.writeable = False
            optimizer.step(grads)
            assert all(np.array_equal(grads[name], before[name]) for name in grads)
        results.append(layer.state_dict())
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_a_step_copies_nothing():
    """What backward returns lies as the parameters do."""
    lstm = fastrnn.LSTM(500, 20, seed=0)
    tape = lstm.forward(np.arange(6).reshape(2, 3))[2]
    grads = lstm.backward(tape)[2]
    optimizer = optim.Adam(lstm)
    optimizer.step(grads)
    tracemalloc.start()
    optimizer.step(grads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < lstm.parameters["weight_hh_l0"].nbytes


@every_dtype
@every_rule
def test_shared_parameter_takes_the_sum(rule, dtype):
    """In both dicts, already added up in either, and as one parameter that nobody shares: the same bits."""
    results = []
    for form in ("both", "first", "second", "alone"):
        embedding = fastrnn.Embedding(9, 5, seed=0, dtype=dtype)
        dense = fastrnn.Dense(5, 9, bias=False, seed=0, dtype=dtype, tied=embedding)
        optimizer = new(rule, embedding if form == "alone" else [embedding, dense])
        for k in range(3):
            one, other = (normal(f"{part} {k}", 9, 5, dtype=dtype) for part in ("one", "other"))
            total = {"weight": one + other}
            grads = {
                "both": [{"weight": one}, {"weight": other}], "first": [total, {}], "second": [{}, total],
                "alone": total,
            }[form]  # fmt: skip
            optimizer.step(grads)
        assert dense.parameters["weight"] is embedding.parameters["weight"]
        results.append(embedding.state_dict())
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_shared_parameter_needs_one_gradient():
    embedding = fastrnn.Embedding(9, 5)
    optimizer = optim.SGD([embedding, fastrnn.Dense(5, 9, tied=embedding)])
    with pytest.raises(ValueError, match=r"missing: 0\.weight, 1\.weight"):
        optimizer.step([{}, {"bias": np.zeros(9)}])
    with pytest.raises(ValueError, match=r"misshapen: 1\.weight"):
        optimizer.step([{"weight": np.zeros((9, 5))}, {"weight": np.zeros((5, 9)), "bias": np.zeros(9)}])
    assert list(optim.Adam(optimizer.target).state_dict()["state"]) == ["0.weight", "1.bias"]


def everything(layers, optimizer):
    return [layer.state_dict() for layer in layers], optimizer.state_dict()["state"], repr(optimizer.state_dict())


@every_rule
def test_bad_gradients(rule):
    """All that is wrong stands in one error, and nothing has changed."""
    layers = two_layers()
    optimizer = new(rule, layers)
    optimizer.step([gradients_of(layer, 0) for layer in layers])
    before, versions = everything(layers, optimizer), [layer._versions() for layer in layers]
    lstm, dense = (gradients_of(layer, 1) for layer in layers)
    del lstm["weight_hh_l0"]
    wrong = [
        {**lstm, "bias_l0": np.zeros(3), "weight_ih_l0": np.zeros((3, 20))},
        {**dense, "bias": np.zeros(33, complex)},
    ]
    with pytest.raises(ValueError, match="grads do not fit") as caught:
        optimizer.step(wrong)
    for part in (
        "missing: 0.weight_hh_l0", "unexpected: 0.bias_l0", "0.weight_ih_l0 (3, 20) instead of (20, 3)",
        "1.bias of dtype complex128",
    ):  # fmt: skip
        assert part in str(caught.value)
    for wrong in ([dense], [], {}, dense, [{}, dense], {"output": dense}):
        with pytest.raises(ValueError, match=r"missing: .*0\.weight_ih_l0"):
            optimizer.step(wrong)
    for wrong in (None, np.zeros(3), [None, dense], "grads", 3.0):
        with pytest.raises(TypeError, match="grads must be a dict, a list of dicts or a dict of dicts, got"):
            optimizer.step(wrong)
    assert_same_bits(everything(layers, optimizer)[:2], before[:2])
    assert everything(layers, optimizer)[2] == before[2]
    assert [layer._versions() for layer in layers] == versions


def test_bad_target():
    for target in (None, [], [fastrnn.Dense(2, 2), None], np.zeros(3), SimpleNamespace(layers={}), optim.SGD):
        with pytest.raises(TypeError, match="target must be a layer, a list of layers or a model, got"):
            optim.SGD(target)


BAD_OPTIONS = [
    ("SGD", {"lr": -0.1}, ValueError), ("SGD", {"lr": float("nan")}, ValueError), ("SGD", {"lr": "0.1"}, TypeError),
    ("SGD", {"lr": float("inf")}, ValueError), ("SGD", {"lr": None}, TypeError), ("SGD", {"lr": True}, TypeError),
    ("SGD", {"lr": 1j}, TypeError), ("SGD", {"lr": np.complex64(1)}, TypeError), ("SGD", {"momentum": -1}, ValueError),
    ("SGD", {"dampening": float("nan")}, ValueError), ("SGD", {"weight_decay": -1e-9}, ValueError),
    ("SGD", {"nesterov": True}, ValueError), ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError),
    ("RMSprop", {"alpha": 1.0}, ValueError), ("RMSprop", {"alpha": -0.1}, ValueError),
    ("RMSprop", {"eps": -1e-8}, ValueError), ("RMSprop", {"momentum": "much"}, TypeError),
    ("Adagrad", {"lr_decay": -1}, ValueError), ("Adagrad", {"initial_accumulator_value": -1}, ValueError),
    ("Adagrad", {"eps": float("inf")}, ValueError), ("Adam", {"betas": (0.9, 1.0)}, ValueError),
    ("Adam", {"betas": (-0.1, 0.9)}, ValueError), ("Adam", {"betas": 0.9}, ValueError),
    ("Adam", {"betas": (0.9, 0.9, 0.9)}, ValueError), ("Adam", {"betas": (0.9, "0.9")}, TypeError),
    ("AdamW", {"weight_decay": float("nan")}, ValueError),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "error"), BAD_OPTIONS)
def test_bad_option(name, options, error):
    with pytest.raises(error, match=f"^{next(iter(options))} "):
        getattr(optim, name)(fastrnn.Dense(2, 2), **options)


def test_unknown_option():
    with pytest.raises(TypeError, match="amsgrad"):
        optim.Adam(fastrnn.Dense(2, 2), amsgrad=True)


@every_rule
def test_learning_rate_is_assigned(rule):
    """From one update to the next, and to nothing else than a rate."""
    (one, _), (other, _) = two_layers(), two_layers()
    first, second = new(rule, one), new(rule, other, lr=0.5)
    second.lr = first.lr
    first.step(gradients_of(one, 0))
    second.step(gradients_of(other, 0))
    assert_same_bits(other.state_dict(), one.state_dict())
    for wrong, error in ((-1.0, ValueError), (float("nan"), ValueError), (None, TypeError)):
        with pytest.raises(error, match="lr must be"):
            first.lr = wrong
    assert first.lr == second.lr
    first.lr = np.float32(0.25)
    assert type(first.lr) is float and first.lr == 0.25


@every_rule
def test_rate_of_zero_changes_nothing(rule):
    layer = two_layers()[0]
    before = layer.state_dict()
    new(rule, layer, lr=0).step(gradients_of(layer, 0))
    assert_same_bits(layer.state_dict(), before)


@every_dtype
@every_rule
def test_resumed_training_is_the_same(rule, dtype):
    """State of layers and optimizer into new ones, halfway: the bits of the run that was not interrupted."""
    layers = two_layers(dtype)
    optimizer = new(rule, layers)
    for k in range(3):
        optimizer.step([gradients_of(layer, k, dtype) for layer in layers])
    state = optimizer.state_dict()
    resumed = [fastrnn.LSTM(3, 5, seed=9, dtype=dtype), fastrnn.Dense(5, 33, seed=9, dtype=dtype)]
    for layer, other in zip(layers, resumed, strict=True):
        other.load_state_dict(layer.state_dict())
    again = getattr(optim, RULES[rule][0])(resumed, lr=123.0)  # options come with the state
    again.load_state_dict(state)
    assert repr(again) == repr(optimizer)
    for k in range(3, 6):
        optimizer.step([gradients_of(layer, k, dtype) for layer in layers])
        again.step([gradients_of(layer, k, dtype) for layer in resumed])
    assert_same_bits([layer.state_dict() for layer in resumed], [layer.state_dict() for layer in layers])
    assert again.state_dict()["step"] == 6


@every_rule
def test_state_dict_is_a_copy(rule):
    """In the parameters' shapes; changing it, or what it was loaded from, changes nothing."""
    layer = two_layers()[0]
    optimizer = new(rule, layer)
    optimizer.step(gradients_of(layer, 0))
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    assert set(state) == {"step", "options", "state"} and set(state["state"]) == set(layer.parameters)
    for name, arrays in state["state"].items():
        for array in arrays.values():
            assert array.shape == layer.parameters[name].shape and array.flags.writeable and array.flags.c_contiguous
            array.fill(7)
    assert_same_bits(optimizer.state_dict()["state"], kept["state"])
    optimizer.load_state_dict(state)
    for arrays in state["state"].values():
        for array in arrays.values():
            array.fill(8)
    state["options"]["lr"] = 9.0
    values = [array for arrays in optimizer.state_dict()["state"].values() for array in arrays.values()]
    assert all((array == 7).all() for array in values) and optimizer.lr == kept["options"]["lr"]


def bad_states(state: dict):
    """What is wrong, the words of the error, and the state."""

    def changed(**parts):
        return {**state, **parts}

    options, arrays = state["options"], state["state"]
    short = {"exp_avg": arrays["bias"]["exp_avg"][1:]}
    alone = {"weight": arrays["weight"]}
    yield ValueError, ["missing: state.bias.exp_avg, state.bias.exp_avg_sq"], changed(state=alone)
    yield ValueError, ["unexpected: state.gain.exp_avg"], changed(state={**arrays, "gain": short})
    yield ValueError, ["unexpected: epoch"], changed(epoch=3)
    yield (
        ValueError, ["missing: state.bias.exp_avg_sq", "misshapen: state.bias.exp_avg (32,) instead of (33,)"],
        changed(state={**arrays, "bias": short}),
    )  # fmt: skip
    yield ValueError, ["Adam", "options.betas", "step"], {"options": {**options, "betas": {}}, "state": arrays}
    yield ValueError, ["options.lr"], changed(options={name: options[name] for name in options if name != "lr"})
    yield ValueError, ["lr", "-1"], changed(options={**options, "lr": -1})
    yield TypeError, ["eps", "str"], changed(options={**options, "eps": "small"})
    yield ValueError, ["step", "-1"], changed(step=-1)
    yield TypeError, ["step", "float"], changed(step=1.5)
    yield ValueError, ["options.lr", "step"], {}
    yield TypeError, ["state_dict", "NoneType"], None


def test_bad_state_dict():
    dense = two_layers()[1]
    optimizer = optim.Adam(dense, lr=0.5)
    optimizer.step(gradients_of(dense, 0))
    before = everything([dense], optimizer)
    good = optimizer.state_dict()
    good["step"], good["options"]["lr"] = 7, 0.25
    for arrays in good["state"].values():
        for array in arrays.values():
            array.fill(1)
    for error, words, state in bad_states(good):
        with pytest.raises(error) as caught:
            optimizer.load_state_dict(state)
        assert all(word in str(caught.value) for word in words), caught.value
        assert_same_bits(everything([dense], optimizer)[1], before[1])
        assert everything([dense], optimizer)[2] == before[2]
    with pytest.raises(ValueError, match=r"must be of SGD, but has no options\.momentum"):
        optim.SGD(dense).load_state_dict(good)
    optimizer.load_state_dict(good)
    assert optimizer.lr == 0.25


@pytest.mark.parametrize("take", [lambda both: pickle.loads(pickle.dumps(both)), copy.deepcopy], ids=["pickle", "copy"])
@every_rule
def test_pickle_and_copy(rule, take):
    """Layers and optimizer together: the copy goes on as the original does, each on its own layers."""
    layers = two_layers()
    optimizer = new(rule, layers)
    optimizer.step([gradients_of(layer, 0) for layer in layers])
    twins, twin = take((layers, optimizer))
    grads = [gradients_of(layer, 1) for layer in layers]
    before = [layer.state_dict() for layer in layers]
    twin.step(grads)
    assert_same_bits([layer.state_dict() for layer in layers], before)
    optimizer.step(grads)
    assert_same_bits([layer.state_dict() for layer in twins], [layer.state_dict() for layer in layers])
    assert twin.target[0] is twins[0]


@every_rule
def test_a_step_outdates_tapes_and_packed_copies(rule):
    lstm, dense = two_layers()
    x = normal("x", 2, 4, 3)
    y, _, lstm_tape = lstm.forward(x)
    dense_tape = dense.forward(y)[1]
    new(rule, [lstm, dense]).step([gradients_of(layer, 0) for layer in (lstm, dense)])
    with pytest.raises(ValueError, match="tape is older than the layer's parameters"):
        lstm.backward(lstm_tape)
    with pytest.raises(ValueError, match="tape is older than the layer's parameters"):
        dense.backward(dense_tape, np.zeros((2, 4, 33)))
    fresh_lstm, fresh_dense = two_layers()
    fresh_lstm.load_state_dict(lstm.state_dict())
    fresh_dense.load_state_dict(dense.state_dict())
    assert_same_bits(run(lstm, x), run(fresh_lstm, x))
    assert_same_bits(dense(y), fresh_dense(y))


@every_rule
def test_denormals_of_the_caller_survive(rule):
    """Denormals are flushed inside an update, and only there."""
    layer = two_layers()[0]
    new(rule, layer).step(gradients_of(layer, 0))
    assert np.float64(5e-324) * np.float64(1) > 0


def test_a_call_within_a_step_packs_nothing_for_good(monkeypatch):
    """As another thread makes it: half of a parameter is new, and nothing may take it for the whole."""
    layer, x = fastrnn.LSTM(3, 5, bias=False, seed=0), np.ones((1, 2, 3), "float32")
    optimizer = fastrnn.optim.SGD(layer, lr=0.1)

    def update(engine, stored, gradient, state):
        stored[0] -= gradient[0]
        layer(x)
        stored[1:] -= gradient[1:]

    monkeypatch.setattr(optimizer, "_update", update)
    optimizer.step({name: np.ones_like(value) for name, value in layer.parameters.items()})
    fresh = fastrnn.LSTM(3, 5, bias=False)
    fresh.load_state_dict(layer.state_dict())
    assert (layer(x)[0] == fresh(x)[0]).all()
