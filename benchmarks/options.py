"""What a cell's options cost: training and inference beside the plain cell, as the table of docs/cells.md.

    python benchmarks/options.py [--into docs/cells.md]

Each runs in turn with its plain cell, from the same input; a figure is the median over the rounds of option / plain.
One thread, float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from fastrnn.bench import use_threads

use_threads(1)  # before NumPy is loaded

import numpy as np  # noqa: E402
from document import measured_on, publish, table  # noqa: E402

import fastrnn  # noqa: E402
from fastrnn.bench.measure import median_ratio, take_turns  # noqa: E402

H, N, T = 128, 32, 128
KINDS = {"train": "training", "forward": "inference"}
ONNX = "ONNX"


class Cell(NamedTuple):
    """A layer's class and what it is made with."""

    name: str
    keywords: Mapping[str, Any] = MappingProxyType({})

    def __str__(self) -> str:
        keywords = ", ".join(f"{name}={value!r}" for name, value in self.keywords.items())
        return f"{self.name}({keywords})".replace("'", '"').removesuffix("()")

    def layer(self, input_size: int = H, hidden_size: int = H, package: Any = fastrnn) -> Any:
        return getattr(package, self.name)(input_size, hidden_size, seed=0, **self.keywords)


class Option(NamedTuple):
    """A cell, whose equations it has, and the cell that it is compared with: by default its class without keywords."""

    cell: Cell
    source: str
    beside: Cell | None = None

    @property
    def plain(self) -> Cell:
        return self.beside or Cell(self.cell.name)


OPTIONS = [
    Option(Cell("LSTM", {"peephole": True}), "Gers and Schmidhuber 2000"),
    Option(Cell("LSTM", {"coupled": True}), "Greff et al. 2017"),
    Option(Cell("LSTM", {"clip": 3}), ONNX),
    Option(Cell("LSTM", {"activations": ("hard_sigmoid", "softsign", "elu")}), ONNX),
    Option(Cell("LSTM", {"peephole": True, "coupled": True, "clip": 3, "activations": ("sigmoid", "softplus", "tanh")}),
           ""),
    Option(Cell("LSTM", {"proj_size": 64}), "Sak et al. 2014"),
    Option(Cell("LSTM", {"proj_size": 32}), "Sak et al. 2014"),
    Option(Cell("LSTM", {"weight_dropout": 0.5}), "Merity et al. 2018"),
    Option(Cell("GRU", {"weight_dropout": 0.5}), "Merity et al. 2018"),
    Option(Cell("LSTM", {"layer_norm": True}), "Ba et al. 2016"),
    Option(Cell("GRU", {"layer_norm": True}), "Ba et al. 2016"),
    Option(Cell("MinGRU"), "Feng et al. 2024", Cell("GRU")),
    Option(Cell("MinLSTM"), "Feng et al. 2024", Cell("LSTM")),
    *[
        Option(Cell(name, {option: p}), source)
        for option, p, source in (
            ("input_dropout", 0.3, "Gal and Ghahramani 2016"),
            ("recurrent_dropout", 0.3, "Gal and Ghahramani 2016"),
            ("zoneout", 0.1, "Krueger et al. 2017"),
        )
        for name in ("RNN", "LSTM", "GRU")
    ],
    Option(Cell("GRU", {"clip": 3}), ONNX),
    Option(Cell("GRU", {"activations": ("hard_sigmoid", "softsign")}), ONNX),
    Option(Cell("GRU", {"reset_after": False}), "Cho et al. 2014"),
    Option(Cell("GRU", {"reset_after": False, "clip": 3}), ONNX, Cell("GRU", {"reset_after": False})),
    Option(Cell("RNN", {"clip": 3}), ONNX),
    Option(Cell("RNN", {"nonlinearity": "softplus"}), ONNX),
]  # fmt: skip


class Run:
    """A cell's calls on some input; at H, N and T by default."""

    def __init__(self, cell: Cell, x: Any = None, input_size: int = H, hidden_size: int = H) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((N, T, input_size), "float32") if x is None else x
        self.layer = cell.layer(input_size, hidden_size)
        self.twin = cell.layer(input_size, hidden_size, fastrnn.reference)
        self.twin.load_state_dict(self.layer.state_dict())
        self.dy = rng.standard_normal(self.layer(self.x)[0].shape, "float32")

    def forward(self) -> Any:
        return self.layer(self.x)

    def train(self) -> Any:
        _, _, tape = self.layer.forward(self.x)
        return self.layer.backward(tape, self.dy)

    def check(self) -> None:
        """See that the first steps are those of the reference."""
        x = self.x[:, :4]
        np.testing.assert_allclose(self.layer(x)[0], self.twin(x)[0], rtol=1e-5, atol=1e-5)


def ratios(option: Option, seconds: float) -> list[str]:
    """Return what each kind of call takes beside the plain cell's."""
    runs = {"option": Run(option.cell), "plain": Run(option.plain)}
    runs["option"].check()
    samples = [take_turns({name: getattr(run, kind) for name, run in runs.items()}, seconds) for kind in KINDS]
    return [f"{median_ratio(each, 'option', 'plain'):.2f}" for each in samples]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2, help="spent on a figure, if seven rounds are done by then")
    parser.add_argument("--into", type=Path, help='a Markdown file with the marks "options"')
    options = parser.parse_args()
    rows = [[f"`{each.cell}`", f"`{each.plain}`", each.source, *ratios(each, options.seconds)] for each in OPTIONS]
    head = ["option", "beside", "equations from", *KINDS.values()]
    publish([measured_on(), "", *table(head, rows, words=3)], "options", options.into)


if __name__ == "__main__":
    main()
