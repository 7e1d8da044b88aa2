"""Plant each fault of `records.py` in a copy of the sources and see that the test it names fails.

    python tests/mutants/run.py [--isa avx2] [name ...]

First the control: a copy without a fault is built for one instruction set, and for those that faults name, and every
named test must pass on it. Faults in products by instructions that this machine lacks are left out. Then each fault is
planted in a copy of that copy, which is built again where the fault is in a compiled source (its precision alone), and
its one test runs. A fault counts as found only if that test was reported as failed by an assertion; an import error, a
crash before the report or a test that is not there does not count. A fault that was not found is tried once more when
nothing else runs, for faults in threads show by chance. Building needs no isolation: cython, numpy and setuptools must
be importable, pytest and hypothesis too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from mutant import PRECISIONS, Mutant
from records import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "csrc", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
BY_ASSERTION = re.compile(r"^FAILED \S.* - (assert\b|AssertionError|Failed: DID NOT (?:RAISE|WARN))", re.MULTILINE)


class Unusable(Exception):
    """A copy that could not be made or built, or a control that fails."""


def call(command: list[str], tree: Path, folder: str, **environment: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(tree / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *command], cwd=tree / folder, capture_output=True, text=True, timeout=900, check=False,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "1000", **environment},
    )  # fmt: skip


def copy_sources(target: Path) -> None:
    """Copy what a build and the tests need, without products of earlier builds.

    Compiled without optimisation, which takes a quarter of the time: a fault is one with any.
    """
    products = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "_*.c", "*.egg-info", ".*")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=products)
        elif source.exists():
            shutil.copy2(source, target / name)
    setup = target / "setup.py"
    setup.write_text(setup.read_text().replace('"-O3"', '"-O0"'))


def build(tree: Path, isa: str, precisions: tuple[str, ...]) -> None:
    """Compile the engines of one instruction set in place."""
    wanted = ",".join(f"{isa}:{precision}" for precision in precisions)
    done = call(["setup.py", "build_ext", "--inplace"], tree, ".", FASTRNN_BUILD=wanted)
    if done.returncode:
        raise Unusable(f"the build of {wanted} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def control_passes(tree: Path, isa: str, chosen: list[Mutant]) -> str:
    """Build the control and run its tests; return pytest's last line."""
    build(tree, isa, PRECISIONS)
    lines = []
    for own in dict.fromkeys(mutant.isa or isa for mutant in chosen):
        if own != isa:
            build(tree, own, PRECISIONS[:1])
        done = run_tests(tree, own, list(dict.fromkeys(m.test for m in chosen if (m.isa or isa) == own)))
        if done.returncode:
            raise Unusable(f"the control fails without any fault:\n{done.stdout[-4000:]}")
        lines.append(f"control passes ({own}): {done.stdout.strip().splitlines()[-1].strip('= ')}")
    return "\n".join(lines)


def run_tests(tree: Path, isa: str, tests: list[str]) -> subprocess.CompletedProcess:
    options = ["-rf", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly"]
    done = call(["-m", "pytest", *options, *tests], tree, "tests", FASTRNN_ISA=isa)
    if f"from {tree}" not in done.stdout:
        raise Unusable(f"the tests did not run on the copy:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def plant(mutant: Mutant, tree: Path) -> None:
    """Replace the one occurrence of the old text."""
    path = tree / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise Unusable(f"{mutant.file} holds {text.count(mutant.old)} times: {mutant.old!r}")
    path.write_text(text.replace(mutant.old, mutant.new))


def verdict(mutant: Mutant, control: Path, isa: str) -> tuple[bool, str]:
    """Plant one fault in a copy of the control; return whether its test found it, and a line for the report."""
    start, isa = monotonic(), mutant.isa or isa
    tree = control.with_name(mutant.name)
    try:
        shutil.copytree(control, tree)
        plant(mutant, tree)
        if mutant.precision:
            build(tree, isa, (mutant.precision,))
        done = run_tests(tree, isa, [mutant.test])
        # Below zero: a fault in threads or memory may also crash the process, once the failed test has been reported.
        found = (done.returncode == 1 or done.returncode < 0) and BY_ASSERTION.search(done.stdout) is not None
        word = "found" if found else f"SURVIVED (pytest returned {done.returncode})"
        detail = "" if found else "\n" + done.stdout[-1500:]
    except Unusable as error:
        found, word, detail = False, "UNUSABLE", f"\n{error}"
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    what = f"{isa} {mutant.precision}" if mutant.precision else "Python"
    return found, f"{word:9} {mutant.name} ({what}, {monotonic() - start:.0f} s) by {mutant.test}{detail}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="the faults to plant, by name; default all")
    parser.add_argument("--isa", help="instruction set to build; default the best of this machine")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in MUTANTS if not arguments.names or mutant.name in arguments.names]
    isa = arguments.isa or best_isa()
    absent = [mutant for mutant in chosen if not available(mutant, isa)]
    chosen = [mutant for mutant in chosen if mutant not in absent]

    with tempfile.TemporaryDirectory(prefix="fastrnn-mutants-") as folder:
        control = Path(folder).resolve() / "control"
        control.mkdir()
        copy_sources(control)
        try:
            print(control_passes(control, isa, chosen), flush=True)
        except Unusable as error:
            print(error)
            return 1

        with ThreadPoolExecutor(os.cpu_count()) as workers:
            results = []
            for found, line in workers.map(lambda mutant: verdict(mutant, control, isa), chosen):
                print(line, flush=True)
                results.append(found)
        for k, mutant in enumerate(chosen):
            if not results[k]:
                results[k], line = verdict(mutant, control, isa)
                print(f"alone: {line}", flush=True)
    compiled = sum(found for found, mutant in zip(results, chosen, strict=True) if mutant.precision)
    print(f"{sum(results)} of {len(results)} faults found, {compiled} of them in compiled sources")
    if absent:
        print(f"without the instructions for {', '.join(mutant.name for mutant in absent)}")
    return 0 if all(results) else 1


def available(mutant: Mutant, isa: str) -> bool:
    """Whether this machine, as the installed package sees it, has the instructions that show a fault."""
    import fastrnn

    info = fastrnn.cpu_info()
    if mutant.needs is not None:
        return isa == info["isa"] and any(path.endswith(mutant.needs) for path in info["low_precision"].values())
    return mutant.isa is None or mutant.isa in info["detected"]


def best_isa() -> str:
    """The best instruction set of this machine, as the installed package names it."""
    import fastrnn

    return fastrnn.cpu_info()["isa"]


if __name__ == "__main__":
    sys.exit(main())
