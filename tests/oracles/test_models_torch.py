"""Language models beside their torch twins: the same initial values, the same batches, every loss of the training."""

import numpy as np
import pytest
from helpers import DTYPES, assert_close, oracle

import fastrnn
from fastrnn.models import LanguageModel
from fastrnn.models.presets import PRESETS
from fastrnn.reference.dropout import dropout_mask
from fastrnn.train import loop
from fastrnn.train.averaging import Average

torch = oracle("torch")
torch.set_num_threads(1)

LOSSES = {"float32": 1e-5, "float64": 1e-10}
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def text(words: int, V: int = 40) -> str:
    """Words that follow each other with some regularity, 9 in a line."""
    rng = np.random.default_rng(0)
    ids = np.cumsum(rng.choice([1, 2, 7], words)) % V
    return "\n".join(" ".join(f"w{k}" for k in ids[start : start + 9]) for start in range(0, words, 9)) + "\n"


class Twin(torch.nn.Module):
    """Embedding or one-hot rows, single layers with given dropout masks in between, and a softmax's logits."""

    def __init__(self, model: LanguageModel, layers: dict) -> None:
        super().__init__()
        dtype = getattr(torch, np.dtype(model.dtype).name)
        recurrent, output, embedding = layers["recurrent"], layers["output"], layers.get("embedding")
        self.model, self.recurrent, self.V = model, recurrent, output.out_features
        self.table = None if embedding is None else leaf(embedding.parameters["weight"])
        cell, width = getattr(torch.nn, type(recurrent).__name__), recurrent.input_size
        self.cells = torch.nn.ModuleList(
            cell(width if k == 0 else model.hidden_size, model.hidden_size, batch_first=True, dtype=dtype)
            for k in range(model.num_layers)
        )
        for k, one in enumerate(self.cells):
            names = [name for name in recurrent.parameters if name.endswith(f"_l{k}")]
            one.load_state_dict({name[:-1] + "0": torch.tensor(recurrent.state_dict()[name]) for name in names})
        self.bias = leaf(output.parameters["bias"])
        self.weight = self.table if model.tied else leaf(output.parameters["weight"])
        self.states, self.count, self.seed = None, 0, recurrent._dropout_seed

    def drop(self, x, p, place):
        if not p:
            return x
        shape = x.shape[1], x.shape[0], x.shape[2]
        mask = dropout_mask(self.seed, self.count, place, shape, p, np.dtype(self.model.dtype))
        return x * torch.tensor(mask).swapaxes(0, 1)

    def forward(self, ids):
        """The logits (N, T, V), from the states that the last call left; and the penalties."""
        model, L = self.model, self.model.num_layers
        ids = torch.tensor(np.array(ids, "int64"))
        if self.table is None:
            x = torch.nn.functional.one_hot(ids, self.V).to(self.bias.dtype)
        else:
            x = self.table[ids]
            if model.embedding_dropout:
                shape = 1, 1, len(self.table)
                rows = dropout_mask(self.seed, self.count, L + 1, shape, model.embedding_dropout, np.dtype(model.dtype))
                x = (self.table * torch.tensor(rows[0, 0])[:, None])[ids]
            x = self.drop(x, model.input_dropout, L)
        states, self.states = self.states or [None] * L, []
        for k, cell in enumerate(self.cells):
            x, state = cell(x if k == 0 else self.drop(x, model.dropout, k - 1), states[k])
            self.states.append(tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach())
        top = self.drop(x, model.output_dropout, L - 1)
        self.count += 1
        penalty = model.activation_penalty * top.pow(2).mean()
        if x.shape[1] > 1:
            penalty = penalty + model.temporal_penalty * (x[:, 1:] - x[:, :-1]).pow(2).mean()
        return torch.nn.functional.linear(top, self.weight, self.bias), penalty


def leaf(array):
    return torch.nn.Parameter(torch.tensor(np.array(array)))


def new_layers(model) -> dict:
    """The model's layers with their values before training: what another fit makes first."""
    layers = {}

    def stop(model, *arguments):
        layers.update(model.layers)
        raise StopIteration

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModel, "_train", stop)
        with pytest.raises(StopIteration):
            LanguageModel(**model.get_params()).fit(model.text)
    return layers


