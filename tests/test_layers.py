"""What a layer object promises: parameters, initial values, copies, processes and threads that share it."""

import copy
import inspect
import os
import pickle
import platform
import threading

import numpy as np
import pytest
from helpers import CELLS, DTYPES, RECURRENT, assert_same_bits, make, normal, python, run, state_like

import fastrnn
from fastrnn import reference

I, H, N, T = 3, 5, 4, 6
X, DY = normal("x", N, T, I), normal("dy", N, T, 2 * H)
every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
GATES = {"lstm": 4, "gru": 3, "gru-before": 3, "mingru": 2, "minlstm": 3}


def layer_of(cell, **options):
    return make(cell, I, H, 2, **{"bidirectional": True, "seed": 0, **options})


def assert_consistent(layer):
    """What the layer computes belongs to the parameters that it shows: no packed copy is stale."""
    fresh = layer_of(layer_cell(layer), dtype=layer.dtype.name, seed=99)
    fresh.load_state_dict(layer.state_dict())
    assert_same_bits(layer(X)[0], fresh(X)[0])
    assert_same_bits(run(layer, X, None, DY), run(fresh, X, None, DY))


def layer_cell(layer) -> str:
    """The key of `CELLS` of a layer."""
    name = type(layer).__name__.lower()
    if name == "rnn":
        return f"rnn-{layer.nonlinearity}"
    return "gru-before" if name == "gru" and not layer.reset_after else name


@pytest.mark.parametrize("cls", [fastrnn.RNN, fastrnn.LSTM, fastrnn.GRU, fastrnn.MinGRU, fastrnn.MinLSTM])
def test_signatures_name_all_arguments(cls):
    """As `help` shows them, and as the class of the reference has them."""
    signature = inspect.signature(cls)
    parameters = list(signature.parameters.values())
    sizes, options = parameters[:3], parameters[3:]
    assert [size.name for size in sizes] == ["input_size", "hidden_size", "num_layers"]
    assert {option.kind for option in options} == {inspect.Parameter.KEYWORD_ONLY}
    layer = cls(I, H, **{option.name: option.default for option in options})
    assert {"bidirectional", "batch_first", "dropout", "dtype", "seed"} < {option.name for option in options}
    assert set(layer.get_config()) - {size.name for size in sizes} <= {option.name for option in options}
    assert inspect.signature(getattr(reference, cls.__name__)) == signature


# Parameters


@every_cell
@pytest.mark.parametrize("bias", [True, False])
def test_names_and_shapes_are_torchs(cell, bias):
    layer = layer_of(cell, bias=bias)
    G = GATES.get(cell, 1)
    expected = {}
    for k, width in enumerate([I, 2 * H]):
        for suffix in (f"l{k}", f"l{k}_reverse"):
            shapes = {"weight_ih": (G * H, width), "weight_hh": (G * H, H), "bias_ih": (G * H,), "bias_hh": (G * H,)}
            kinds = [kind for kind in shapes if (bias or "weight" in kind) and (cell in RECURRENT or "ih" in kind)]
            expected |= {f"{kind}_{suffix}": shapes[kind] for kind in kinds}
    for mapping in (layer.parameters, layer.state_dict()):
        assert [(name, value.shape) for name, value in mapping.items()] == list(expected.items())
    y, _, tape = layer.forward(X)
    grads = layer.backward(tape, np.ones_like(y))[2]
    assert [(name, value.shape) for name, value in grads.items()] == list(expected.items())


@every_cell
def test_attributes(cell):
    layer = layer_of(cell, dropout=0.25, batch_first=False, bias=False, dtype="float64")
    assert (layer.input_size, layer.hidden_size, layer.num_layers, layer.proj_size) == (I, H, 2, 0)
    assert (layer.bidirectional, layer.batch_first, layer.bias, layer.dropout) == (True, False, False, 0.25)
    assert layer.dtype == np.dtype("float64")
    for name, value in CELLS[cell][1].items():
        assert getattr(layer, name) == value


@every_cell
def test_parameters_are_read_only(cell):
    layer = layer_of(cell)
    before = layer.state_dict()
    for value in layer.parameters.values():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0
        with pytest.raises(ValueError, match="read-only"):
            value.T[...] = 0
    assert_same_bits(dict(layer.parameters), before)


