"""A planted fault: where, what stands there, what stands there instead, and the one test that must fail for it."""

from __future__ import annotations

from dataclasses import dataclass

PRECISIONS = ("float32", "float64")
ENGINE = "src/fastrnn/_engine/"
REFERENCE = "src/fastrnn/reference/"
LAYERS = "src/fastrnn/layers/"


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str  # from the root of the repository
    old: str  # occurs there once
    new: str
    test: str  # node id below tests/
    precision: str | None = None  # of the engine to compile again; None where the fault is in Python
    isa: str | None = None  # the instruction set to plant it in; None for the one that the run is of
    needs: str | None = None  # an instruction of low precision, without which the fault cannot show


def equations(cell: str, precision: str = "float32", resets: bool = False) -> str:
    """The test that every kept gate and state obeys its equation, on ragged rows of a bidirectional stack."""
    what = "resets" if resets else "whole"
    return f"test_tape.py::test_gates_obey_the_equations[{cell}-{what}-{precision}]"


def differences(cell: str, option: str = "plain", inputs: str = "float") -> str:
    """The test of every gradient against finite differences, in float64."""
    return f"test_gradients.py::test_finite_differences[{cell}-{option}-{inputs}]"


def compiled(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    """A fault in a compiled source; of the tests that name no precision the finite differences alone are in float64."""
    precision = "float64" if "float64" in test or "finite_differences" in test else "float32"
    return Mutant(name, file, old, new, test, precision)
