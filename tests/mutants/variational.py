"""Planted faults in variational dropout and zoneout."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, REFERENCE, Mutant, compiled


def masks(cell: str, drawn: str, inputs: str = "float", precision: str = "float32") -> str:
    return f"test_variational.py::test_equals_reference[{cell}-{drawn}-{inputs}-{precision}]"


VARIATIONAL = [
    compiled(
        "state-gradient-not-masked", ENGINE + "variational.pxi",
        "dh[j] += mask[j] * seen[k - s.k0][j]", "dh[j] += seen[k - s.k0][j]",
        masks("lstm", "recurrent"),
    ),
    compiled(
        "reset-reads-the-whole-state", ENGINE + "gru_before.pxi",
        "reset_h = reset * v_load_n(s.h_seen[m] + j, n)", "reset_h = reset * v_load_n(s.h_prev[m] + j, n)",
        masks("gru-before", "recurrent"),
    ),
    compiled(
        "input-gradient-not-masked", ENGINE + "backward.pxi",
        "multiply_row(b.dx_rows[m], b.dx_rows[m], b.masks.of_input + b.n_of[m] * b.w.I, b.w.I)", "pass",
        masks("gru", "input"),
    ),
    compiled(
        "sparse-rows-masked-by-their-places", ENGINE + "stack.pxi",
        "run[d].ids, run[d].x = ids_of(places), input_rows(places)",
        "run[d].ids = run[d].symbols = ids_of(places); run[d].x = run[d].symbol_rows = input_rows(places)",
        "test_variational.py::test_ids_are_their_one_hot_rows[lstm]",
    ),
    compiled(
        "output-from-the-cell-that-stays", ENGINE + "zoneout.pxi",
        "v_store(c + j, v_fma(v_load_n(back.gates + H + j, lanes(H, j)), v_load_n(back.c_prev + j, lanes(H, j)),",
        "v_store(c + j, v_fma(v_set(0), v_load_n(back.c_prev + j, lanes(H, j)),",
        masks("lstm", "zoneout"),
    ),
    compiled(
        "nothing-goes-past-the-cell", ENGINE + "zoneout.pxi",
        "held[j] = whole if stays else 0", "held[j] = 0",
        masks("rnn", "zoneout"),
    ),
    compiled(
        "cells-of-inference-overwritten", ENGINE + "zoneout.pxi",
        "return f.w.traits.zone_c > 0 and f.gates_kept.data == NULL", "return False",
        "test_variational.py::test_zoneout_of_each_state[lstm-c-float32]",
    ),
    Mutant(
        "norm-of-the-state-without-its-mask", ENGINE + "norm.pxi",
        "f.shares, count, f.step.h_seen, run_of", "f.shares, count, f.step.h_prev, run_of",
        "test_variational.py::test_normalised_cells[LSTM-recurrent]", "float64",
    ),
    compiled(
        "masks-of-a-projection-by-units", ENGINE + "slices.pxi",
        "(b.w.normed or b.w.projected and b.masks.drawn)", "b.w.normed",
        "test_variational.py::test_threads[lstm-projected-units]",
    ),
    Mutant(
        "minimal-cells-drop-no-state", LAYERS + "_recurrent.py",
        "recurrent_dropout = Probability(recurrent=True)", "recurrent_dropout = Probability()",
        "test_variational.py::test_cells_without_recurrent_weights[MinGRU-float32]",
    ),
    Mutant(
        "states-masked-as-the-input", LAYERS + "_recurrent.py",
        "WEIGHTS, INPUTS, STATES, HELD_C, HELD_H = (k << 32 for k in range(1, 6))",
        "WEIGHTS, INPUTS, STATES, HELD_C, HELD_H = (k << 32 for k in (1, 2, 2, 4, 5))",
        "test_variational.py::test_masks_are_drawn",
    ),
    Mutant(
        "zoneout-of-the-other-state", LAYERS + "_recurrent.py",
        "return c if c == h else (c, h)", "return c if c == h else (h, c)",
        "test_variational.py::test_expectation[lstm]",
    ),
    Mutant(
        "reference-cell-that-stays", REFERENCE + "zoneout.py",
        '{**kept, "c": kept["f"] * before[1] + kept["i"] * kept["g"]}', "kept",
        masks("lstm", "zoneout"),
    ),
]  # fmt: skip
