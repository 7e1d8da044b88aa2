"""fastrnn.torch's modules beside torch.nn's: values, gradients, training, and what else torch asks of a module."""

import copy
import io
import pickle

import numpy as np
import pytest
from helpers import CELLS, DTYPES, FORWARD, GRADIENT, assert_close, assert_same_bits, named, normal, oracle

torch = oracle("torch")

from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from fastrnn import interop  # noqa: E402
from fastrnn import torch as ours  # noqa: E402

TORCH_CELLS = ("lstm", "gru", "rnn-tanh", "rnn-relu")
I, H, N, T = 3, 7, 5, 6
LENGTHS = [4, 6, 1, 6, 2]

every_cell = pytest.mark.parametrize("cell", TORCH_CELLS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def module_of(cell, *sizes, source=ours, kind="", **options):
    """A module with torch's initial values from one seed; `kind` is "Cell" for the cells."""
    name, fixed = CELLS[cell]
    torch.manual_seed(1)
    return getattr(source, name + kind)(*(sizes or (I, H)), **fixed, **options)


def pair(cell, *sizes, **options):
    """The module and torch's, both in float64 from the same numbers."""
    return tuple(module_of(cell, *sizes, source=source, dtype=torch.float64, **options) for source in (ours, torch.nn))


def tensor(seed, *shape, dtype="float64", requires_grad=False):
    return torch.from_numpy(normal(seed, *shape, dtype=dtype)).requires_grad_(requires_grad)


def state_for(module, *rows, requires_grad=False, seed="state"):
    """A random state of a stack or, without layers, of a cell."""
    dtype = str(next(module.parameters()).dtype).removeprefix("torch.")
    layers = [module.num_layers * (2 if module.bidirectional else 1)] if hasattr(module, "num_layers") else []
    parts = [tensor(f"{seed} {k}", *layers, *rows, module.hidden_size, dtype=dtype) for k in "hc"]
    parts = tuple(part.requires_grad_(requires_grad) for part in parts)
    return parts if "LSTM" in type(module).__name__ else parts[0]


def differentiated(module, run, leaves):
    """What `run()` returns by name, and the gradients of all of it, each part weighted at random."""
    module.zero_grad()
    for leaf in leaves.values():
        leaf.grad = None
    results = run()
    weights = {name: tensor(name, *part.shape, dtype=str(part.dtype)[6:]) for name, part in results.items()}
    sum((part * weights[name]).sum() for name, part in results.items()).backward()
    gradients = {f"d{name}": leaf.grad for name, leaf in leaves.items()}
    gradients |= {name: parameter.grad for name, parameter in module.named_parameters()}
    return {name: part.detach().numpy() for name, part in (results | gradients).items() if part is not None}


def assert_results_close(actual, expected, dtype="float64"):
    assert actual.keys() == expected.keys()
    for name in expected:
        assert_close(actual[name], expected[name], (FORWARD if name in ("y", "h", "c") else GRADIENT)[dtype], name)


def sequence_results(module, x, state, packing):
    """A function that runs a module over (T, N, I) or packed sequences, sorted or not."""

    def run():
        if packing is None:
            y, final = module(x.swapaxes(0, 1) if module.batch_first else x, state)
        else:
            lengths = sorted(LENGTHS, reverse=True) if packing == "sorted" else LENGTHS
            given = x.swapaxes(0, 1) if module.batch_first else x
            packed, final = module(
                pack_padded_sequence(given, lengths, module.batch_first, enforce_sorted=packing == "sorted"), state
            )
            assert isinstance(packed, PackedSequence)
            y = packed.data
        return {"y": y, **named(final, "")}

    return run


def compared(module, other, x, state, packing=None):
    """The results of both modules, from leaves of their own."""
    results = []
    for one in (module, other):
        inputs = x.detach().clone().requires_grad_()
        initial = None if state is None else {
            name: part.detach().clone().requires_grad_() for name, part in named(state, "").items()
        }  # fmt: skip
        given = None if initial is None else tuple(initial.values()) if len(initial) == 2 else initial["h"]
        run = sequence_results(one, inputs, given, packing)
        results.append(differentiated(one, run, {"x": inputs, **{f"{k}0": v for k, v in (initial or {}).items()}}))
    return results


@every_dtype
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@every_cell
def test_the_parameters_are_torchs(cell, layers, bidirectional, dtype):
    """Names, order, shapes and, from one seed, every bit; the text too."""
    options = {"bidirectional": bidirectional, "dtype": getattr(torch, dtype), "bias": layers != 2}
    mine, its = (module_of(cell, I, H, layers, source=source, **options) for source in (ours, torch.nn))
    assert_same_bits(*({k: v.numpy() for k, v in module.state_dict().items()} for module in (mine, its)))
    assert repr(mine) == repr(its)
    assert isinstance(mine, type(its))
    assert mine.load_state_dict(its.state_dict()) == its.load_state_dict(mine.state_dict())
    mine.flatten_parameters()


@pytest.mark.parametrize("packing", [None, "sorted", "unsorted"], ids=["full", "sorted", "unsorted"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@every_cell
def test_equals_torch(cell, layers, bidirectional, packing):
    mine, its = pair(cell, I, H, layers, bidirectional=bidirectional)
    for state in (None, state_for(mine, N)):
        assert_results_close(*compared(mine, its, tensor("x", T, N, I), state, packing))


@pytest.mark.parametrize("packing", [None, "unsorted"], ids=["full", "unsorted"])
def test_projections(packing):
    mine, its = pair("lstm", I, H, 2, bidirectional=True, proj_size=2)
    assert repr(mine) == repr(its)
    h, c = tensor("h", 4, N, 2), tensor("c", 4, N, H)
    for state in (None, (h, c)):
        assert_results_close(*compared(mine, its, tensor("x", T, N, I), state, packing))


@pytest.mark.parametrize("packing", [None, "unsorted"], ids=["full", "unsorted"])
@every_cell
def test_float32(cell, packing):
    """Against torch in float64, from the same float32 numbers."""
    mine = module_of(cell, 17, 33, 2, bidirectional=True, batch_first=True)
    its = module_of(cell, 17, 33, 2, bidirectional=True, batch_first=True, source=torch.nn).double()
    x, state = tensor("x", T, N, 17, dtype="float32"), state_for(mine, N)
    doubled = tuple(part.double() for part in state) if isinstance(state, tuple) else state.double()
    actual, _ = compared(mine, mine, x, state, packing)
    expected, _ = compared(its, its, x.double(), doubled, packing)
    assert_results_close(actual, expected, "float32")
    assert actual["y"].dtype == actual["weight_hh_l1"].dtype == "float32"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@every_cell
def test_forms(cell, batch_first, bias):
    mine, its = pair(cell, I, H, 2, batch_first=batch_first, bias=bias)
    assert_results_close(*compared(mine, its, tensor("x", T, N, I), None))
    x, state = tensor("x", T, I), state_for(mine)
    for initial in (None, state):  # unbatched
        (y, final), (y_its, final_its) = mine(x, initial), its(x, initial)
        assert_close(y.detach(), y_its.detach(), 1e-12)
        for part, expected in zip(named(final, "").values(), named(final_its, "").values(), strict=True):
            assert_close(part.detach(), expected.detach(), 1e-12)


@pytest.mark.parametrize("given", ["batch", "row"])
@pytest.mark.parametrize("bias", [True, False])
@every_cell
def test_cells(cell, bias, given):
    """Four steps, each from the state before, the first from none or from a given one."""
    mine, its = pair(cell, kind="Cell", bias=bias)
    assert repr(mine) == repr(its)
    rows = (N,) if given == "batch" else ()

    def results(module, state):
        x = tensor("x", 4, *rows, I, requires_grad=True)
        leaves = {"x": x, **{f"{k}0": v for k, v in ({} if state is None else named(state, "")).items()}}

        def run():
            hx = state
            for t in range(4):
                hx = module(x[t], hx)
            return named(hx, "")

        return differentiated(module, run, leaves)

    for state in (None, state_for(mine, *rows, requires_grad=True)):
        assert_results_close(results(mine, state), results(its, state))


@pytest.mark.parametrize("form", ["full", "packed", "cell", "dropout"])
@every_cell
def test_gradcheck(cell, form):
    options = {"full": {"bidirectional": True}, "packed": {"bidirectional": True, "batch_first": True},
               "cell": {"kind": "Cell"}, "dropout": {"num_layers": 2, "dropout": 0.4}}[form]  # fmt: skip
    module = module_of(cell, 2, 3, dtype=torch.float64, **options)
    names = list(dict(module.named_parameters()))
    x = tensor("x", *([3] if form == "cell" else [3, 3]), 2, requires_grad=True)
    state = state_for(module, 3, requires_grad=True)
    pair_given = isinstance(state, tuple)

    def function(x, *others):
        torch.manual_seed(3)  # the same masks at every call
        hx = others[:2] if pair_given else others[0]
        values = dict(zip(names, others[2 if pair_given else 1 :], strict=True))
        given = pack_padded_sequence(x, [2, 3, 1], True, enforce_sorted=False) if form == "packed" else x
        results = torch.func.functional_call(module, values, (given, hx))
        if form == "cell":
            return results
        y, final = results
        return (y.data, *named(final, "").values())

    assert torch.autograd.gradcheck(function, (x, *named(state, "").values(), *module.parameters()))


@every_cell
def test_the_numbers_are_the_layers(cell):
    """With and without a tape, and as a layer without torch: the same bits."""
    module = module_of(cell, I, H, 2, bidirectional=True)
    x, state = tensor("x", T, N, I, dtype="float32"), state_for(module, N)
    y, final = module(x, state)
    assert y.grad_fn is not None
    layer = interop.from_torch(module)
    kept = [part.numpy() for part in named(state, "").values()]
    expected = layer(x.numpy(), tuple(kept) if len(kept) == 2 else kept[0])
    results = [(y.detach(), final)]
    with torch.no_grad():
        results.append(module(x, state))
    with torch.inference_mode():
        results.append(module(x, state))
    results.append(module_of(cell, I, H, 2, bidirectional=True).requires_grad_(False)(x, state))
    for number, (y, final) in enumerate(results):
        assert number == 0 or y.grad_fn is None
        assert_same_bits(y.numpy(), expected[0])
        for part, its in zip(named(final, "").values(), named(expected[1], "").values(), strict=True):
            assert_same_bits(part.detach().numpy(), its)


@every_cell
def test_only_what_requires_a_gradient_gets_one(cell):
    module = module_of(cell)
    x = tensor("x", T, N, I, dtype="float32")
    module.weight_hh_l0.requires_grad_(False)
    module(x)[0].sum().backward()
    expected = module.weight_ih_l0.grad.clone()
    assert (x.grad, module.weight_hh_l0.grad) == (None, None)
    module.zero_grad()
    module(x.requires_grad_())[0].sum().backward()
    assert_same_bits(module.weight_ih_l0.grad.numpy(), expected.numpy())
    kept = x.grad.clone()
    x.grad = None
    module.requires_grad_(False)(x)[0].sum().backward()
    assert_same_bits(x.grad.numpy(), kept.numpy())


@every_cell
def test_the_input_is_not_copied(cell):
    """Time-major, batch-first, or a batch cut out of a longer one; the tape holds the very memory."""
    module = module_of(cell)
    whole = tensor("x", N, T + 2, I, dtype="float32")
    for x in (whole, whole.swapaxes(0, 1), whole[:, 1:-1]):
        y, _ = module(x)
        saved = y.grad_fn.saved_tensors
        assert [kept.data_ptr() for kept in saved].count(x.data_ptr()) == 2  # as torch's tensor and as the tape's array
    every_other = tensor("wide", T, N, 2 * I, dtype="float32")[..., ::2]
    assert_same_bits(*(module(x)[0].detach().numpy() for x in (every_other, every_other.contiguous())))


@every_cell
def test_several_uses_in_one_graph(cell):
    mine, its = pair(cell, H, H)

    def results(module):
        x = tensor("x", T, N, H, requires_grad=True)

        def run():
            y, final = module(x)
            again, final = module(y.relu_() + x, final)  # the first output changed in place
            short, _ = module(again[:3])
            return {"y": again + y, "short": short, **named(final, "")}

        return differentiated(module, run, {"x": x})

    assert_results_close(results(mine), results(its))


@pytest.mark.parametrize("change", ["data", "optimizer", "numpy", "replaced", "sign of zero"])
@every_cell
def test_parameters_may_change_between_calls(cell, change):
    """However they change, in each of them: no call computes with older ones."""
    module, x = module_of(cell), tensor("x", T, N, I, dtype="float32")
    for name, parameter in list(module.named_parameters()):
        module(x)[0].sum().backward()
        before = parameter.detach().clone()
        if change == "data":
            parameter.data.add_(0.1)
        elif change == "optimizer":
            torch.optim.SGD([parameter], lr=0.1).step()
        elif change == "numpy":
            parameter.detach().numpy()[-1] += 0.5
        elif change == "replaced":
            setattr(module, name, torch.nn.Parameter(parameter.detach() * 1.5))
        else:
            parameter.data.zero_()
            module(x)
            parameter.data.neg_()
        assert not np.array_equal(getattr(module, name).detach().numpy().view("i4"), before.numpy().view("i4"))
        layer = interop.from_torch(module)
        with torch.no_grad():
            assert_same_bits(module(x)[0].numpy(), layer(x.numpy())[0])
        made = ours.modules.layer_of(module, module._layer, module._config(), dict(module.named_parameters()))
        assert_same_bits(dict(made.parameters), dict(layer.parameters))


def test_options_may_change_between_calls():
    module, its = pair("lstm", I, H, 2)
    x = tensor("x", T, N, I)
    for _ in range(2):
        module.batch_first = its.batch_first = not module.batch_first
        assert_close(module(x)[0].detach(), its(x)[0].detach(), 1e-12)
    assert module.float()(x.float())[0].dtype == torch.float32
    assert module.double()(x)[0].dtype == torch.float64


@every_cell
def test_a_graph_keeps_the_parameters_of_its_call(cell):
    """Changed unseen by torch after the call, they do not spoil its gradients."""
    module, x = module_of(cell), tensor("x", T, N, I, dtype="float32", requires_grad=True)
    module(x)[0].sum().backward()
    expected, x.grad = x.grad, None
    y, _ = module(x)
    module.weight_hh_l0.data.mul_(2)
    module(x)
    y.sum().backward()
    assert_same_bits(x.grad.numpy(), expected.numpy())


@pytest.mark.parametrize(("optimizer", "lr"), [("SGD", 0.3), ("Adam", 0.05)])
@every_cell
def test_twenty_updates_beside_torch(cell, optimizer, lr):
    """A bidirectional stack with a head, on packed sequences, clipped and updated by torch."""
    parameters = []
    for module in pair(cell, I, H, 2, bidirectional=True):
        torch.manual_seed(2)
        head = torch.nn.Linear(2 * H, 2, dtype=torch.float64)
        weights = [*module.parameters(), *head.parameters()]
        step = getattr(torch.optim, optimizer)(weights, lr=lr)
        for k in range(20):
            step.zero_grad()
            packed, _ = module(pack_padded_sequence(tensor(f"x{k}", T, N, I), LENGTHS, enforce_sorted=False))
            (head(packed.data) - 1).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(weights, 0.5)
            step.step()
        parameters.append({name: value.detach().numpy() for name, value in module.named_parameters()})
    start = module_of(cell, I, H, 2, bidirectional=True, dtype=torch.float64)
    for name, value in start.named_parameters():
        assert np.abs(parameters[1][name] - value.detach().numpy()).max() > 1e-3
        assert_close(parameters[0][name], parameters[1][name], 1e-9, name)


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "plain"])
@every_cell
def test_checkpoint(cell, reentrant):
    """The same bits with less memory, dropout included: no array is kept beside what torch itself drops."""
    module = module_of(cell, I, H, 2, dropout=0.5)
    gradients = []
    for saving in (False, True):
        x = tensor("x", T, N, I, dtype="float32", requires_grad=True)
        module.zero_grad()
        torch.manual_seed(5)
        y, _ = checkpoint(module, x, use_reentrant=reentrant) if saving else module(x)
        torch.manual_seed(6)
        if not (saving and reentrant):
            assert y.grad_fn.tape.nbytes == 0
        y.square().sum().backward()
        gradients.append([x.grad.numpy(), *(parameter.grad.numpy().copy() for parameter in module.parameters())])
    assert_same_bits(*gradients)


def test_saved_tensors_may_be_moved():
    """As by torch.autograd.graph.save_on_cpu: what comes back is another tensor."""
    module, results = module_of("lstm", I, H, 2, bidirectional=True), []
    packed = pack_padded_sequence(tensor("x", T, N, I, dtype="float32"), LENGTHS, enforce_sorted=False)
    count = []
    for hooks in ((lambda t: t, lambda t: t), (lambda t: count.append(t.nbytes) or t.numpy().copy(), torch.tensor)):
        module.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(*hooks):
            y, _ = module(packed)
        y.data.sum().backward()
        results.append([parameter.grad.numpy().copy() for parameter in module.parameters()])
    assert_same_bits(*results)
    assert sum(count) >= 2 * 2 * 6 * T * N * H * 4  # layers, directions, numbers of a row and unit, bytes


@every_cell
def test_copies(cell):
    """copy.deepcopy, pickle and torch.save give independent modules with the same parameters and nothing besides."""
    module, x = module_of(cell, I, H, 2, dropout=0.25), tensor("x", T, N, I, dtype="float32")
    module.eval()
    expected = module(x)[0].detach().numpy()
    saved = io.BytesIO()
    torch.save(module, saved)
    saved.seek(0)
    assert vars(module).keys() == vars(module_of(cell, I, H, 2, dropout=0.25, source=torch.nn)).keys()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(saved, weights_only=False)):
        assert type(other) is type(module)
        assert_same_bits(other(x)[0].detach().numpy(), expected)
        other.weight_hh_l0.data.add_(1)
        assert not np.array_equal(other(x)[0].detach().numpy(), expected)
        assert_same_bits(module(x)[0].detach().numpy(), expected)


