"""The engine against torch: RNN, LSTM and GRU, forward and every gradient.

Torch computes in float64 for both precisions, from the same float32 weights and input, so that its own rounding does
not enter the comparison.
"""

import numpy as np
import pytest
from helpers import (
    DTYPES,
    assert_all_close,
    assert_same_bits,
    is_lstm,
    make,
    named,
    normal,
    oracle,
    run,
    state_like,
)

torch = oracle("torch")

TORCH_CELLS = ("lstm", "gru", "rnn-tanh", "rnn-relu")
SIZES = [(1, 1, 1, 1), (3, 7, 5, 2), (17, 16, 6, 7), (7, 65, 33, 4), (65, 33, 2, 9), (31, 127, 7, 3)]

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_cell = pytest.mark.parametrize("cell", TORCH_CELLS)


def twin_of(layer):
    """The torch module with the options and the weights of `layer`, in float64."""
    options = {"nonlinearity": layer.nonlinearity} if hasattr(layer, "nonlinearity") else {}
    module = getattr(torch.nn, type(layer).__name__)(
        layer.input_size, layer.hidden_size, layer.num_layers, bidirectional=layer.bidirectional, bias=layer.bias,
        batch_first=layer.batch_first, dtype=torch.float64, **options,
    )  # fmt: skip
    module.load_state_dict({name: torch.tensor(value).double() for name, value in layer.state_dict().items()})
    return module


def tensors(state):
    """Float64 leaves for a state, or None."""
    if isinstance(state, tuple):
        return tuple(map(tensors, state))
    return None if state is None else torch.tensor(state, dtype=torch.float64, requires_grad=True)


def run_torch(layer, x, state, dy, dstate, lengths=None) -> dict:
    """What `helpers.run` returns, from torch."""
    module, inputs, initial = twin_of(layer), tensors(x), tensors(state)
    given, T = inputs, x.shape[1 if layer.batch_first else 0]
    if lengths is not None:
        given = torch.nn.utils.rnn.pack_padded_sequence(
            inputs, torch.tensor(lengths), layer.batch_first, enforce_sorted=False
        )
    y, final = module(given, initial)
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, layer.batch_first, total_length=T)
    pairs = [(y, dy), *zip(named(final, "").values(), named(dstate, "").values(), strict=True)]
    sum((output * torch.tensor(above)).sum() for output, above in pairs).backward()
    results = {"y": y, **named(final, ""), "dx": inputs.grad}
    results |= {name: part.grad for name, part in named(initial, "d").items()} if state is not None else {}
    results |= {name: parameter.grad for name, parameter in module.named_parameters()}
    return {name: value.detach().numpy() for name, value in results.items()}


def assert_equals_torch(layer, x, state, dy, dstate, **options):
    got = run(layer, x, state, dy, dstate, **options)
    expected = run_torch(layer, x, state, dy, dstate, **options)
    if state is None:  # torch has no gradient for it
        got = {name: value for name, value in got.items() if name in expected}
    assert_all_close(got, expected, layer.dtype.name)


def arguments(layer, N, T):
    shape = (N, T) if layer.batch_first else (T, N)
    dtype = layer.dtype.name
    D = 2 if layer.bidirectional else 1
    x, dy = normal("x", *shape, layer.input_size, dtype=dtype), normal("dy", *shape, D * layer.hidden_size, dtype=dtype)
    return x, state_like(layer, N, "s"), dy, state_like(layer, N, "d")


@every_dtype
@pytest.mark.parametrize("given", ["full", "packed"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("I", "H", "N", "T"), SIZES)
@every_cell
def test_equals_torch(cell, I, H, N, T, layers, bidirectional, given, dtype):
    """From a given state, on a full batch or a packed ragged one."""
    bound = 1 / max(I, H) ** 0.5
    layer = make(cell, I, H, layers, bidirectional=bidirectional, dtype="float32", seed=0, init=bound)
    weights = layer.state_dict()
    layer = make(cell, I, H, layers, bidirectional=bidirectional, dtype=dtype)
    layer.load_state_dict(weights)
    options = {"lengths": np.random.default_rng(N).integers(1, T + 1, N)} if given == "packed" else {}
    assert_equals_torch(layer, *arguments(layer, N, T), **options)


@every_dtype
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@every_cell
def test_forms(cell, batch_first, bias, dtype):
    """Without bias, time-major, and without a state."""
    layer = make(cell, 3, 7, 2, bidirectional=True, batch_first=batch_first, bias=bias, dtype=dtype, seed=0)
    x, state, dy, dstate = arguments(layer, 5, 6)
    for initial in (state, None):
        assert_equals_torch(layer, x, initial, dy, dstate)
        assert_equals_torch(layer, x, initial, dy, dstate, lengths=np.array([6, 1, 4, 4, 2]))


@every_dtype
@every_cell
def test_unbatched(cell, dtype):
    layer = make(cell, 3, 7, 2, bidirectional=True, dtype=dtype, seed=0)
    x, dy = normal("x", 6, 3, dtype=dtype), normal("dy", 6, 14, dtype=dtype)
    got = run(layer, x, None, dy, state_like(layer, None, "d"))
    module, inputs = twin_of(layer), tensors(x)
    y, final = module(inputs)
    above = named(state_like(layer, None, "d"), "")
    parts = named(final, "")
    loss = (y * torch.tensor(dy)).sum() + sum((parts[name] * torch.tensor(above[name])).sum() for name in parts)
    loss.backward()
    expected = {"y": y, **parts, "dx": inputs.grad}
    expected |= {name: parameter.grad for name, parameter in module.named_parameters()}
    expected = {name: value.detach().numpy() for name, value in expected.items()}
    assert_all_close({name: got[name] for name in expected}, expected, dtype)


@every_dtype
@every_cell
def test_weights_go_in_and_out_bit_for_bit(cell, dtype):
    layer = make(cell, 3, 7, 2, bidirectional=True, dtype=dtype, seed=0)
    module = twin_of(layer).to(getattr(torch, dtype))
    weights = module.state_dict()
    layer.load_state_dict(weights)
    assert_same_bits(layer.state_dict(), {name: value.numpy() for name, value in weights.items()})
    layer.load_state_dict(dict(module.named_parameters()))  # tensors that require gradients
    back = {name: torch.from_numpy(value) for name, value in layer.state_dict().items()}
    module.load_state_dict(back)
    assert_same_bits(layer.state_dict(), {name: value.numpy() for name, value in module.state_dict().items()})


@every_cell
def test_tensors_are_arrays(cell):
    """Input, state and lengths may be torch's CPU tensors."""
    layer = make(cell, 3, 7, 2, seed=0)
    x, state, _, _ = arguments(layer, 5, 6)
    lengths = np.array([6, 0, 4, 4, 2])
    given = tuple(map(torch.from_numpy, state)) if is_lstm(layer) else torch.from_numpy(state)
    got = layer(torch.from_numpy(x), given, lengths=torch.from_numpy(lengths))
    assert_same_bits(got, layer(x, state, lengths=lengths))


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="torch cannot set the mode of this processor")
@every_cell
def test_a_caller_who_flushes_denormals_goes_on_so(cell):
    layer = make(cell, 3, 7, seed=0)
    x, state, dy, dstate = arguments(layer, 5, 6)
    tiny = np.full(8, np.finfo("float32").tiny)
    try:
        for flushes in (True, False):
            torch.set_flush_denormal(flushes)
            run(layer, x, state, dy, dstate)
            assert (tiny / 2 == 0).all() == flushes
    finally:
        torch.set_flush_denormal(False)
