"""Sequences that outgrow the caches, whose rows are asked for ahead: the bits of each row alone, which stays near."""

import numpy as np
import pytest
from helpers import RECURRENT, assert_same_bits, make, normal, run, state_like

import fastrnn

T = 160
NEAR, SWEEPING = 130, 370  # hidden sizes: weights stay in the second cache, and sweep it
FORMS = {
    "full": lambda N: {},
    "ragged": lambda N: {"lengths": np.arange(N) * (T // N) + 3},
    "resets": lambda N: {"resets": np.random.default_rng(0).random((N, T)) < 0.05},
}
every_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(autouse=True, params=[1, 2])
def rows(request):
    """As many as one thread or two take, each some rows of its own through all steps."""
    before = fastrnn.get_num_threads()
    fastrnn.set_num_threads(request.param)
    yield 13 * request.param
    fastrnn.set_num_threads(before)


def assert_rows_equal_themselves_alone(make_layer, N, form, rows) -> None:
    layer = make_layer()
    D = 2 if layer.bidirectional else 1
    x, dy = normal("x", N, T, layer.input_size), normal("dy", N, T, D * (layer.proj_size or layer.hidden_size))
    state, given = state_like(layer, N, "state"), FORMS[form](N)
    batch = run(layer, x, state, dy, **given)
    for n in rows:
        row = slice(n, n + 1)
        part = tuple(p[:, row] for p in state) if isinstance(state, tuple) else state[:, row]
        alone = run(make_layer(), x[row], part, dy[row], **{key: value[row] for key, value in given.items()})
        for name in ("y", "dx"):
            assert_same_bits(alone[name][0], batch[name][n])
        for name in {"h", "c", "dh", "dc"} & set(batch):
            assert_same_bits(alone[name][:, 0], batch[name][:, n])


@pytest.mark.parametrize("cell", RECURRENT)
@every_form
@pytest.mark.parametrize("H", [NEAR, SWEEPING])
def test_every_cell(cell, form, H, rows):
    assert_rows_equal_themselves_alone(lambda: make(cell, H, H, seed=0, init=0.05), rows, form, (0, 5, rows - 1))


@pytest.mark.parametrize("cell", RECURRENT)
@every_form
def test_both_directions(cell, form, rows):
    def make_layer():
        return make(cell, NEAR, NEAR, bidirectional=True, seed=0, init=0.05)

    assert_rows_equal_themselves_alone(make_layer, rows, form, (0, rows - 1))


@every_form
def test_projected(form, rows):
    def make_layer():
        return fastrnn.LSTM(NEAR, NEAR, proj_size=40, seed=0, init=0.05)

    assert_rows_equal_themselves_alone(make_layer, rows, form, (0, 5, rows - 1))


@pytest.mark.parametrize("cell", RECURRENT)
@every_form
def test_masked_states(cell, form, rows):
    """Of which the first row of a batch draws as a row alone."""

    def make_layer():
        return make(cell, NEAR, NEAR, recurrent_dropout=0.3, seed=0, init=0.05)

    assert_rows_equal_themselves_alone(make_layer, rows, form, (0,))
