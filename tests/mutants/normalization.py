"""Planted faults in layer normalization."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, REFERENCE, Mutant, compiled


def norm(trait: str, case: str = "plain", precision: str = "float32") -> str:
    return f"test_traits.py::test_equals_reference[{trait}-{case}-{precision}]"


NORMALIZATION = [
    compiled(
        "lanes-beyond-H-in-the-variance", ENGINE + "norm.pxi",
        "            if n < VLEN:\n                d = v_load_n(row + v * VLEN, n)\n", "",
        norm("lstm-norm"),
    ),
    compiled(
        "gru-normalised-over-all-gates", ENGINE + "norm.pxi",
        "norm.input[0] = norm.state[0] = Part(1, 2) if w.cell == GRU",
        "norm.input[0] = norm.state[0] = Part(1, 3) if w.cell == GRU",
        norm("gru-norm", "no-bias"),
    ),
    compiled(
        "norm-gradient-without-its-slant", ENGINE + "norm.pxi",
        "v * VLEN) - mean - e * slant) * scale)", "v * VLEN) - mean) * scale)",
        norm("gru-norm"),
    ),
    compiled(
        "recurrent-weights-see-the-sums", ENGINE + "backward.pxi",
        "        state.dz = b.dproducts\n", "        pass\n",
        norm("lstm-norm"),
    ),
    compiled(
        "first-row-alone-in-the-gains", ENGINE + "norm.pxi",
        "for n in range(1, b.n1 - b.n0):", "for n in range(1, 1):",
        norm("gru-norm"),
    ),
    compiled(
        "groups-of-rows-by-their-first", ENGINE + "norm.pxi",
        "normalise_row(f, m + r, sums", "normalise_row(f, m, sums",
        "test_layer_norm.py::test_bits_do_not_depend_on_the_batch[LSTM]",
    ),
    Mutant(
        "normalised-cell-handed-on", REFERENCE + "cells.py",
        "return (h_new, c_new), {", "return (h_new, self._normalised_cell(c_new, w)), {",
        norm("lstm-norm"),
    ),
    Mutant(
        "gains-start-from-zero", LAYERS + "_initial.py",
        'np.full(shape, float(name.startswith("weight")))', "np.full(shape, 0.0)",
        "test_layer_norm.py::test_parameters",
    ),
]  # fmt: skip
