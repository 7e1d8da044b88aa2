"""MinGRU and MinLSTM: the reference over awkward sizes and every option, the ends of the gates, what is refused."""

import numpy as np
import pytest
from helpers import (
    DTYPES,
    assert_all_close,
    assert_close,
    assert_same_bits,
    batch_of,
    in_float64,
    layer_of,
    make,
    normal,
    run,
    state_like,
)
from shapes import FACTORS, Case, pairwise

import fastrnn
from fastrnn import reference

CELLS = ("mingru", "minlstm")
SIZES = (1, 2, 7, 15, 17, 33, 65)
CASES = [Case(**row) for row in pairwise(FACTORS | {"cell": CELLS, "H": SIZES, "I": SIZES, "T": (1, 2, 7)})]
every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def twin_of(layer):
    """The float64 reference layer with the weights of `layer`."""
    config = {name: value for name, value in layer.get_config().items() if name != "dtype"}
    twin = getattr(reference, type(layer).__name__)(**config, dtype="float64")
    twin.load_state_dict(in_float64(layer.state_dict()))
    return twin


@every_dtype
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_reference(case, dtype):
    layer, batch = layer_of(case, dtype), batch_of(case, dtype)
    expected = run(twin_of(layer), **batch)
    assert_all_close(run(layer, **batch), expected, dtype)


@every_dtype
@every_cell
@pytest.mark.parametrize("nonlinearity", ["tanh", "softplus", ("leaky_relu", 0.2)], ids=str)
def test_nonlinearity(nonlinearity, cell, dtype):
    layer = make(cell, 3, 17, 2, nonlinearity=nonlinearity, dtype=dtype, init=0.6, seed=0)
    given = normal("x", 4, 6, 3, dtype=dtype), state_like(layer, 4, "s"), normal("dy", 4, 6, 17, dtype=dtype)
    assert_all_close(run(layer, *given), run(twin_of(layer), *given), dtype)
    plain = make(cell, 3, 17, 2, dtype=dtype, init=0.6, seed=0)
    assert not np.array_equal(plain(given[0])[0], layer(given[0])[0])


@every_dtype
@every_cell
@pytest.mark.parametrize("N", [1, 3])
def test_many_steps(N, cell, dtype):
    """Which are taken panel by panel, chunk by chunk."""
    layer, rng = make(cell, 5, 35, bidirectional=True, dtype=dtype, init=0.6, seed=0), np.random.default_rng(0)
    given = normal("x", N, 210, 5, dtype=dtype), state_like(layer, N, "s"), normal("dy", N, 210, 70, dtype=dtype)
    rows = {"mask": rng.random((N, 210)) < 0.8, "resets": rng.random((N, 210)) < 0.1}
    assert_all_close(run(layer, *given), run(twin_of(layer), *given), dtype)
    assert_all_close(run(layer, *given, **rows), run(twin_of(layer), *given, **rows), dtype)
    assert_same_bits(layer(*given[:2], **rows), layer.forward(*given[:2], **rows)[:2])


@pytest.mark.parametrize("module", [fastrnn, reference])
def test_a_step_by_hand(module):
    """One unit, two steps, from the equations."""
    layer = make("mingru", 1, 1, bias=False, module=module, dtype="float64")
    layer.set_parameters(weight_ih_l0=[[np.log(3.0)], [2.0]])  # z = 3/4 at x = 1, n = 2
    assert_close(layer([[1.0], [-1.0]], [[4.0]])[0], [[2.5], [0.75 * 2.5 - 0.25 * 2]], 1e-15)
    layer = make("minlstm", 1, 1, bias=False, module=module, dtype="float64")
    layer.set_parameters(weight_ih_l0=[[np.log(3.0)], [0.0], [2.0]])  # f = 3/4, i = 1/2 at x = 1
    assert_close(layer([[1.0], [-1.0]], [[4.0]])[0], [[3.2], [3.2 / 3 - 2 * 2 / 3]], 1e-15)


@every_dtype
@pytest.mark.parametrize("module", [fastrnn, reference])
def test_gates_that_vanish(module, dtype):
    """f / (f + i) where f, i or both are too small for their sum, and its slopes: the ratio of their logarithms."""
    layer = make("minlstm", 2, 1, bias=False, module=module, dtype=dtype)
    layer.set_parameters(weight_ih_l0=[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    sums = [(-19, -18), (-21, -20.5), (-45, -44), (-90, -89), (-800, -801.5), (-800, 3), (3, -800), (-800, -5), (70, 9)]
    x = np.array(sums, dtype)[:, None]
    y, _, tape = layer.forward(x, np.ones((1, len(sums), 1), dtype))  # h' = 1 and n = 0: y is the forget gate's part
    dx = layer.backward(tape, np.ones_like(y))[0]
    log_f, log_i = -np.logaddexp(0, -x.astype("float64")).transpose(2, 0, 1)
    expected = 1 / (1 + np.exp(np.minimum(log_i - log_f, 700)))
    share = expected * (1 - expected)
    slopes = np.concatenate([share * -np.expm1(log_f), share * np.expm1(log_i)], axis=1)
    assert_close(y[:, 0], expected, 1e-6 if dtype == "float32" else 1e-13)
    assert_close(dx[:, 0], slopes, 1e-6 if dtype == "float32" else 1e-13)


@every_cell
def test_a_wide_layer_on_threads(cell):
    """Whose steps are worth sharing out though they have no product."""
    layer = make(cell, 1, 1500, seed=0, init=0.1)
    x, dy, before = normal("x", 2, 40, 1), normal("dy", 2, 40, 1500), fastrnn.get_num_threads()
    results = []
    for number in (1, 2, 3):
        fastrnn.set_num_threads(number)
        results.append((run(layer, x, None, dy), layer(x)))
    fastrnn.set_num_threads(before)
    assert_same_bits(results[1], results[0])
    assert_same_bits(results[2], results[0])


@every_cell
def test_what_has_no_meaning_is_refused(cell):
    layer = make(cell, 3, 5, seed=0)
    name = type(layer).__name__
    with pytest.raises(ValueError, match=rf"weight_dropout must be 0, got 0\.5: a {name} has no recurrent weights"):
        layer.weight_dropout = 0.5
    with pytest.raises(ValueError, match="weight_dropout must be 0"):
        make(cell, 3, 5, weight_dropout=0.1)
    with pytest.raises(ValueError, match="proj_size must be 0"):
        make(cell, 3, 5, proj_size=2)
    with pytest.raises(ValueError, match=f"a {name} cannot be quantized"):
        layer.quantize("int8")
    with pytest.raises(ValueError, match="nonlinearity must be one of tanh"):
        make(cell, 3, 5, nonlinearity="swish")
    with pytest.raises(AttributeError, match="nonlinearity is fixed"):
        layer.nonlinearity = "tanh"
    with pytest.raises(TypeError, match="clip"):
        make(cell, 3, 5, clip=1.0)
    assert layer.weight_dropout == 0


def test_where_the_forget_gates_of_a_model_start():
    model = fastrnn.models.LanguageModel(cell="minlstm", hidden_size=4, forget_bias=2.5, random_state=0)
    model.fit("abcabc" * 9, epochs=1, batch_size=1, sequence_length=4, learning_rate=1e-9, verbose=0)
    bias = model.recurrent_.parameters["bias_ih_l0"]
    assert_close(bias, np.repeat([2.5, 0, 0], 4), 1e-6)