@every_cell
def test_state_dict_holds_copies(cell):
    layer = layer_of(cell)
    copies = layer.state_dict()
    for value in copies.values():
        value.fill(7)
    assert_same_bits(layer.state_dict(), layer_of(cell).state_dict())
    layer.load_state_dict(copies)
    for value in copies.values():
        value.fill(8)
    assert all((value == 7).all() for value in layer.parameters.values())


@every_dtype
@every_cell
def test_load_state_dict(cell, dtype):
    """Any array-like of the right shape, strided and in the other precision too; the next call already uses it."""
    layer, other = layer_of(cell, dtype=dtype), layer_of(cell, dtype="float64", seed=1)
    layer(X)  # packs what is about to be replaced
    values = {name: np.asfortranarray(value) for name, value in other.state_dict().items()}
    layer.load_state_dict(values)
    assert_same_bits(layer.state_dict(), {name: value.astype(dtype) for name, value in values.items()})
    assert_consistent(layer)
    layer.load_state_dict({name: value.tolist() for name, value in layer.state_dict().items()})
    assert_consistent(layer)


def test_parameters_shown_before_a_change_follow_it():
    layer = layer_of("lstm")
    shown = layer.parameters["weight_hh_l1"]
    layer.set_parameters(weight_hh_l1=np.ones((4 * H, H)))
    assert_same_bits(shown, layer.parameters["weight_hh_l1"])


@pytest.mark.parametrize("cell", RECURRENT)
def test_everything_wrong_is_listed_at_once(cell):
    layer, untouched = layer_of(cell), layer_of(cell)
    wrong = layer.state_dict()
    wrong["weight_ih_l0"] += 1
    del wrong["weight_hh_l1"], wrong["bias_ih_l0_reverse"]
    wrong["weight_hh_l0"] = np.zeros((2, 2))
    wrong["bias_hh_l1"] = np.zeros(3)
    wrong["weight_ih_l7"] = np.zeros((2, 2))
    with pytest.raises(ValueError, match="parameters") as caught:
        layer.load_state_dict(wrong)
    for word in ("weight_hh_l1", "bias_ih_l0_reverse", "weight_hh_l0", "(2, 2)", "bias_hh_l1", "(3,)", "weight_ih_l7"):
        assert word in str(caught.value)
    assert_same_bits(layer.state_dict(), untouched.state_dict())
    with pytest.raises(ValueError, match=r"(?s)weight_hh_l0.*weight_ih_l7|weight_ih_l7.*weight_hh_l0"):
        layer.set_parameters(bias_ih_l0=wrong["bias_hh_l0"] + 1, weight_hh_l0=np.zeros(3), weight_ih_l7=np.zeros(3))
    assert_same_bits(layer.state_dict(), untouched.state_dict())
    for value in (np.zeros(wrong["bias_hh_l0"].shape, complex), np.zeros(wrong["bias_hh_l0"].shape, object)):
        with pytest.raises((TypeError, ValueError), match="bias_hh_l0"):
            layer.set_parameters(bias_ih_l0=wrong["bias_hh_l0"] + 1, bias_hh_l0=value)
    assert_same_bits(run(layer, X, None, DY), run(untouched, X, None, DY))


def test_load_some():
    """strict=False takes what fits by name, ignores other names, and still refuses a wrong shape."""
    layer = layer_of("gru")
    bias = np.arange(3 * H, dtype="float32")
    layer.load_state_dict({"bias_ih_l0": bias, "head.weight": np.zeros(2)}, strict=False)
    assert_same_bits(layer.parameters["bias_ih_l0"], bias)
    assert_same_bits(layer.parameters["bias_hh_l0"], layer_of("gru").parameters["bias_hh_l0"])
    assert_consistent(layer)
    with pytest.raises(ValueError, match="bias_ih_l0"):
        layer.load_state_dict({"bias_hh_l0": bias, "bias_ih_l0": bias[1:]}, strict=False)
    assert_same_bits(layer.parameters["bias_hh_l0"], layer_of("gru").parameters["bias_hh_l0"])


@every_cell
def test_set_parameters(cell):
    layer = layer_of(cell)
    run(layer, X, None, DY)
    for name, value in layer.state_dict().items():
        layer.set_parameters(**{name: value + 0.125})
        assert_same_bits(layer.parameters[name], value + np.float32(0.125))
        assert_consistent(layer)
    layer.set_parameters()
    assert_consistent(layer)


# Initial values


