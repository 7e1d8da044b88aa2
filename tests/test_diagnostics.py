"""What `diagnostics.gradient_flow` finds, against tape and reference; what it shows on a long task; the figure."""

import sys

import numpy as np
import pytest
from helpers import CELLS, DTYPES, GRADIENT, assert_close, assert_same_bits, make, normal, state_like

import fastrnn
from fastrnn import losses
from fastrnn.diagnostics import gradient_flow

I, H, N, T = 3, 17, 5, 7
MASK = np.array([list(row) for row in ("1111111", "1011001", "0000000", "0111100", "1100000")]) == "1"
every_cell = pytest.mark.parametrize("cell", CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def assert_same_flow(actual, expected, tolerance=0.0):
    assert actual.names == expected.names
    assert_close(actual.norms, expected.norms, tolerance, "norms")
    assert list(actual.saturated) == list(expected.saturated)
    for gate, share in expected.saturated.items():
        assert_close(actual.saturated[gate], share, tolerance, gate)
    assert_close(actual.forget, expected.forget, tolerance, "forget")
    assert_close(actual.gradient_norm, expected.gradient_norm, tolerance, "gradient_norm")
    assert actual.clip_hit_rate == expected.clip_hit_rate


@every_dtype
@every_cell
def test_equals_the_reference(cell, dtype):
    options = {"bidirectional": True, "dtype": dtype, "seed": 0}
    layer, reference = (make(cell, I, H, 2, module=module, **options) for module in (fastrnn, fastrnn.reference))
    reference.load_state_dict(layer.state_dict())
    x, dy = normal("x", N, T, I, dtype=dtype), normal("dy", N, T, 2 * H, dtype=dtype)
    given = {"dy": dy, "state": state_like(layer, N, "s"), "mask": MASK, "resets": normal("r", N, T) > 1, "clip": 0.5}
    assert_same_flow(gradient_flow(layer, x, **given), gradient_flow(reference, x, **given), GRADIENT[dtype])


@pytest.mark.parametrize("form", ["batch_first", "time_major", "unbatched"])
@every_cell
def test_all_is_counted_over_real_steps(cell, form):
    """Each number again, from what the tape shows."""
    layer = make(cell, I, H, 2, bidirectional=True, batch_first=form != "time_major", init=0.9, seed=0)
    laid = {"batch_first": lambda a: a, "time_major": lambda a: a.swapaxes(0, 1), "unbatched": lambda a: a[1]}[form]
    x, dy, mask = laid(normal("x", N, T, I)), laid(normal("dy", N, T, 2 * H)), laid(MASK)
    flow = gradient_flow(layer, x, dy=dy, mask=mask, clip=1.0)

    _, _, tape = layer.forward(x, mask=mask)
    gates = [{name: value[mask] for name, value in part.items()} for part in tape.gates()]
    tape.watch()
    grads = np.concatenate([value.ravel() for value in layer.backward(tape, dy)[2].values()]).astype("float64")
    axis = 1 if form == "batch_first" else 0
    others = tuple(k for k in range(x.ndim) if k != axis)
    expected = [np.sqrt((seen.astype("float64") ** 2).sum(axis=others)) for seen in tape.hidden_gradients()]
    assert_close(flow.norms, expected, 1e-12, "norms")
    assert flow.names == ("l0", "l0_reverse", "l1", "l1_reverse")
    assert_close(flow.gradient_norm, np.sqrt((grads**2).sum()), 1e-12)
    assert 0 < flow.clip_hit_rate == (np.abs(grads) > 1).mean() < 1

    sigmoid, tanh = (lambda v: (v < 0.1) | (v > 0.9)), (lambda v: np.abs(v) > 0.8)
    flat = dict.fromkeys("ifo", sigmoid) | {"g": tanh} if cell == "lstm" else dict.fromkeys("rz", sigmoid) | {"n": tanh}
    if cell.startswith("min"):
        flat = dict.fromkeys("z" if cell == "mingru" else "fi", sigmoid) | {"n": lambda v: v != v}
    if cell.startswith("rnn"):
        flat = {"h": {"tanh": tanh, "sigmoid": sigmoid, "relu": lambda v: v == 0, "linear": lambda v: v != v}[cell[4:]]}
    assert sorted(flow.saturated) == sorted(flat)
    for name, test in flat.items():
        assert_close(flow.saturated[name], [test(part[name]).mean() for part in gates], 1e-12, name)
    keeps = {
        "lstm": lambda part: part["f"], "gru": lambda part: part["z"], "gru-before": lambda part: part["z"],
        "mingru": lambda part: 1 - part["z"], "minlstm": lambda part: part["f"] / (part["f"] + part["i"]),
    }.get(cell)  # fmt: skip
    if keeps is None:
        assert flow.forget is flow.memory is None
    else:
        means = np.array([keeps(part).mean(dtype="float64") for part in gates])
        assert_close(flow.forget, means, 1e-12)
        assert_close(flow.memory, 1 / (1 - means), 1e-12)


def test_default_loss_starts_at_each_rows_last_step():
    """Those of the last layer's final h: the forward direction ends at a row's last step, the reverse at its first."""
    layer = make("lstm", I, H, 2, bidirectional=True, dtype="float64", seed=0)
    x, lengths = normal("x", N, T, I, dtype="float64"), np.array([7, 4, 0, 4, 1])
    dy = np.zeros((N, T, 2 * H))
    dy[[0, 1, 3, 4], [6, 3, 3, 0], :H] = 1
    dy[[0, 1, 3, 4], 0, H:] = 1
    assert_same_flow(gradient_flow(layer, x, lengths=lengths), gradient_flow(layer, x, dy=dy, lengths=lengths), 1e-12)


def test_loss_through_a_dense_layer():
    layer, dense = make("gru", I, H, seed=0), fastrnn.Dense(H, 4, seed=0)
    x, targets = normal("x", N, T, I), np.arange(N * T).reshape(N, T) % 4
    _, dy, _ = dense.cross_entropy(layer(x)[0], targets)
    flow = gradient_flow(layer, x, loss=lambda y: dense.cross_entropy(y, targets))
    assert_same_flow(flow, gradient_flow(layer, x, dy=dy))


@pytest.mark.parametrize("embedding_size", [None, 6])
def test_of_a_language_model(embedding_size):
    """A text through the model's own loss: the mean over its characters of what predicting each of them costs."""
    text = "the cat sat on the mat. " * 20
    lm = fastrnn.models.LanguageModel(
        hidden_size=H, num_layers=2, dropout=0.2, embedding_size=embedding_size, random_state=0
    )  # fmt: skip
    with pytest.raises(fastrnn.models._model.NotFittedError):
        gradient_flow(lm, text)
    lm.fit(text, epochs=1, batch_size=4, verbose=0)
    ids = np.array([[lm.vocabulary_.index(letter) for letter in "the mat on the cat"]])
    x = ids[:, :-1] if embedding_size is None else lm.embedding_(ids[:, :-1])
    flow = gradient_flow(lm, "the mat on the cat")
    expected = gradient_flow(lm.recurrent_, x, loss=lambda h: lm.output_.cross_entropy(h, ids[:, 1:]))
    assert flow.norms.shape == (2, 17)
    assert_same_flow(flow, expected)


def test_nothing_changes():
    """What `forward` draws next is what it would have drawn."""
    layer, twin = (make("lstm", I, H, 2, dropout=0.5, seed=3) for _ in range(2))
    x = normal("x", N, T, I)
    before = layer.state_dict()
    flow = gradient_flow(layer, x)
    assert_same_bits(layer.state_dict(), before)
    assert_same_bits(layer.forward(x)[0], twin.forward(x)[0])
    assert not np.array_equal(flow.norms, gradient_flow(layer, x).norms)  # the next masks


def test_printed():
    layer = make("lstm", I, H, bidirectional=True, seed=0)
    flow = gradient_flow(layer, np.zeros((N, T, I)), clip=100)
    first, second, third = str(flow).splitlines()
    assert first.startswith(f"l0          |dL/dh| {flow.norms[0, 0]:.1e} at t=0, {flow.norms[0, 6]:.1e} at t=6; ")
    assert second.startswith("l0_reverse  |dL/dh| ")
    assert second.endswith("; saturated i 0% f 0% g 0% o 0%; forget gate 0.731, a memory of 3.7 steps")
    assert third == f"gradients of the parameters: norm {flow.gradient_norm:.2e}, 0.00% of their numbers beyond ±100"
    assert "forget" not in str(gradient_flow(make("rnn-tanh", I, H), np.zeros((N, T, I))))


def test_a_gate_that_is_open_remembers_for_ever():
    layer = make("lstm", I, H, dtype="float64")
    layer.set_parameters(bias_ih_l0=np.full(4 * H, 999.0))
    flow = gradient_flow(layer, np.zeros((N, T, I)))
    assert_same_bits(flow.forget, np.ones(1))
    assert_same_bits(flow.memory, np.array([np.inf]))
    assert_same_bits(flow.saturated["f"], np.ones(1))


def test_no_real_steps():
    flow = gradient_flow(make("lstm", I, H), np.zeros((2, T, I)), lengths=[0, 0])
    assert not flow.norms.any()
    assert np.isnan(flow.forget).all()


def test_errors():
    layer, x = make("lstm", I, H), np.zeros((N, T, I))
    with pytest.raises(ValueError, match="dy and loss say the same thing twice"):
        gradient_flow(layer, x, dy=np.zeros((N, T, H)), loss=lambda y: (0, y))
    with pytest.raises(TypeError, match=r"loss must return a tuple \(loss, dy, ...\), got ndarray"):
        gradient_flow(layer, x, loss=lambda y: y)
    with pytest.raises(TypeError, match="layer_or_model must be a recurrent layer or a LanguageModel, got Dense"):
        gradient_flow(fastrnn.Dense(I, H), x)
    with pytest.raises(TypeError, match="a layer takes one array, x, got 2 arguments"):
        gradient_flow(layer, x, x)
    with pytest.raises(ValueError, match="x must have at least one step, got none"):
        gradient_flow(layer, x[:, :0])
    with pytest.raises(TypeError, match="clip must be a number, got str"):
        gradient_flow(layer, x, clip="5")
    assert layer.forward_count == 0


# A task over 200 steps: the sum of all inputs, asked for at the end


def sums(rng, N=32, T=200):
    x = rng.standard_normal((N, T, 1), dtype="float32")
    return x, x.sum(axis=1) / T**0.5


def trained_flow(cell, updates):
    """The flow of the loss after some updates."""
    rng = np.random.default_rng(0)
    layer, dense = make(cell, 1, 32, seed=0), fastrnn.Dense(32, 1, seed=0)
    optimizer = fastrnn.optim.Adam([layer, dense], lr=5e-3)

    def loss(y):
        prediction, tape = dense.forward(y[:, -1])
        value, dprediction = losses.squared_error(prediction, target)
        dy = np.zeros_like(y)
        dy[:, -1], grads = dense.backward(tape, dprediction)
        return value, dy, grads

    for _ in range(updates):
        x, target = sums(rng)
        y, _, tape = layer.forward(x)
        _, dy, dense_grads = loss(y)
        grads = [layer.backward(tape, dy)[2], dense_grads]
        fastrnn.optim.clip_grad_norm(grads, 1.0)
        optimizer.step(grads)
    x, target = sums(rng)
    return gradient_flow(layer, x, loss=loss)


def test_over_200_steps_an_rnn_forgets_and_an_lstm_does_not():
    """The gradient at the first step against that at the last; what the LSTM's had lost before, it loses no more."""
    rnn, lstm = (trained_flow(cell, 100).norms[0] for cell in ("rnn-tanh", "lstm"))
    assert rnn[0] < 1e-8 * rnn[-1]
    assert rnn[100] < 1e-5 * rnn[-1]
    assert lstm[0] > 0.01 * lstm[-1]
    assert lstm[0] > 0.2 * lstm[100]
    early = trained_flow("lstm", 0)
    assert early.forget[0] == pytest.approx(0.73, abs=0.01)
    assert early.norms[0, 0] < 1e-3 * early.norms[0, -1]


# The figure


def test_figure():
    """A panel for each flow, a line for each layer and direction, zeros left out, no window opened."""
    x = normal("x", N, 60, I)
    flows = {
        "RNN": gradient_flow(make("rnn-tanh", I, H, seed=0, init="torch"), x),
        "LSTM": gradient_flow(make("lstm", I, H, bidirectional=True, seed=0), x, lengths=[50, 20, 0, 3, 4]),
    }
    before = set(sys.modules)
    figure = fastrnn.plot.gradient_flow(flows)
    assert "matplotlib.pyplot" not in set(sys.modules) - before
    assert [axes.get_title() for axes in figure.axes] == ["RNN", "LSTM"]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log"]
    assert [len(axes.get_lines()) for axes in figure.axes] == [1, 2]
    assert [line.get_linestyle() for line in figure.axes[1].get_lines()] == ["-", "--"]
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["l0", "l0_reverse"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    for axes, flow in zip(figure.axes, flows.values(), strict=True):
        for line, norms in zip(axes.get_lines(), flow.norms, strict=True):
            drawn = line.get_ydata()
            shown = norms > 1e-16 * max(flow.norms.max() for flow in flows.values())
            np.testing.assert_array_equal(drawn[shown], norms[shown])
            assert np.isnan(drawn[~shown]).all()
    assert np.isnan(figure.axes[1].get_lines()[0].get_ydata()[50:]).all()


def test_figure_of_one_flow(tmp_path):
    figure = fastrnn.plot.gradient_flow(gradient_flow(make("gru", I, H), np.zeros((N, T, I))))
    figure.savefig(tmp_path / "flow.svg")
    assert (tmp_path / "flow.svg").stat().st_size > 1000
    assert len(figure.axes) == 1


def test_figure_errors(monkeypatch):
    with pytest.raises(TypeError, match=r"flows must be a GradientFlow or a dict of them, got \{\}"):
        fastrnn.plot.gradient_flow({})
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'fastrnn\[plot\]'"):
        fastrnn.plot.gradient_flow({})


def test_other_activations_and_sparse_gradients():
    """A gate counts as saturated by its own activation, and not at all where that has no end."""
    x = normal("x", N, T, I)
    flow = gradient_flow(fastrnn.LSTM(I, H, activations=("hard_sigmoid", "relu", "relu"), seed=0), x)
    assert list(flow.saturated) == ["g"]
    assert flow.saturated["g"][0] > 0.2  # a relu is at rest for about half of what it gets
    assert gradient_flow(fastrnn.RNN(I, H, nonlinearity="elu", seed=0), x).saturated == {}
    ids = np.random.default_rng(0).integers(0, I, (N, T))
    dense, sparse = (gradient_flow(fastrnn.LSTM(I, H, sparse_grad=given, seed=0), ids) for given in (False, True))
    assert sparse.gradient_norm == dense.gradient_norm
    assert sparse.clip_hit_rate == dense.clip_hit_rate
