"""fastrnn beside its peers on this machine: the same problems, checked to have the same results, timed in turn.

`machine` says what the processor can do and `limit` the least time that a problem takes on it, `peers` runs one problem
in every library there is, `measure` times them, `quick` is the command ``fastrnn bench``, `compare` looks for what
became slower. The repository's benchmarks/ uses the same modules for its larger grids.
"""

from __future__ import annotations

import os

LISTENED_TO = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTRNN_NUM_THREADS")


def use_threads(threads: int) -> None:
    """Keep every library of this process to so many threads; some listen only before they, or NumPy, are loaded."""
    os.environ.update(dict.fromkeys(LISTENED_TO, str(threads)))
    several = "true" if threads > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={several} intra_op_parallelism_threads={threads}"
    os.environ["JAX_PLATFORMS"] = "cpu"