@every_dtype
@every_cell
def test_default_initial_values(cell, dtype):
    """Glorot uniform and orthogonal gate by gate, zero biases, but 1 for the forget gate, once."""
    layer = make(cell, 30, 40, 2, bidirectional=True, dtype=dtype, seed=0)
    for name, value in layer.parameters.items():
        gates = np.split(np.asarray(value, "float64"), GATES.get(cell, 1))
        for k, gate in enumerate(gates):
            if name.startswith("weight_ih"):
                bound = (6 / (40 + gate.shape[1])) ** 0.5
                assert 0.95 * bound < np.abs(gate).max() <= bound * 1.000001
                assert abs(gate.std() - bound / 3**0.5) < 0.05 * bound
            elif name.startswith("weight_hh"):
                assert np.abs(gate @ gate.T - np.eye(40)).max() < 1e-5
            else:
                forget = name.startswith("bias_ih") and (cell, k) in (("lstm", 1), ("minlstm", 0))
                assert (gate == (1 if forget else 0)).all()


@every_dtype
@every_cell
@pytest.mark.parametrize("init", ["torch", 0.02, 3])
def test_uniform_initial_values(init, cell, dtype):
    layer = make(cell, 30, 40, 2, dtype=dtype, seed=0, init=init)
    bound = 40**-0.5 if init == "torch" else init
    for value in layer.parameters.values():
        assert 0.85 * bound < np.abs(value).max() <= bound * 1.000001
        assert value.min() < -0.85 * bound


@every_cell
def test_seeds(cell):
    assert_same_bits(layer_of(cell).state_dict(), layer_of(cell).state_dict())
    drawn = [layer_of(cell, seed=seed).parameters["weight_ih_l1"] for seed in (0, 1, 2**64 - 1, None, None)]
    for k, first in enumerate(drawn):
        assert not any(np.array_equal(first, second) for second in drawn[:k])


# Denormal numbers


@every_dtype
@every_cell
def test_the_callers_floating_point_mode_is_kept(cell, dtype):
    """A call flushes denormals; after it, and after one that failed, NumPy computes with them as before."""
    layer = layer_of(cell, dtype=dtype)
    tiny = np.full(8, np.finfo(dtype).tiny)

    def denormals_live():
        return (tiny / 2 > 0).all()

    assert denormals_live()
    for _ in range(2):
        layer(X)
        assert denormals_live()
        tape = layer.forward(X)[2]
        assert denormals_live()
        layer.backward(tape, DY)
        assert denormals_live()
    with pytest.raises(ValueError, match="lengths"):
        layer(X, lengths=[T + 1] * N)
    assert denormals_live()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere denormals cost little and stay")
@every_dtype
def test_denormals_are_flushed(dtype):
    """A state that decays, and a gradient that does, reach zero where the next value would be denormal."""
    layer = make("rnn-linear", 1, 1, dtype=dtype, seed=0, bias=False)
    layer.set_parameters(weight_ih_l0=[[1]], weight_hh_l0=[[0.5]])
    tiny = np.full((1, 1, 1), np.finfo(dtype).tiny)
    got = run(layer, np.zeros((1, 4, 1)), 4 * tiny, np.zeros((1, 4, 1)), 4 * tiny)
    assert_same_bits(got["y"].ravel(), np.array([2, 1, 0, 0], dtype) * tiny.ravel())
    assert_same_bits(got["dx"].ravel(), np.array([0, 1, 2, 4], dtype) * tiny.ravel())
    layer.set_parameters(weight_ih_l0=[[1000]])
    assert not layer(tiny / 2)[0].any()  # a denormal input reads as zero


# The reference


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_the_reference_has_the_same_methods(name):
    """With the same parameters, in the same order, with the same defaults."""
    layer, twin = getattr(fastrnn, name), getattr(reference, name)

    def public(cls):
        return {key for key in dir(cls) if not key.startswith("_")} | {"__init__", "__call__"}

    def form(method):
        return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]

    assert public(layer) == public(twin)
    for key in public(layer):
        if callable(getattr(layer, key)):
            assert form(getattr(layer, key)) == form(getattr(twin, key)), key
    assert form(layer.__mro__[1].__init__) == form(twin.__mro__[1].__init__)


# Copies, processes, threads


