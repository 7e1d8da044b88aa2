"""The suite runs against the installed package; the first lines of a run say which one, and on what."""

import fastrnn


def pytest_report_header() -> list[str]:
    cpu = fastrnn.cpu_info()
    return [
        f"fastrnn {fastrnn.__version__} from {fastrnn.__path__[0]}",
        f"instruction set {cpu['isa']} (compiled {cpu['compiled']}, detected {cpu['detected']})",
    ]