def losses_of(model, source, **fit) -> list[float]:
    """The loss of every update of a training."""
    found, make = [], loop.Run.make

    def noted(self, update):
        found.append(update.loss)
        make(self, update)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Run, "make", noted)
        model.fit(source, verbose=0, **fit)
    model.text = source
    return found


def twin_losses(
    model, optimizer, *, epochs, N, T, clip_norm=None, clip_value=None, summed=False, rate=lambda epoch: 1.0
):
    """The loss of every update of the twin's training, and the twin."""
    twin = Twin(model, new_layers(model))
    rule = optimizer(dict(twin.named_parameters()).values())
    base = rule.param_groups[0]["lr"]
    ids = model.vocabulary_.encode(model.text)
    length = (len(ids) - 1) // N
    inputs, targets = ids[: N * length].reshape(N, length), ids[1 : N * length + 1].reshape(N, length)
    found = []
    for epoch in range(1, epochs + 1):
        twin.states = None
        rule.param_groups[0]["lr"] = base * rate(epoch)
        for start in range(0, length, T):
            x, y = inputs[:, start : start + T], torch.tensor(targets[:, start : start + T].astype("int64"))
            rule.zero_grad()
            logits, penalty = twin(x)
            loss = torch.nn.functional.cross_entropy(logits.reshape(-1, twin.V), y.reshape(-1))
            ((loss + penalty) * (x.shape[1] if summed else 1)).backward()
            if clip_value is not None:
                torch.nn.utils.clip_grad_value_(twin.parameters(), clip_value)
            if clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
            rule.step()
            found.append(float(loss.detach()))
    return found, twin


OPTIMIZERS = {
    "adam": ({"optimizer": "adam", "learning_rate": 2e-3}, lambda p: torch.optim.Adam(p, lr=2e-3), 100),
    "sgd": ({"optimizer": "sgd", "learning_rate": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1), 100),
    "sgd-1": ({"optimizer": "sgd", "learning_rate": 1.0}, lambda p: torch.optim.SGD(p, lr=1.0), 100),
    "rmsprop": ({"optimizer": "rmsprop", "learning_rate": 2e-3}, lambda p: torch.optim.RMSprop(p, lr=2e-3), 20),
}
KINDS = {
    "one-hot": {},
    "embedding": {"embedding_size": 7},
    "tied": {"tied": True},
    "dropout": {
        "embedding_size": 7,
        "dropout": 0.3,
        "input_dropout": 0.2,
        "output_dropout": 0.4,
        "embedding_dropout": 0.1,
    },
    "penalties": {"embedding_size": 7, "output_dropout": 0.4, "activation_penalty": 2.0, "temporal_penalty": 1.0},
}


def check(model, source, updates, ours, optimizer, dtype, **how):
    """Train both for so many updates in two epochs and compare every loss."""
    N, T = 3, 8
    fit = {"clip_norm": None, "schedule": "constant", **ours}
    losses = losses_of(model, source, epochs=2, batch_size=N, sequence_length=T, **fit)
    expected, _ = twin_losses(model, optimizer, epochs=2, N=N, T=T, **how)
    assert len(losses) == updates
    for k, (loss, other) in enumerate(zip(losses, expected, strict=True)):
        assert abs(loss - other) <= LOSSES[dtype] * max(1, other), f"update {k + 1}: {loss} is not {other}"


