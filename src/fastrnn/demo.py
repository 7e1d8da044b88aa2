"""The demonstration: a language model of Python's own sources, trained in about a minute, beside a trigram model."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import fastrnn
from fastrnn.models import LanguageModel, TrigramModel

SIZE = 1_000_000  # characters
HELD_OUT = 20  # one part in so many, at the end of each module
EPOCHS = 2


def run(show: Callable[[str], None]) -> None:
    """Train, compare and write; `show` prints."""
    text, held_out, modules = sources(Path(sysconfig.get_paths()["stdlib"]))
    show(f"{len(text):,} characters of {modules} modules of Python's standard library, {len(held_out):,} held out")
    model = LanguageModel(hidden_size=256, num_layers=1, random_state=0)
    start = perf_counter()
    model.fit(text, epochs=EPOCHS, batch_size=16, sequence_length=32, learning_rate=1e-2)
    speed = EPOCHS * len(text) / (perf_counter() - start)
    flops = 3 * 2 * 4 * model.hidden_size**2  # forward and two products backward, four gates; one-hot input costs none
    trigrams = TrigramModel().fit(text)
    show(f"""
an LSTM of {model.hidden_size} units, trained on {speed:,.0f} characters a second \
({flops * speed / 1e9:.0f} GFLOP/s in its recurrent products, {fastrnn.cpu_info()["isa"]})

bits per held-out character
  interpolated trigrams  {trigrams.bits_per_character(held_out):.3f}
  LSTM                   {model.bits_per_character(held_out):.3f}

what it writes
{model.sample(400, temperature=0.7)}""")


def sources(folder: Path) -> tuple[str, str, int]:
    """Return the first parts of the first modules by name, joined, their last parts, and how many modules these are."""
    first, last, size = [], [], 0
    for path in sorted(folder.glob("*.py")):
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        cut = len(text) - len(text) // HELD_OUT
        first.append(text[:cut])
        last.append(text[cut:])
        size += len(text)
        if size >= SIZE:
            return "".join(first), "".join(last), len(first)
    raise FileNotFoundError(
        f"the demonstration learns from the sources of Python's standard library, and {folder} has only {size:,} "
        f"characters of them; train on a text of your own instead: fastrnn train FILE"
    )
