"""Which of a recurrent layer's options another system has too."""

from __future__ import annotations

from fastrnn.layers.recurrent import Recurrent

EVERYWHERE = {
    "input_size", "hidden_size", "num_layers", "bidirectional", "batch_first", "bias", "dropout", "dtype", "seed",
    "init", "sparse_grad",
}  # fmt: skip


def check_options(layer: Recurrent, known: set[str], system: str) -> None:
    """Refuse a layer with an option that is not `known` to the other system."""
    for name, value in layer.get_config().items():
        if value and name not in EVERYWHERE | known:
            raise ValueError(f"{layer!r} cannot be given to {system}, which has no {name}")
