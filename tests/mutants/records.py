"""The planted faults: where, what stands there, what stands there instead, and the one test that must fail for it."""

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


def equations(cell: str, precision: str = "float32", resets: bool = False) -> str:
    """The test that every kept gate and state obeys its equation, on ragged rows of a bidirectional stack."""
    what = "resets" if resets else "whole"
    return f"test_tape.py::test_gates_obey_the_equations[{cell}-{what}-{precision}]"


def differences(cell: str, option: str = "plain", inputs: str = "float") -> str:
    """The test of every gradient against finite differences, in float64."""
    return f"test_gradients.py::test_finite_differences[{cell}-{option}-{inputs}]"


def compiled(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    """A fault in a compiled source; its test is of one precision, or says none and takes float64."""
    precision = "float32" if "float32" in test else "float64"
    return Mutant(name, file, old, new, test, precision)


CELLS = [
    compiled(
        "lstm-gradient-sign", ENGINE + "lstm.pxi",
        "v_store(dz + 2 * VLEN, dc * i * (1 - g * g))", "v_store(dz + 2 * VLEN, dc * i * (1 + g * g))",
        differences("lstm"),
    ),
    compiled(
        "lstm-cell-gradient-gate", ENGINE + "lstm.pxi",
        "v_store(s.dc + j, dc * f)", "v_store(s.dc + j, dc * i)",
        differences("lstm", "lengths"),
    ),
    compiled(
        "lstm-gate-order", ENGINE + "pack.pxi",
        "a.order[:] = [0, 1, 2, 3]", "a.order[:] = [0, 1, 3, 2]",
        equations("lstm"),
    ),
    compiled(
        "gru-candidate-product", ENGINE + "gru.pxi",
        "v_store(dz + 3 * VLEN, dn * reset)", "v_store(dz + 3 * VLEN, dn)",
        differences("gru"),
    ),
    compiled(
        "gru-update-reversed", ENGINE + "gru.pxi",
        "h = v_fma(update, v_load_n(s.h_prev[m] + j, lane_count) - candidate, candidate)",
        "h = v_fma(1 - update, v_load_n(s.h_prev[m] + j, lane_count) - candidate, candidate)",
        equations("gru"),
    ),
    compiled(
        "gru-before-carried-gradient", ENGINE + "gru_before.pxi",
        "v_store(s.dh + j, v_fma(d, reset, v_load(s.dh + j)))", "v_store(s.dh + j, d * reset)",
        differences("gru-before"),
    ),
    compiled(
        "rnn-tail-lanes-skipped", ENGINE + "rnn.pxi",
        "        if n <= 0:\n            break\n", "        if n < VLEN:\n            break\n",
        equations("rnn-tanh"),
    ),
    compiled(
        "rnn-relu-slope-at-zero", ENGINE + "rnn.pxi",
        "return v_select_lt(v_set(0), h, v_set(1), v_set(0))", "return v_set(1)",
        differences("rnn-relu"),
    ),
    compiled(
        "bias-twice", ENGINE + "pack.pxi",
        "b[lane] = bias_ih[g] + bias_hh[g]", "b[lane] = bias_ih[g] + 2 * bias_hh[g]",
        equations("lstm"),
    ),
    compiled(
        "gru-recurrent-bias-outside", ENGINE + "pack.pxi",
        "b[lane] = bias_hh[g]", "b[lane] = bias_ih[g]",
        equations("gru"),
    ),
]  # fmt: skip

TIME = [
    compiled(
        "last-step-dropped", ENGINE + "forward.pxi",
        "for s in range(begin, min(begin + f.chunk, f.T)):", "for s in range(begin, min(begin + f.chunk, f.T - 1)):",
        equations("rnn-tanh"),
    ),
    compiled(
        "h0-and-c0-swapped", ENGINE + "forward.pxi",
        "            f.h_now[n] = h0 + n * f.H\n        if c0 != NULL:\n            f.c_now[n] = c0 + n * f.H",
        "            f.c_now[n] = h0 + n * f.H\n        if c0 != NULL:\n            f.h_now[n] = c0 + n * f.H",
        equations("lstm"),
    ),
    compiled(
        "reverse-starts-short-rows-from-zero", ENGINE + "forward.pxi",
        "if plan.resets != NULL and restarts(plan, f.reverse, t, n, f.last[n]):",
        "if f.reverse and f.last[n] == INITIAL and t + 1 < f.T:",
        "test_ragged.py::test_equals_rows_alone[lengths-lstm-both-float32]",
    ),
    compiled(
        "reverse-resets-as-forward", ENGINE + "plan.pxi",
        "return last >= 0 and plan.resets[last * plan.N + n] != 0",
        "return last >= 0 and plan.resets[t * plan.N + n] != 0",
        equations("lstm", resets=True),
    ),
    compiled(
        "resets-ignored", ENGINE + "plan.pxi",
        "    return plan.resets[t * plan.N + n] != 0", "    return t < 0",
        equations("gru", resets=True),
    ),
    compiled(
        "hold-repeats-nothing", ENGINE + "plan.pxi",
        "elif hold and latest != NULL:", "elif hold and latest == row_at(&rows, t, n):",
        "test_ragged.py::test_hold[mask-lstm-float32]",
    ),
    compiled(
        "last-row-of-a-step-skipped", ENGINE + "forward.pxi",
        "for m from 0 <= m < count by TILE_ROWS:", "for m from 0 <= m < max(count - 1, 1) by TILE_ROWS:",
        "test_bits.py::test_a_row_does_not_depend_on_its_batch[3-7-gru-float32]",
    ),
]  # fmt: skip

TILES = [
    compiled(
        "tile-block-restarts", "csrc/gemm.h",
        "                if (first == 0)\n", "                if (first >= 0)\n",
        "test_cells.py::test_long_sums[3500-5-33-2-lstm-float32]",
    ),
    compiled(
        "tanh-join-too-far", "csrc/vmath.h",
        "#define TANH_SPLIT ((real)0.625)", "#define TANH_SPLIT ((real)0.9)",
        "test_elementary.py::test_strided_sweep_of_float32[tanh]",
    ),
]  # fmt: skip

BACKWARD = [
    compiled(
        "gradient-block-dropped", ENGINE + "backward.pxi",
        "            end_block(b, w, M)\n", "            if s == 0:\n                end_block(b, w, M)\n",
        "test_cells.py::test_long_sums[3-5-33-150-rnn-tanh-float32]",
    ),
    compiled(
        "scatter-overwrites", ENGINE + "backward.pxi",
        "v_store_n(to, v_load_n(to, n) + v_load(", "v_store_n(to, 0 * v_load_n(to, n) + v_load(",
        "test_cells.py::test_many_symbols[float32]",
    ),
    compiled(
        "gradient-crosses-a-reset", ENGINE + "backward.pxi",
        "        if from_ == ZERO:", "        if from_ < ZERO:",
        differences("lstm", "resets"),
    ),
    compiled(
        "dropout-key-order", ENGINE + "dropout.pxi",
        "absorb(absorb(absorb(absorb(seed, count), layer), t), n)",
        "absorb(absorb(absorb(absorb(seed, count), layer), n), t)",
        "test_cells.py::test_dropout_equals_reference[0.3-lstm-float32]",
    ),
]  # fmt: skip

IN_PYTHON = [
    Mutant(
        "reference-lstm-gate-sign", REFERENCE + "cells.py",
        "da = np.concatenate([di * i * (1 - i), ", "da = np.concatenate([di * i * (1 + i), ",
        "test_cells.py::test_zero_lengths[lstm-float64]",
    ),
    Mutant(
        "reference-gru-state-gradient", REFERENCE + "cells.py",
        "dh = dh + du @ U", "dh = du @ U",
        "test_cells.py::test_zero_lengths[gru-float64]",
    ),
    Mutant(
        "reference-first-step-dropped", REFERENCE + "sequence.py",
        "return range(T - 1, -1, -1) if reverse else range(T)", "return range(T - 1, 0, -1) if reverse else range(T)",
        "test_cells.py::test_zero_lengths[rnn-tanh-float64]",
    ),
    Mutant(
        "reference-scatter-overwrites", REFERENCE + "sequence.py",
        "np.add.at(dW.T, x[active], da[active])", "dW.T[x[active]] = da[active]",
        "test_cells.py::test_many_symbols[float64]",
    ),
    Mutant(
        "length-beyond-the-end", LAYERS + "_arguments.py",
        "array.max() > T", "array.max() > T + 1",
        "test_errors.py::test_bad_call[lengths too long-lstm]",
    ),
    Mutant(
        "tape-never-spent", LAYERS + "tape.py",
        "self.spent = True", "self.spent = False",
        "test_errors.py::test_spent_tape[lstm]",
    ),
    Mutant(
        "stale-pack", LAYERS + "recurrent.py",
        "if packed is None or packed[0] != versions:", "if packed is None:",
        "test_layers.py::test_set_parameters[gru]",
    ),
    Mutant(
        "dropout-mask-of-another-layer", LAYERS + "recurrent.py",
        "below = tape.draw_mask(below, layer - 1)", "below = tape.draw_mask(below, layer)",
        "test_tape.py::test_dropout_replayed_by_its_masks[lstm-full-True-float32]",
    ),
    Mutant(
        "dropout-count-stands-still", LAYERS + "recurrent.py",
        "self.forward_count += 1", "self.forward_count += 0",
        "test_tape.py::test_dropout_depends_on_the_seed_and_the_count_alone[lstm]",
    ),
    Mutant(
        "forget-bias-in-both", LAYERS + "_initial.py",
        'if cell == "lstm" and name.startswith("bias_ih"):', 'if cell == "lstm" and name.startswith("bias"):',
        "test_layers.py::test_default_initial_values[lstm-float32]",
    ),
]  # fmt: skip

MUTANTS = [*CELLS, *TIME, *TILES, *BACKWARD, *IN_PYTHON]
