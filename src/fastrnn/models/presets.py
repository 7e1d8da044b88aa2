"""Settings of published language models: what their constructor and their `fit` take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Arguments of `LanguageModel` and of its `fit`, and where they come from."""

    source: str
    model: dict[str, Any]
    fit: dict[str, Any]


def zaremba(size: int, init: float, dropout: float, T: int, epochs: int, by: float, after: int, clip: float) -> Preset:
    """Return a setting of Zaremba, Sutskever and Vinyals (2014).

    Plain SGD at rate 1 on the sum over the window's steps of the batch's mean loss; the rate is divided after each
    epoch from number `after` on, as in the authors' program. Dropout everywhere but in the recurrence, nothing tied.
    """
    model = {
        "level": "word", "cell": "lstm", "hidden_size": size, "num_layers": 2, "embedding_size": size, "init": init,
        "dropout": dropout, "input_dropout": dropout, "output_dropout": dropout, "max_vocab": 10_000,
    }  # fmt: skip
    fit = {
        "epochs": epochs, "batch_size": 20, "sequence_length": T, "optimizer": "sgd", "learning_rate": 1.0,
        "schedule": {"name": "step", "by": by, "after": after}, "clip_norm": clip, "reduction": "time_sum",
        "validation_batch_size": 20,
    }  # fmt: skip
    return Preset("Zaremba, Sutskever and Vinyals 2014", model, fit)


CHAR_RNN = Preset(
    "char-rnn's defaults (Karpathy 2015)",
    {"level": "char", "cell": "lstm", "hidden_size": 128, "num_layers": 2, "init": 0.08, "forget_bias": 1.0},
    {
        "epochs": 50, "batch_size": 50, "sequence_length": 50, "optimizer": "rmsprop",
        "optimizer_options": {"alpha": 0.95, "eps": 1e-8}, "learning_rate": 2e-3,
        "schedule": {"name": "step", "by": 0.97, "after": 10}, "clip_norm": None, "clip_value": 5.0,
        "reduction": "time_sum", "validation_batch_size": 50,
    },
)  # fmt: skip

PRESETS = {
    "zaremba-small": zaremba(200, 0.1, 0.0, T=20, epochs=13, by=1 / 2, after=5, clip=5.0),
    "zaremba-medium": zaremba(650, 0.05, 0.5, T=35, epochs=39, by=1 / 1.2, after=7, clip=5.0),
    "zaremba-large": zaremba(1500, 0.04, 0.65, T=35, epochs=55, by=1 / 1.15, after=15, clip=10.0),
    "char-rnn": CHAR_RNN,
}