def source_of(updates: int) -> str:
    """A text of which one epoch, of windows of 3 times 8, has half as many updates, the last one shorter."""
    tokens = text(3 * 8 * updates).replace("\n", " \n ").split(" ")[: 3 * (8 * (updates // 2) - 3) + 2]
    return " ".join(tokens)


@every_dtype
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_loss_is_that_of_the_twin(name, cell, dtype):
    ours, optimizer, updates = OPTIMIZERS[name]
    if (name, cell) == ("sgd-1", "rnn"):
        ours, optimizer = {**ours, "learning_rate": 0.05}, lambda p: torch.optim.SGD(p, lr=0.05)
    model = LanguageModel("word", cell, 12, 2, embedding_size=7, dtype=dtype, random_state=0)
    check(model, source_of(updates), updates, ours, optimizer, dtype)


@every_dtype
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model(kind, dtype):
    """With the gradients of a sum over time, clipped by value and norm."""
    model = LanguageModel("word", hidden_size=12, num_layers=2, dtype=dtype, random_state=0, **KINDS[kind])
    ours = {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": 2.0, "clip_value": 0.5, "reduction": "time_sum"}
    how = {"clip_norm": 2.0, "clip_value": 0.5, "summed": True}
    check(model, source_of(30), 30, ours, lambda p: torch.optim.SGD(p, lr=0.1), dtype, **how)


@every_dtype
@pytest.mark.parametrize("preset", ["zaremba-small", "zaremba-medium", "zaremba-large"])
def test_presets_of_zaremba(preset, dtype):
    """In the presets' own setting but for the sizes: every loss, and the uniform initial values, biases too."""
    chosen = PRESETS[preset]
    model = LanguageModel(
        **{**chosen.model, "hidden_size": 12, "embedding_size": 12, "dtype": dtype, "random_state": 0}
    )
    fit = {
        **chosen.fit,
        "epochs": 4,
        "batch_size": 4,
        "sequence_length": 9,
        "schedule": {**chosen.fit["schedule"], "after": 2},
    }
    fit.pop("validation_batch_size")
    losses = losses_of(model, text(900), **fit)
    by, bound = fit["schedule"]["by"], {"small": 0.1, "medium": 0.05, "large": 0.04}[preset[8:]]
    layers = new_layers(model)
    for layer in layers.values():
        for name, value in layer.parameters.items():
            assert 0.5 * bound < np.abs(value).max() <= bound, name
    expected, _ = twin_losses(
        model, lambda p: torch.optim.SGD(p, lr=1.0), epochs=4, N=4, T=9, clip_norm=fit["clip_norm"], summed=True,
        rate=lambda epoch: by ** max(0, epoch - 2),
    )  # fmt: skip
    assert_close(losses, expected, LOSSES[dtype])


@every_dtype
def test_the_preset_of_char_rnn(dtype):
    """RMSprop over 20 updates, each number of the gradients clamped."""
    chosen = PRESETS["char-rnn"]
    model = LanguageModel(**{**chosen.model, "hidden_size": 12, "dtype": dtype, "random_state": 0})
    fit = {**chosen.fit, "epochs": 1, "batch_size": 4, "sequence_length": 9, "clip_value": 0.05}
    fit.pop("validation_batch_size")
    source = text(300)[: 4 * 9 * 20 + 1]
    losses = losses_of(model, source, **fit)
    bias = new_layers(model)["recurrent"].parameters["bias_ih_l1"]
    assert (bias[12:24] == 1).all() and np.abs(np.delete(bias, np.s_[12:24])).max() <= 0.08
    expected, _ = twin_losses(
        model, lambda p: torch.optim.RMSprop(p, lr=2e-3, alpha=0.95, eps=1e-8), epochs=1, N=4, T=9, clip_value=0.05,
        summed=True,
    )  # fmt: skip
    assert len(losses) == 20
    assert_close(losses, expected, LOSSES[dtype])


def test_exponential_average_is_torchs():
    rng = np.random.default_rng(0)
    dense = fastrnn.Dense(4, 3, seed=0, dtype="float64")
    linear = torch.nn.Linear(4, 3, dtype=torch.float64)
    average = torch.optim.swa_utils.AveragedModel(linear, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    holder = type("Holder", (), {"layers": {"dense": dense}})()
    ours = Average(0.9)
    for _ in range(10):
        values = {"weight": rng.standard_normal((3, 4)), "bias": rng.standard_normal(3)}
        dense.set_parameters(**values)
        linear.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
        ours.update(holder, [])
        average.update_parameters(linear)
    for name, value in average.module.named_parameters():
        assert_close(ours.weights[f"dense.{name}"], value.detach(), 1e-14, name)
