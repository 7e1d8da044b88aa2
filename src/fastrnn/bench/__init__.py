"""fastrnn beside its peers on this machine: the same problems, checked to have the same results, timed in turn.

`machine` says what the processor can do, `peers` runs one problem in every library there is, `measure` times them,
`quick` is the command ``fastrnn bench``, `compare` looks for what became slower. The repository's benchmarks/ uses the
same modules for its larger grids.
"""

from __future__ import annotations

import os

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "FASTRNN_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def use_one_thread() -> None:
    """Keep every library of this process to one thread; some listen only before they, or NumPy, are loaded."""
    os.environ.update(ONE_THREAD)