@every_dtype
@every_cell
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "copy"])
def test_copies(how, cell, dtype):
    """A copy computes the same bits, goes on with the same dropout masks, and neither can make the other stale."""
    layer = layer_of(cell, dtype=dtype, dropout=0.5)
    run(layer, X, None, DY)
    duplicate = {
        "pickle": lambda: pickle.loads(pickle.dumps(layer)), "deepcopy": lambda: copy.deepcopy(layer),
        "copy": lambda: copy.copy(layer),
    }[how]()  # fmt: skip
    assert_same_bits(duplicate.state_dict(), layer.state_dict())
    assert_same_bits(run(duplicate, X, None, DY), run(layer, X, None, DY))
    value = layer.parameters["weight_ih_l1"] * 2
    for changed in (duplicate, layer):
        changed.set_parameters(weight_ih_l1=value)
        value = value * 2
        for either in (duplicate, layer):
            fresh = layer_of(cell, dtype=dtype, seed=99)
            fresh.load_state_dict(either.state_dict())
            assert_same_bits(either(X)[0], fresh(X)[0])
    if how != "copy":
        assert not np.array_equal(duplicate.parameters["weight_ih_l1"], layer.parameters["weight_ih_l1"])
        assert not np.shares_memory(duplicate.parameters["weight_ih_l0"], layer.parameters["weight_ih_l0"])
        assert not duplicate.parameters["weight_ih_l0"].flags.writeable


@every_cell
def test_pickles_are_small(cell):
    """Packed copies are made again, not written."""
    layer = make(cell, 64, 64, seed=0)
    run(layer, normal("x", 2, 3, 64))
    numbers = sum(value.nbytes for value in layer.parameters.values())
    assert len(pickle.dumps(layer)) < 1.1 * numbers + 4096


