"""Planted faults in tapes that keep less: segments that are run again, numbers kept in bfloat16."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, Mutant, compiled

SEGMENTS = ENGINE + "segments.pxi"


def segments(name: str, file: str, old: str, new: str, case: str) -> Mutant:
    return compiled(f"segments-{name}", file, old, new, f"test_checkpoint.py::test_many_segments[{case}]")


def half(name: str, old: str, new: str, case: str) -> Mutant:
    test = f"test_checkpoint.py::test_bfloat16_is_a_rounding_of_what_is_kept[{case}]"
    return Mutant(f"half-{name}", SEGMENTS, old, new, test, "float64")


MEMORY = [
    compiled(
        "segments-gradient-between-layers-let-go", SEGMENTS,
        "            descend_segment(passes + l", "            passed = None\n            descend_segment(passes + l",
        "test_checkpoint.py::test_other_calls_at_the_same_time",
    ),
    compiled(
        "half-states-from-closer-rows", SEGMENTS,
        "(last[n] * N + n) * row, width)", "(last[n] * N + n) * width, width)",
        "test_whole_pages.py::test_equals_the_reference[65-12-bfloat16-lstm-float32]",
    ),
    compiled(
        "budget-of-closer-rows", SEGMENTS, "cell.has_c * N * apart(w.H) * sizeof(real)", "cell.has_c * units",
        "test_whole_pages.py::test_budgets_change_no_bit_and_are_kept[lstm-float32]",
    ),
    segments(
        "latest-steps-forgotten", ENGINE + "forward.pxi",
        "f.last0[f.n0 + r] if f.last0 != NULL else ZERO if f.h0 == NULL else INITIAL",
        "ZERO if f.h0 == NULL else INITIAL",
        "rnn-tanh-2-2-mask",
    ),
    segments(
        "rows-that-begin-late-restart", ENGINE + "plan.pxi",
        "max(last[n], <int32_t>INITIAL)", "last[n]",
        "lstm-1-1-late",
    ),
    segments(
        "earlier-states-forgotten", ENGINE + "backward.pxi",
        "elif from_ != ZERO:", "elif from_ == INITIAL:",
        "gru-1-1-mask",
    ),
    segments(
        "masks-of-the-first-steps", ENGINE + "dropout.pxi",
        "row_key(&draw, t0 + t, n)", "row_key(&draw, t, n)",
        "lstm-3-1-full",
    ),
    segments(
        "held-gradients-dropped", SEGMENTS,
        "above = unheld(tape.plan, dy, D) if hold else dy", "above = dy",
        "lstm-1-1-mask",
    ),
    segments(
        "second-direction-alone", SEGMENTS,
        "b.add, b.dh0, b.dc0 = d == 1,", "b.add, b.dh0, b.dc0 = False,",
        "rnn-relu-2-2-full",
    ),
    compiled(
        "segments-hidden-gradients-not-watched", SEGMENTS,
        "            b.watched = rows_of(watched[k])\n", "            pass\n",
        "test_checkpoint.py::test_gates_and_hidden_gradients[gru-3-1]",
    ),
    compiled(
        "segments-gates-without-dropout", SEGMENTS,
        "*final, True, False, self.dropout, self.drawn)", "*final, True, False, None, self.drawn)",
        "test_checkpoint.py::test_gates_and_hidden_gradients[lstm-2-2]",
    ),
    compiled(
        "segments-budget-not-used", SEGMENTS,
        "half or s >= tape.count - kept,", "half,",
        "test_checkpoint.py::test_budgets[lstm-1-1]",
    ),
    Mutant(
        "segments-budget-overdrawn", LAYERS + "_segments.py",
        "if budget < least:", "if budget < least - 1:",
        "test_checkpoint.py::test_the_least_budget",
    ),
    Mutant(
        "segments-gates-of-other-parameters", LAYERS + "tape.py",
        "            self.check(self.layer, self.layer._versions())\n", "",
        "test_checkpoint.py::test_gates_and_hidden_gradients[lstm-1-1]",
    ),
    half(
        "cell-state-starts-anew", "if last[n] >= 0:", "if last[n] >= 0 and later is half.h:",
        "lstm-1-1-full",
    ),
    half(
        "directions-swapped", "for k in range(2 * layer - 2, 2 * layer)]",
        "for k in range(2 * layer - 1, 2 * layer - 3, -1)]",
        "gru-2-2-full",
    ),
    Mutant(
        "segments-gates-of-whole-weights", LAYERS + "tape.py",
        "whole.whole(self.weights or self", "whole.whole(self",
        "test_checkpoint.py::test_every_option[gru-3-1]",
    ),
    segments(
        "each-ends-the-sums", ENGINE + "backward.pxi",
        "descend(b, high, low), low == 0)", "descend(b, high, low), low == s0)",
        "lstm-1-1-full",
    ),
    compiled(
        "segments-gradients-of-c-as-narrow-as-h", SEGMENTS,
        'part_of(optional(dc, "dc"), k, c_size)', 'part_of(optional(dc, "dc"), k, h_size)',
        "test_checkpoint.py::test_every_option[projected-3-1]",
    ),
    compiled(
        "segments-none-without-steps", SEGMENTS,
        "max(ceil_div(T, steps), 1)", "ceil_div(T, steps)",
        "test_checkpoint.py::test_nothing_at_all[1-1-bfloat16]",
    ),
    Mutant(
        "half-c-as-narrow-as-h", SEGMENTS,
        "np.array(initial[0, k]), initial.shape[3]", "np.array(initial[0, k]), tape.h.shape[3]",
        "test_checkpoint.py::test_bfloat16_of_every_option[projected-1-1]", "float64",
    ),
    compiled(
        "bfloat-ties-away-from-zero", "csrc/bfloat.h",
        "0x7FFF + ((bits >> 16) & 1)", "0x8000",
        "test_checkpoint.py::test_bfloat16_rounds_to_nearest_even[float32]",
    ),
    compiled(
        "bfloat-nan-carries", "csrc/bfloat.h",
        "(bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : rounded", "rounded",
        "test_checkpoint.py::test_bfloat16_rounds_to_nearest_even[float32]",
    ),
]  # fmt: skip
