"""Planted faults in what computes with bfloat16 and int8 weights."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, Mutant

ROWS = "csrc/quant_rows.h"
DOTS = "csrc/quant_dots.h"
WIDE = "csrc/quant_wide.h"
FACE = LAYERS + "quantized.py"


def low(name: str, file: str, old: str, new: str, test: str, needs: str | None = None) -> Mutant:
    """A fault by its test; sources of the engine are compiled again, wide products where no others can be chosen."""
    precision, isa = None if file == FACE else "float32", "base" if file == WIDE else None
    return Mutant(f"low-{name}", file, old, new, f"test_quantized.py::{test}", precision, isa, needs)


def exact(N: int, I: int, H: int, cell: str, ids: bool = False, precision: str = "int8") -> str:
    return f"test_against_exact_products[{N}-{I}-{H}-{ids}-{cell}-{precision}]"


LOW_PRECISION = [
    low("rows-of-128-levels", ROWS, "factor = m > LEAST_ROW ? 127 / m", "factor = m > LEAST_ROW ? 128 / m",
        "test_int8_counts_exactly"),
    low("rows-cut-off", ROWS, "a * factor + NEAREST", "a * factor - 0.5f + NEAREST", exact(5, 18, 33, "gru")),
    low("nan-is-a-number", ROWS, "scale[0] = lane_sum(zeros) + (m", "scale[0] = (m",
        "test_not_numbers_stay_in_their_row[int8]"),
    low("inf-is-a-number", ROWS, "v_real(rounded), a + a)", "v_real(rounded), a - a)",
        "test_infinity_reaches_bfloat16"),
    low("rows-truncated", ROWS, "bits + 0x7fff + (bits >> 16 & 1);", "bits;",
        exact(5, 18, 33, "gru", precision="bfloat16")),
    low("halves-swapped", ROWS, "v_bits(high) | (v_bits(low) >> 16 & 0xffff)",
        "v_bits(low) | (v_bits(high) >> 16 & 0xffff)", exact(5, 18, 33, "gru", precision="bfloat16"), "vdpbf16ps"),
    low("weights-without-sign", DOTS, "i_load(b) ^ i_set((int32_t)0x80808080)", "i_load(b)",
        exact(1, 67, 150, "lstm"), "vpdpbusd"),
    low("sum-begins-at-nothing", DOTS, "v_real(i_broadcast(a_scale + 1) * -128)", "v_set(0)",
        exact(5, 18, 33, "gru"), "vpdpbusd"),
    low("second-panel-reads-the-first", DOTS, "dot_weights(storage, b + (v / vectors) * step.b + ",
        "dot_weights(storage, b + ", exact(1, 67, 150, "lstm"), "vpdpbusd"),
    Mutant("low-third-panel-reads-the-second", DOTS, "dot_weights(storage, b + (v / vectors) * step.b + ",
           "dot_weights(storage, b + (v / vectors > 0) * step.b + ",
           f"test_quantized.py::{exact(1, 67, 150, 'lstm')}", "float32", "avx512", "vpdpbusd"),
    low("even-bytes-twice", WIDE, "odd, odd_bytes(w), ", "odd, even_bytes(w), ", exact(1, 67, 150, "lstm")),
    low("first-block-lost", WIDE, "scales : NULL, k == 0}", "scales : NULL, 1}", exact(7, 530, 16, "lstm")),
    low("low-number-twice", WIDE, "v_fma(high, high_number(w), ", "v_fma(high, low_number(w), ",
        exact(1, 67, 150, "lstm", precision="bfloat16")),
    Mutant("low-sum-in-another-order", WIDE, "v_fma(low, low_number(w), v_fma(high, high_number(w), sums[v]))",
           "v_fma(high, high_number(w), v_fma(low, low_number(w), sums[v]))",
           "test_quantized.py::test_instruction_sets_give_the_same_bits", "float32", "avx2", "vdpbf16ps"),
    low("blocks-start-anew", WIDE, "k ? (const real *const *)out + m : init + m, k ? out_offset : init_offset",
        "init + m, init_offset", exact(7, 530, 16, "lstm", precision="bfloat16")),
    low("id-of-another-byte", ENGINE + "quantized.pxi",
        "lanes_of + v * VLEN, bit, scale", "lanes_of + v * VLEN, 0, scale",
        exact(5, 18, 33, "gru", ids=True)),
    low("candidate-without-scales", ENGINE + "quantized.pxi",
        "            pack_scales(a, &a.candidate, low_rows(storage, H), &w.candidate, data_of(scale_hh))\n", "",
        exact(5, 18, 33, "gru-before")),
    low("shares-of-the-first-bias", ENGINE + "quantized.pxi", "walk.low * row, f.z_rows", "0, f.z_rows",
        "test_threads_do_not_show[2-int8]"),
    Mutant("low-panels-of-few-rows-in-place-of-the-first", ENGINE + "quantized.pxi", "walk.low * step)", "0)",
           "test_few_rows.py::test_steps_of_low_precision_equal_a_sequence[1-int8-lstm-3]", "float32"),
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
