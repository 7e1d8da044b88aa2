"""A progress bar and a table of losses on standard error, or nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastrnn.train.options import Epoch

FORMAT = "{desc} {percentage:3.0f}% |{bar}| {rate_fmt}, {remaining} left{postfix}"  # fits into 80 columns


class Report:
    """What a training tells its progress to; this one is silent."""

    def add(self, done: int, stage: str, figures: str) -> None:
        """Take note of how many more units are done, the stage, and the latest figures."""

    def row(self, epoch: Epoch) -> None:
        """Take note of an epoch's losses."""


class Bar(Report):
    """A bar of `tqdm`, and above it, if `table`, a line for each epoch."""

    def __init__(self, bar: Any, table: bool) -> None:
        self.bar, self.table = bar, table

    def add(self, done: int, stage: str, figures: str) -> None:
        """Move the bar on."""
        self.bar.set_description_str(stage, refresh=False)
        self.bar.set_postfix_str(figures, refresh=False)
        self.bar.update(done)

    def row(self, epoch: Epoch) -> None:
        """Write a line of the table."""
        if not self.table:
            return
        if epoch.number == 1:
            self.bar.write(f"{'epoch':>5} {'loss':>10} {'validation':>10} {'rate':>10}", file=sys.stderr)
        validation = "" if epoch.validation_loss is None else f"{epoch.validation_loss:.4f}"
        line = f"{epoch.number:5} {epoch.loss:10.4f} {validation:>10} {epoch.learning_rate:10.3g}"
        self.bar.write(line, file=sys.stderr)


@contextmanager
def progress(total: int, unit: str, verbose: int) -> Iterator[Report]:
    """Give what is told of the progress through `total` units.

    `verbose` is 0 for silence, 1 for a bar where standard error is a terminal, 2 for a bar and a table in any case.
    """
    if verbose == 0 or (verbose == 1 and not sys.stderr.isatty()):
        yield Report()
        return
    from tqdm import tqdm

    columns, rows = shutil.get_terminal_size()
    with tqdm(
        total=total, unit=unit, unit_scale=True, bar_format=FORMAT, file=sys.stderr,
        ncols=columns or 80, nrows=rows or 24,  # a container's terminal may say 0, and tqdm would then show nothing
    ) as bar:  # fmt: skip
        yield Bar(bar, verbose == 2)
