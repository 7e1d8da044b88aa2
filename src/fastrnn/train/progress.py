"""A progress bar on standard error, or nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FORMAT = "{desc} {percentage:3.0f}% |{bar}| {rate_fmt}, {remaining} left{postfix}"  # fits into 80 columns
Report = Callable[[int, str, str], None]


@contextmanager
def progress(total: int, unit: str, verbose: int) -> Iterator[Report]:
    """Give a function that is told how many more of `total` units are done, the stage, and the latest figures.

    `verbose` is 0 for silence, 1 for a bar where standard error is a terminal, 2 for a bar in any case.
    """
    if verbose == 0 or (verbose == 1 and not sys.stderr.isatty()):
        yield lambda done, stage, figures: None
        return
    from tqdm import tqdm

    columns, rows = shutil.get_terminal_size()
    with tqdm(
        total=total, unit=unit, unit_scale=True, bar_format=FORMAT, file=sys.stderr,
        ncols=columns or 80, nrows=rows or 24,  # a container's terminal may say 0, and tqdm would then show nothing
    ) as bar:  # fmt: skip

        def report(done: int, stage: str, figures: str) -> None:
            bar.set_description_str(stage, refresh=False)
            bar.set_postfix_str(figures, refresh=False)
            bar.update(done)

        yield report