@every_cell
def test_repr(cell):
    """What makes the layer again: the class and its arguments."""
    layer = layer_of(cell, dropout=0.25, dtype="float64", bias=False, batch_first=False, init=0.5)
    again = eval(repr(layer), {name: getattr(fastrnn, name) for name, _ in CELLS.values()})
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)
    assert_same_bits(again.state_dict(), layer.state_dict())
    assert (again.dropout, again.batch_first, again.dtype) == (0.25, False, np.dtype("float64"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_cell
def test_works_after_fork(cell):
    """In the child, with packs and kept memory of the parent; and in the parent afterwards."""
    layer = layer_of(cell)
    expected = run(layer, X, None, DY)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert_same_bits(run(layer, X, None, DY), expected)
            layer.set_parameters(bias_ih_l0=np.ones_like(layer.parameters["bias_ih_l0"]))
            assert_consistent(layer)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert_same_bits(run(layer, X, None, DY), expected)


def in_threads(count, work):
    """Call `work(k)` in `count` threads that start together; raise what any of them raised."""
    barrier, errors = threading.Barrier(count), []

    def body(k):
        try:
            barrier.wait()
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@every_cell
def test_threads_share_a_layer(cell):
    """Inference from several threads at once, the first call, which packs, included."""
    inputs = [normal(f"x{k}", 7, 20, 40) for k in range(4)]
    ids = np.random.default_rng(0).integers(0, 40, (7, 20))
    layers = [make(cell, 40, 50, 2, bidirectional=True, seed=0) for _ in range(11)]
    expected = [layers[0](x) for x in inputs]
    expected_ids = layers[0](ids)
    for layer in layers[1:]:

        def work(k, layer=layer):
            for _ in range(3):
                assert_same_bits(layer(inputs[k]), expected[k])
                assert_same_bits(layer(ids), expected_ids)

        in_threads(4, work)


@every_cell
def test_threads_train_layers_of_their_own(cell):
    layers = [layer_of(cell, seed=k) for k in range(4)]
    expected = [run(layer_of(cell, seed=k), X, state_like(layers[k], N, "s"), DY) for k in range(4)]

    def work(k):
        for _ in range(20):
            assert_same_bits(run(layers[k], X, state_like(layers[k], N, "s"), DY), expected[k])

    in_threads(4, work)


def test_layers_do_not_disturb_each_other():
    """Interleaved calls of layers of every kind give what each gives alone."""
    layers = [layer_of(cell) for cell in CELLS]
    expected = [run(layer_of(cell), X, None, DY) for cell in CELLS]
    tapes = [layer.forward(X)[2] for layer in layers]
    for layer, tape, alone in list(zip(layers, tapes, expected, strict=True))[::-1]:
        dx, _, grads = layer.backward(tape, DY)
        assert_same_bits({"dx": dx, **grads}, {name: alone[name] for name in ("dx", *grads)})


def test_the_package_names_its_layers():
    assert {"RNN", "LSTM", "GRU", "Dense", "Embedding"} <= set(dir(fastrnn))


@every_cell
def test_what_shaped_the_parameters_is_fixed(cell):
    layer, dense, embedding = make(cell, 3, 5, 2), fastrnn.Dense(3, 5), fastrnn.Embedding(3, 5)
    names = "input_size hidden_size num_layers bidirectional batch_first bias proj_size dtype seed init".split()
    fixed = [(layer, name) for name in names] + [(dense, "in_features"), (dense, "bias"), (embedding, "embedding_dim")]
    for owner, name in fixed:
        before = getattr(owner, name)
        with pytest.raises(AttributeError, match=f"{name} is fixed"):
            setattr(owner, name, 7)
        assert getattr(owner, name) == before
    with pytest.raises(TypeError):
        layer.parameters["bias_ih_l0"] = np.zeros(5)
    with pytest.raises(AttributeError):
        layer.stream().batch_size = 2
    layer.dropout = 0.5
    with pytest.raises(ValueError, match="dropout must be a number from 0 to 1"):
        layer.dropout = 1.5
    assert layer.dropout == layer.get_config()["dropout"] == 0.5


@every_cell
def test_parameters_may_change_places(cell):
    layer = make(cell, 5, 5, bidirectional=True, seed=0, init=0.3)
    before = layer.state_dict()
    swapped = {
        name: layer.parameters[name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"]
        for name in before
    }
    layer.load_state_dict(swapped)
    for name, value in layer.parameters.items():
        other = name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"
        assert_same_bits(np.array(value), before[other])


@every_cell
def test_ids_may_change_after_forward(cell):
    layer = make(cell, 7, 5, seed=0)
    ids, dy = np.array([[1, 2, 6]]), np.ones((1, 3, 5), "float32")
    expected = run(layer, ids.copy(), None, dy)
    tape = layer.forward(ids)[2]
    ids[...] = 0
    assert_same_bits(layer.backward(tape, dy)[2], {name: expected[name] for name in layer.parameters})
    embedding, ids = fastrnn.Embedding(7, 5), np.array([1, 2])
    tape = embedding.forward(ids)[1]
    ids[...] = 0
    assert embedding.backward(tape, np.ones((2, 5)))[1]["weight"].any(axis=1).tolist() == [0, 1, 1, 0, 0, 0, 0]


def test_wrong_options_are_named():
    calls = [
        (ValueError, "dtype must be", lambda: fastrnn.LSTM(3, 5, dtype=None)),
        (ValueError, "init must be", lambda: fastrnn.Embedding(3, 4, init=-1)),
        (ValueError, "init must be", lambda: fastrnn.Embedding(3, 4, init=float("nan"))),
        (ValueError, "init must be", lambda: fastrnn.Embedding(3, 4, init=True)),
        (TypeError, "state_dict must be a mapping", lambda: fastrnn.LSTM(3, 5).load_state_dict([1])),
    ]
    for error, message, call in calls:
        with pytest.raises(error, match=message):
            call()
    swapped = np.dtype("float32").newbyteorder()
    assert fastrnn.LSTM(3, 5, dtype=swapped)(np.ones((1, 2, 3)))[0].dtype == "float32"
    assert fastrnn.LSTM(3, 5, init=np.float32(0.1)).parameters["bias_ih_l0"].max() <= 0.1


@pytest.mark.skipif(platform.system() != "Linux", reason="resident memory is read from /proc")
def test_results_keep_no_more_memory_than_they_need():
    """Each is 256 bytes; the workspaces between them are 100 times as large, and must not be handed out as results."""
    done = python(
        "import re, numpy as np, fastrnn\n"
        "resident = lambda: int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) << 10\n"
        "layer = fastrnn.LSTM(64, 64, seed=0)\n"
        "long, short = np.zeros((1, 16, 64), 'float32'), np.zeros((1, 1, 64), 'float32')\n"
        "call = lambda: (layer(long), layer(short)[0])[1]\n"
        "kept = [call() for _ in range(10)]\n"
        "before = resident()\n"
        "kept += [call() for _ in range(2000)]\n"
        "print(resident() - before)"
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 10 << 20


def test_release_memory_leaves_results_alone():
    layer, x = fastrnn.LSTM(64, 64, seed=0), np.ones((1, 16, 64), "float32")
    y = layer(x)[0]
    fastrnn.release_memory()
    assert_same_bits(layer(x)[0], y)
