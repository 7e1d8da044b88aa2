"""The suite runs against the installed package; the first lines of a run say which one, on what, and which oracles."""

import os
from importlib.util import find_spec

# The oracles' products are small: threads that spin for work cost more than they bring, on a busy machine tenfold.
for library in ("OPENBLAS", "OMP"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import fastrnn  # noqa: E402 - after what NumPy reads when it is loaded

ORACLES = ("torch", "sklearn", "onnx", "onnxruntime")


def pytest_report_header() -> list[str]:
    cpu = fastrnn.cpu_info()
    absent = [name for name in ORACLES if find_spec(name) is None]
    return [
        f"fastrnn {fastrnn.__version__} from {fastrnn.__path__[0]}",
        f"instruction set {cpu['isa']} (compiled {cpu['compiled']}, detected {cpu['detected']})",
        f"oracles absent, their tests skipped: {', '.join(absent)}" if absent else f"oracles: {', '.join(ORACLES)}",
    ]
