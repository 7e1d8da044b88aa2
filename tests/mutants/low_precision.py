"""Planted faults in what computes with bfloat16 and int8 weights."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, Mutant

PRODUCTS = "csrc/quant.h"
FACE = LAYERS + "quantized.py"


def low(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    """A fault by its test; sources of the engine are compiled again."""
    precision = None if file == FACE else "float32"
    return Mutant(f"low-{name}", file, old, new, f"test_quantized.py::{test}", precision)


def exact(N: int, I: int, H: int, cell: str, ids: bool = False) -> str:
    return f"test_int8_against_exact_integers[{N}-{I}-{H}-{ids}-{cell}]"


def rounded(N: int, I: int, H: int, L: int, cell: str, ids: bool = False) -> str:
    return f"test_bfloat16_is_float32_with_rounded_weights[{N}-{I}-{H}-{L}-{ids}-{cell}]"


LOW_PRECISION = [
    low("rows-of-128-levels", PRODUCTS, "factor = m > LEAST_ROW ? 127 / m", "factor = m > LEAST_ROW ? 128 / m",
        "test_int8_counts_exactly"),
    low("rows-cut-off", PRODUCTS, "a * factor + NEAREST", "a * factor - 0.5f + NEAREST", exact(5, 18, 33, "gru")),
    low("nan-is-a-number", PRODUCTS, "*scale = lane_sum(zeros) + (m", "*scale = (m",
        "test_not_numbers_stay_in_their_row[int8]"),
    low("even-bytes-twice", PRODUCTS, "odd, odd_bytes(w), ", "odd, even_bytes(w), ",
        exact(1, 67, 150, "lstm")),
    low("first-block-lost", PRODUCTS, "scales : NULL, k == 0, ", "scales : NULL, 1, ",
        exact(7, 530, 16, "lstm")),
    low("last-number-lost", PRODUCTS, "        if (p->rest) {", "        if (p->rest > 1) {",
        rounded(1, 67, 151, 2, "lstm")),
    low("blocks-start-anew", PRODUCTS, "k ? (const real *const *)out + m : init + m, k ? out_offset : init_offset",
        "init + m, init_offset", rounded(4, 130, 70, 1, "rnn-tanh")),
    low("id-of-another-byte", ENGINE + "quantized.pxi",
        "lanes_of + v * VLEN, bit, scale", "lanes_of + v * VLEN, 0, scale",
        exact(5, 18, 33, "gru", ids=True)),
    low("candidate-without-scales", ENGINE + "quantized.pxi",
        "            pack_scales(a, &a.candidate, low_rows(storage, H), &w.candidate, data_of(scale_hh))\n", "",
        exact(5, 18, 33, "gru-before")),
    low("shares-of-the-first-bias", ENGINE + "quantized.pxi", "first * row, f.z_rows", "0, f.z_rows",
        "test_threads_do_not_show[2-int8]"),
    low("room-of-float32", ENGINE + "quantized.pxi", "low_rows(w.storage, w.I) + scales, space", "w.I + scales, space",
        "test_weights_take_a_half_and_a_quarter[lstm]"),
    low("weights-of-128-levels", FACE, "np.divide(np.float32(127), most", "np.divide(np.float32(128), most",
        "test_the_weights_are_converted_once"),
    low("ties-away", FACE, "(bits + 0x7FFF + (bits >> 16 & 1))", "(bits + 0x8000)", "test_ties_go_to_even"),
    low("pickled-in-full", FACE, "codes.astype(CODES[self.precision]) for", "codes for",
        "test_weights_take_a_half_and_a_quarter[gru]"),
    low("biases-forgotten", FACE, "self._rest.append([scale_ih, scale_hh, *biases])",
        "self._rest.append([scale_ih, scale_hh, None, None])", exact(1, 3, 5, "lstm")),
]  # fmt: skip