@every_cell
def test_dropout_draws_from_torchs_generator(cell):
    module, x = module_of(cell, I, H, 2, dropout=0.5), tensor("x", T, N, I, dtype="float32")

    def output(seed):
        torch.manual_seed(seed)
        return module(x)[0].detach().numpy()

    first = output(1)
    assert_same_bits(output(1), first)
    assert not np.array_equal(output(2), first)
    assert not np.array_equal(module(x)[0].detach().numpy(), module(x)[0].detach().numpy())
    with torch.no_grad():  # torch drops in training mode, whether or not it differentiates
        assert_same_bits(output(1), first)
    module.eval()
    whole = output(1)
    assert_same_bits(output(2), whole)
    module.train()
    module.dropout = 0.0
    assert_same_bits(output(1), whole)
    state = torch.random.get_rng_state()
    module(x)
    assert torch.equal(torch.random.get_rng_state(), state)


@every_cell
def test_dropout_keeps_the_expected_share(cell):
    """Of a second layer that reads 0 or 1 / (1 - p) of what the first gives."""
    module = module_of(cell, I, 64, 2, dropout=0.3, bias=False)
    y, _ = module(tensor("x", T, N, I, dtype="float32"))
    (mask,) = with_arrays(y).masks()
    assert set(np.unique(mask)) == {0, np.float32(1) / (np.float32(1) - np.float32(0.3))}
    assert abs((mask == 0).mean() - 0.3) < 0.05


