"""interop.from_torch and to_torch, and torch's tensors and files in load_state_dict."""

import numpy as np
import pytest
from helpers import CELLS, DTYPES, FORWARD, assert_close, assert_same_bits, make, normal, oracle
from safetensors.numpy import load_file

torch = oracle("torch")

from torch.nn.utils.parametrizations import weight_norm  # noqa: E402

import fastrnn  # noqa: E402
from fastrnn import interop  # noqa: E402
from fastrnn import torch as ours  # noqa: E402

N, T, I, H = 4, 6, 3, 7

every_cell = pytest.mark.parametrize("cell", ["lstm", "gru", "rnn-tanh", "rnn-relu"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def arrays_of(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def x_of(dtype, *shape):
    return normal("x", *shape, dtype=dtype)


@every_dtype
@pytest.mark.parametrize("source", [torch.nn, ours], ids=["torch", "fastrnn"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("layers", "bidirectional", "bias"), [(1, False, True), (2, True, False), (3, True, True)])
@every_cell
def test_sequences(cell, layers, bidirectional, bias, batch_first, source, dtype):
    """Every option comes along and every bit of every parameter; the output is torch's to a tolerance."""
    options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    dropout = 0.25 if layers > 1 else 0.0
    module = make(cell, I, H, module=source, dtype=getattr(torch, dtype), dropout=dropout, **options).eval()
    layer = interop.from_torch(module)
    assert type(layer).__name__ == CELLS[cell][0]
    expected = {"input_size": I, "hidden_size": H, "dropout": dropout, "dtype": dtype, **options, **CELLS[cell][1]}
    assert layer.get_config().items() >= expected.items()
    assert_same_bits(dict(layer.parameters), arrays_of(module))
    x = x_of(dtype, N, T, I)
    y, _ = layer(x)
    with torch.no_grad():
        assert_close(y, module(torch.from_numpy(x))[0], FORWARD[dtype])
    back = interop.to_torch(layer)
    assert type(back) is getattr(torch.nn, CELLS[cell][0])
    assert repr(back) == repr(module)
    assert_same_bits(arrays_of(back), arrays_of(module))
    assert back.training


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # of torch: it takes a slower way
@every_dtype
def test_projections(dtype):
    module = torch.nn.LSTM(I, H, 2, proj_size=2, bidirectional=True, dtype=getattr(torch, dtype))
    layer, x = interop.from_torch(module), x_of(dtype, T, N, I)
    assert layer.proj_size == 2
    assert_same_bits(dict(layer.parameters), arrays_of(module))
    assert_close(layer(x)[0], module(torch.from_numpy(x))[0].detach(), FORWARD[dtype])
    back = interop.to_torch(layer)
    assert repr(back) == repr(module)
    assert_same_bits(arrays_of(back), arrays_of(module))


@every_dtype
@pytest.mark.parametrize("bias", [True, False])
@every_cell
def test_cells(cell, bias, dtype):
    name, options = CELLS[cell]
    module = getattr(torch.nn, name + "Cell")(I, H, bias, dtype=getattr(torch, dtype), **options)
    layer = interop.from_torch(module)
    assert_same_bits({name.removesuffix("_l0"): value for name, value in layer.parameters.items()}, arrays_of(module))
    stream, x, state = layer.stream(N), x_of(dtype, T, N, I), None
    for t in range(T):
        state = module(torch.from_numpy(x[t]), state)
        y = stream.step(x[t])
        assert_close(y, (state[0] if cell == "lstm" else state).detach(), FORWARD[dtype])


@every_dtype
@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias, dtype):
    module = torch.nn.Linear(I, H, bias, dtype=getattr(torch, dtype))
    layer = interop.from_torch(module)
    assert (type(layer), layer.bias, layer.dtype) == (fastrnn.Dense, bias, dtype)
    assert_same_bits(dict(layer.parameters), arrays_of(module))
    x = x_of(dtype, N, T, I)
    assert_close(layer(x), module(torch.from_numpy(x)).detach(), FORWARD[dtype])
    back = interop.to_torch(layer)
    assert repr(back) == repr(module)
    assert_same_bits(arrays_of(back), arrays_of(module))


@every_dtype
def test_embedding(dtype):
    module = torch.nn.Embedding(10, I, padding_idx=2, dtype=getattr(torch, dtype))
    layer = interop.from_torch(module)
    assert_same_bits(dict(layer.parameters), arrays_of(module))
    ids = np.arange(10).reshape(2, 5)
    assert_same_bits(layer(ids), module(torch.from_numpy(ids)).detach().numpy())
    back = interop.to_torch(layer)
    assert isinstance(back, torch.nn.Embedding)
    assert_same_bits(arrays_of(back), arrays_of(module))


@every_cell
def test_both_sides_are_independent(cell):
    """What is changed on one side afterwards stays there, and nothing is drawn from torch's generator."""
    module = make(cell, I, H, module=torch.nn)
    layer = interop.from_torch(module)
    kept = arrays_of(module)
    kept = {name: value.copy() for name, value in kept.items()}
    generator = torch.random.get_rng_state()
    back = interop.to_torch(layer)
    assert torch.equal(torch.random.get_rng_state(), generator)
    module.weight_hh_l0.data.zero_()
    back.weight_ih_l0.data.zero_()
    assert_same_bits(dict(layer.parameters), kept)
    layer.set_parameters(bias_ih_l0=np.zeros_like(kept["bias_ih_l0"]))
    assert_same_bits(arrays_of(back)["bias_ih_l0"], kept["bias_ih_l0"])


def test_computed_parameters():
    """Of torch.nn.utils.parametrize the values come along."""
    module = weight_norm(torch.nn.GRU(I, H), "weight_hh_l0")
    module.parametrizations.weight_hh_l0.original0.data.mul_(2)
    layer = interop.from_torch(module)
    assert_same_bits(layer.parameters["weight_hh_l0"], module.weight_hh_l0.detach().numpy())
    x = x_of("float32", T, N, I)
    assert_close(layer(x)[0], module(torch.from_numpy(x))[0].detach(), FORWARD["float32"])


@every_dtype
@every_cell
def test_safetensors(cell, dtype, tmp_path):
    """From torch through a file into a layer, from the layer into torch, and from a file of ours into torch."""
    from safetensors.torch import load_file as load_tensors
    from safetensors.torch import save_file as save_tensors

    module = make(cell, I, H, 2, module=torch.nn, bidirectional=True, dtype=getattr(torch, dtype))
    save_tensors(module.state_dict(), tmp_path / "theirs")
    layer = make(cell, I, H, 2, bidirectional=True, dtype=dtype)
    layer.load_state_dict(load_file(tmp_path / "theirs"))
    assert_same_bits(layer.state_dict(), arrays_of(module))
    fastrnn.save(layer, tmp_path / "ours")
    other = make(cell, I, H, 2, module=ours, bidirectional=True, dtype=getattr(torch, dtype))
    torch.nn.init.zeros_(other.weight_hh_l1)
    other.load_state_dict(load_tensors(tmp_path / "ours"))
    assert_same_bits(arrays_of(other), arrays_of(module))


def test_tensors_that_are_no_arrays_are_named():
    layer = fastrnn.LSTM(I, H, seed=0)
    kept = layer.state_dict()
    values = {name: torch.from_numpy(value) for name, value in kept.items()} | {
        "bias_ih_l0": torch.zeros(28).bfloat16()
    }
    with pytest.raises(ValueError, match=r"misshapen: bias_ih_l0, no array of numbers .*BFloat16"):
        layer.load_state_dict(values)
    assert_same_bits(layer.state_dict(), kept)


class Louder(torch.nn.LSTM):
    def forward(self, input, hx=None):
        y, final = super().forward(input, hx)
        return 2 * y, final


def hooked(register):
    module = torch.nn.GRU(I, H)
    getattr(module, register)(lambda *_: None)
    return module


FROM = {
    "model": (lambda: torch.nn.Sequential(torch.nn.LSTM(I, H)), TypeError, "got Sequential: take a larger model apart"),
    "layer": (lambda: fastrnn.LSTM(I, H), TypeError, r"module must be one of torch\.nn's RNN, .* got LSTM"),
    "other forward": (lambda: Louder(I, H), TypeError, r"as torch\.nn\.LSTM does, got a Louder with a forward"),
    "hook": (lambda: hooked("register_forward_hook"), ValueError, "must have no forward hooks"),
    "hook before": (lambda: hooked("register_forward_pre_hook"), ValueError, "must have no forward hooks"),
    "half": (lambda: torch.nn.GRU(I, H).half(), TypeError, r"got float16; module\.float\(\)"),
    "elsewhere": (lambda: torch.nn.GRU(I, H, device="meta"), ValueError, "got weight_ih_l0 on meta"),
    "max_norm": (lambda: torch.nn.Embedding(5, 2, max_norm=1.0), ValueError, "without max_norm.*got max_norm=1.0"),
    "scaled": (lambda: torch.nn.Embedding(5, 2, scale_grad_by_freq=True), ValueError, "without scale_grad_by_freq"),
}
TO = {
    "sigmoid": (lambda: fastrnn.RNN(I, H, nonlinearity="sigmoid"), ValueError, 'nonlinearity "tanh" or "relu".*sig'),
    "linear": (lambda: fastrnn.RNN(I, H, nonlinearity="linear"), ValueError, 'nonlinearity "tanh" or "relu".*linear'),
    "reset before": (
        lambda: fastrnn.GRU(I, H, reset_after=False), ValueError, r"reset_after=True, as torch\.nn\.GRU has, got False"
    ),
    "activations": (
        lambda: fastrnn.GRU(I, H, activations=("hard_sigmoid", "tanh")), ValueError, "as torch.nn.GRU has, got .*hard"
    ),
    "peephole": (lambda: fastrnn.LSTM(I, H, peephole=True), ValueError, "peephole=False, as torch"),
    "coupled": (lambda: fastrnn.LSTM(I, H, coupled=True), ValueError, "coupled=False, as torch"),
    "clip": (lambda: fastrnn.LSTM(I, H, clip=3.0), ValueError, "clip=None, as torch"),
    "weight_dropout": (lambda: fastrnn.GRU(I, H, weight_dropout=0.5), ValueError, r"weight_dropout=0\.0, as torch"),
    "quantized": (lambda: fastrnn.GRU(I, H).quantize("int8"), TypeError, "layer must be an RNN, .* got Quantized"),
    "normalised": (lambda: fastrnn.LSTM(I, H, layer_norm=True), ValueError, "layer_norm=False, as torch.nn.LSTM has"),
    "module": (lambda: torch.nn.LSTM(I, H), TypeError, "layer must be an RNN, LSTM, GRU, Dense or Embedding, got LSTM"),
    "minimal": (lambda: fastrnn.MinGRU(I, H), TypeError, "layer must be an RNN, LSTM, GRU, .* got MinGRU"),
}  # fmt: skip


@pytest.mark.parametrize("what", FROM)
def test_modules_refused(what):
    make, error, words = FROM[what]
    with pytest.raises(error, match=words):
        interop.from_torch(make())


@pytest.mark.parametrize("what", TO)
def test_layers_refused(what):
    make, error, words = TO[what]
    with pytest.raises(error, match=words):
        interop.to_torch(make())
