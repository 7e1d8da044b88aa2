"""The options of each cell beside the plain cell."""

import pytest
from options import KINDS, OPTIONS, Run

CELLS = {str(cell): cell for option in OPTIONS for cell in (option.plain, option.cell)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_options(benchmark, cell, kind):
    run = Run(cell)
    run.check()
    benchmark.group = f"{kind} {cell.name}"
    benchmark(getattr(run, kind))