def with_arrays(y):
    """The tape under a tensor."""
    tape, saved = y.grad_fn.tape, y.grad_fn.saved_tensors
    tape.load([part.detach().numpy() for part in saved[len(saved) - len(tape._places) :]])
    return tape


def test_empty_batches():
    mine, its = pair("gru", I, H, 2)
    assert_results_close(*compared(mine, its, tensor("x", T, 0, I), None))


def test_a_packed_sequence_keeps_its_order():
    mine, its = pair("lstm")
    packed = pack_sequence([tensor(str(k), length, I) for k, length in enumerate(LENGTHS)], enforce_sorted=False)
    (y, _), (expected, _) = mine(packed), its(packed)
    for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        assert_same_bits(getattr(y, name).numpy(), getattr(expected, name).numpy())
    assert_close(y.data.detach(), expected.data.detach(), 1e-12)


LSTM, CELL = ours.LSTM(I, H), ours.GRUCell(I, H)
X = torch.zeros(T, N, I)


def autocast():
    with torch.autocast("cpu"):
        return LSTM(torch.nn.Linear(I, I)(X))


REFUSED = {
    "input that is no tensor": (lambda: LSTM(X.numpy()), TypeError, "input must be a tensor, got ndarray"),
    "double input": (lambda: LSTM(X.double()), TypeError, "input must be float32, as the parameters are, got float64"),
    "ids": (lambda: LSTM(X.long()), TypeError, "input must be float32, as the parameters are, got int64"),
    "half input": (lambda: LSTM(X.bfloat16()), TypeError, "input must be torch.float32 or torch.float64, got"),
    "input elsewhere": (lambda: LSTM(X.to("meta")), ValueError, "input must lie on the CPU, .* got device meta"),
    "parameters elsewhere": (lambda: ours.LSTM(I, H, device="meta")(X), ValueError, "weight_ih_l0 must lie on the CPU"),
    "half parameters": (lambda: ours.GRU(I, H, dtype=torch.float16)(X), TypeError, "GRU must be all"),
    "width": (lambda: LSTM(X[..., :2]), ValueError, r"shape \(T, N, 3\) or \(T, 3\), got \(6, 5, 2\)"),
    "axes": (lambda: LSTM(X[None]), ValueError, r"shape \(T, N, 3\) or \(T, 3\), got \(1, 6, 5, 3\)"),
    "axes of a cell": (lambda: CELL(X), ValueError, r"shape \(N, 3\) or \(3,\), got \(6, 5, 3\)"),
    "batch-first axes": (
        lambda: ours.RNN(I, H, batch_first=True)(X[..., :2]), ValueError, r"shape \(N, T, 3\) or \(T, 3\)"
    ),
    "half a state": (lambda: LSTM(X, torch.zeros(1, N, H)), TypeError, r"hx of an LSTM must be the pair \(h, c\)"),
    "state of another batch": (
        lambda: LSTM(X, (torch.zeros(1, N, H), torch.zeros(1, 1, H))), ValueError, r"hx\[1\] must .*\(1, 5, 7\)"
    ),
    "double state": (lambda: CELL(X[0], torch.zeros(N, H).double()), TypeError, "hx must be float32"),
    "trace": (lambda: torch.jit.trace(LSTM, X), TypeError, r"LSTM cannot be traced.* torch\.nn\.LSTM"),
    "script": (lambda: torch.jit.script(torch.nn.Sequential(LSTM)), TypeError, "LSTM cannot be traced or scripted"),
    "scripted cell": (lambda: torch.jit.script(CELL), TypeError, r"Cell cannot .* torch\.nn\.\w+Cell"),
    "export": (lambda: torch.export.export(LSTM, (X,)), TypeError, "torch.func or torch.export"),
    "vmap": (lambda: torch.func.vmap(lambda x: LSTM(x)[0])(X[None]), TypeError, "torch.func or torch.export"),
    "autocast": (autocast, TypeError, "input must be .* got torch.bfloat16"),
    "torch.func": (lambda: torch.func.grad(lambda x: LSTM(x)[0].sum())(X), TypeError, "torch.func or torch.export"),
    "sparse": (lambda: LSTM(X.to_sparse()), TypeError, "input must lie in memory, row by row"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    call, error, words = REFUSED[what]
    with pytest.raises(error, match=words):
        call()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # which make_dual uses
@pytest.mark.parametrize("frozen", [False, True])
def test_forward_mode_is_refused(frozen):
    """Where nothing is differentiated backwards too: a tangent is not lost in silence."""
    module, x = module_of("gru").requires_grad_(not frozen), tensor("x", T, N, I, dtype="float32")
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        with pytest.raises(RuntimeError, match=r"no forward-mode derivatives: use torch\.nn"):
            module(dual)
        if frozen:
            assert_same_bits(module(x)[0].numpy(), interop.from_torch(module)(x.numpy())[0])


@pytest.mark.parametrize("of", ["x", "parameter", "above"])
def test_second_derivatives_are_refused(of):
    """Also where the first derivative does not depend on the gradient from above, which torch would take for 0."""
    module, x = module_of("lstm"), tensor("x", T, N, I, dtype="float32", requires_grad=True)
    above = tensor("above", T, N, H, dtype="float32", requires_grad=True)
    (dx,) = torch.autograd.grad(module(x)[0], x, above, create_graph=True)
    (expected,) = torch.autograd.grad(module(x)[0], x, above)
    assert_same_bits(dx.detach().numpy(), expected.detach().numpy())
    leaf = {"x": x, "parameter": module.weight_ih_l0, "above": above}[of]
    with pytest.raises(RuntimeError, match=r"no second derivatives: .* use torch\.nn"):
        torch.autograd.grad(dx.sum(), leaf)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        (module(x)[0].sum() + dx.square().sum()).backward()


def test_a_graph_serves_once_unless_retained():
    module, x = module_of("gru"), tensor("x", T, N, I, dtype="float32", requires_grad=True)
    loss = module(x)[0].sum()
    loss.backward(retain_graph=True)
    first, x.grad = x.grad, None
    loss.backward()
    assert_same_bits(x.grad.numpy(), first.numpy())
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("changed", ["x", "parameter"])
def test_changes_that_torch_sees_are_refused(changed):
    module, x = module_of("gru"), tensor("x", T, N, I, dtype="float32")
    loss = module(x)[0].sum()
    with torch.no_grad():
        (x if changed == "x" else module.weight_hh_l0).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_compile_leaves_the_module_as_it_is():
    """Between two graphs; the backend that compiles nothing shows where they are."""
    module, x = module_of("lstm"), tensor("x", T, N, I, dtype="float32")
    expected = module(x)[0].relu().detach().numpy()
    compiled = torch.compile(lambda x: module(x * 1)[0].relu(), backend="eager")
    assert_same_bits(compiled(x).detach().numpy(), expected)
