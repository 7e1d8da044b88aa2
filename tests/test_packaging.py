"""The installed package: what it holds, what importing it costs, and how an instruction set is chosen."""

import platform
import re
import shutil
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from statistics import median

import pytest
from helpers import python

import fastrnn

PACKAGE = Path(fastrnn.__file__).parent
INSTRUCTION_SETS = ["base", "avx2", "avx512"]


def output(code: str, **environment: str) -> str:
    """What a fresh interpreter prints; it must not fail."""
    done = python(code, **{"FASTRNN_ISA": "", **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refusal(code: str, **environment: str) -> str:
    """The last line of the ImportError by which a fresh interpreter must end."""
    done = python(code, **{"FASTRNN_ISA": "", **environment})
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: "), done.stderr
    return last


def installation_without(folder: Path, *modules: str) -> dict[str, str]:
    """An environment in which fastrnn is a copy that lacks some modules."""
    files = [f"{name}{suffix}" for name in modules for suffix in EXTENSION_SUFFIXES]
    shutil.copytree(PACKAGE, folder / "fastrnn", ignore=shutil.ignore_patterns(*files))
    return {"PYTHONPATH": str(folder)}


def machine_with(*names: str) -> str:
    """Code that makes fastrnn see a machine of these instruction sets."""
    return (
        "import sys, types; "
        f"sys.modules['fastrnn._engine._cpu'] = types.SimpleNamespace(detected=lambda: {list(names)!r}); "
    )


def test_version():
    assert fastrnn.__version__ == metadata.version("fastrnn")


def test_types_are_shipped():
    compiled = [path for suffix in EXTENSION_SUFFIXES for path in (PACKAGE / "_engine").glob(f"*{suffix}")]
    stubs = {path.name.split(".")[0] for path in (PACKAGE / "_engine").glob("*.pyi")}
    assert (PACKAGE / "py.typed").exists()
    assert compiled
    assert {path.name.split(".")[0] for path in compiled} <= stubs


def test_every_engine_is_compiled():
    x86 = platform.machine().lower() in ("x86_64", "amd64") and platform.system() != "Windows"
    expected = INSTRUCTION_SETS if x86 else ["base"]
    assert {isa: ["float32", "float64"] for isa in expected} == fastrnn._engine.compiled()


def test_cpu_info():
    info = fastrnn.cpu_info()
    assert list(info) == ["compiled", "detected", "isa", "dtypes", "low_precision", "threads"]
    assert info["compiled"][0] == info["detected"][0] == "base"
    assert set(info["detected"]) <= set(INSTRUCTION_SETS)
    assert info["isa"] in set(info["compiled"]) & set(info["detected"])
    assert info["dtypes"] == ["float32", "float64"]
    assert info["threads"] == fastrnn.get_num_threads() >= 1


@pytest.mark.parametrize("isa", fastrnn.cpu_info()["detected"])
@pytest.mark.parametrize("dtype", fastrnn.cpu_info()["dtypes"])
def test_an_instruction_set_can_be_chosen(isa, dtype):
    code = f"import fastrnn; print(fastrnn.cpu_info()['isa'], fastrnn._engine.load({dtype!r}).__name__)"
    assert output(code, FASTRNN_ISA=isa) == f"{isa} fastrnn._engine._{dtype}_{isa}"


@pytest.mark.parametrize("detected", [INSTRUCTION_SETS[:count] for count in (1, 2, 3)])
def test_the_best_instruction_set_is_taken(detected):
    best = [isa for isa in detected if isa in fastrnn.cpu_info()["compiled"]][-1]
    assert output(machine_with(*detected) + "import fastrnn; print(fastrnn.cpu_info()['isa'])") == best


def test_an_unknown_instruction_set_is_refused():
    said = refusal("import fastrnn", FASTRNN_ISA="avx9")
    assert said == "ImportError: FASTRNN_ISA must be one of base, avx2, avx512, got 'avx9'"


def test_an_instruction_set_that_the_machine_lacks_is_refused(tmp_path):
    isa = fastrnn.cpu_info()["compiled"][-1]
    said = refusal(machine_with("base") + "import fastrnn", FASTRNN_ISA=isa)
    assert isa == "base" or said == f"ImportError: FASTRNN_ISA={isa}, but this machine has only base"


def test_an_instruction_set_that_the_installation_lacks_is_refused(tmp_path):
    environment = installation_without(tmp_path, "_float32_avx512", "_float64_avx512")
    has = ", ".join(isa for isa in fastrnn.cpu_info()["compiled"] if isa != "avx512")
    said = refusal("import fastrnn", FASTRNN_ISA="avx512", **environment)
    assert said == f"ImportError: FASTRNN_ISA=avx512, but this installation has only {has}"
    assert output("import fastrnn; print(fastrnn.cpu_info()['isa'])", **environment) in has.split(", ")


def test_reference_needs_no_engine(tmp_path):
    environment = installation_without(tmp_path, "*")
    code = """
import numpy, fastrnn.reference
x = numpy.ones((2, 3, 4))
print(fastrnn.reference.LSTM(4, 5, dtype="float64", seed=0)(x)[0].shape)
fastrnn.LSTM(4, 5, seed=0)(x)
"""
    done = python(code, FASTRNN_ISA="", **environment)
    assert done.stdout == "(2, 3, 5)\n", done.stderr
    assert "ImportError: fastrnn's compiled engine is missing" in done.stderr


def test_numpy_is_the_only_dependency_imported():
    code = """
import sys
before = set(sys.modules)
import fastrnn
fastrnn.LSTM(2, 3)([[[1.0, 2.0]]])
new = [name for name in set(sys.modules) - before if "-packages" in str(getattr(sys.modules[name], "__file__", ""))]
print(*sorted({name.partition(".")[0] for name in new} - {"fastrnn"}))
"""
    assert output(code) == "numpy"


@pytest.mark.parametrize(
    "use", ["from fastrnn import torch", "import fastrnn; fastrnn.torch.LSTM", "fastrnn.interop.from_torch(None)",
            "fastrnn.interop.to_torch(fastrnn.LSTM(1, 1))"]
)  # fmt: skip
def test_a_missing_torch_is_named(use):
    assert refusal("import sys; sys.modules['torch'] = None; import fastrnn; " + use).endswith(
        "PyTorch: pip install 'fastrnn[torch]'"
    )


def test_import_time():
    """With the layers and an engine loaded, which `import fastrnn` itself puts off until they are used."""

    def seconds(statement: str) -> float:
        code = f"from time import perf_counter; start = perf_counter(); {statement}; print(perf_counter() - start)"
        return float(output(code))

    alone, ours = [], []
    for _ in range(9):
        alone.append(seconds("import numpy"))
        ours.append(seconds("import fastrnn; fastrnn.LSTM; fastrnn._engine.load('float32')"))
    assert median(ours) <= 1.8 * median(alone)


def test_readme_examples():
    """They run one after the other; the first trains, and its loss falls."""
    description = metadata.metadata("fastrnn").get_payload()
    losses = []
    names = {"print": losses.append}
    for code in re.findall(r"^```python\n(.*?)^```$", description, re.DOTALL | re.MULTILINE):
        exec(code, names)
    assert len(losses) > 1
    assert losses[-1] < 0.1 * losses[0]
    assert names["y"].shape == (1, 32)
