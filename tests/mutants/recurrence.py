"""Planted faults in the recurrent layers, their kernels and the reference."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, REFERENCE, Mutant, compiled, differences, equations

PLAIN = "test_plain_calls.py::test_x_alone[lstm-True-float32]"
STAY = "test_ragged.py::test_rows_that_stay_the_same"

CELLS = [
    compiled(
        "lstm-gradient-sign", ENGINE + "lstm.pxi",
        "dc * i * slope_in(plain, TANH, &t.g, g)", "dc * i * (2 - slope_in(plain, TANH, &t.g, g))",
        differences("lstm"),
    ),
    Mutant(
        "gates-past-the-caches-twice-as-large", ENGINE + "cells.pxi",
        "        v_stream(to, a)\n", "        v_stream(to, a + a)\n",
        "test_tape.py::test_gates_of_a_large_tape[gru-64-float32]", "float32", "avx512",
    ),
    compiled(
        "lstm-cell-gradient-gate", ENGINE + "lstm.pxi",
        "        dc = dc * f\n", "        dc = dc * i\n",
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
        "h = v_fma(v_load(z + 2 * VLEN), ", "h = v_fma(1 - v_load(z + 2 * VLEN), ",
        equations("gru"),
    ),
    compiled(
        "gru-before-carried-gradient", ENGINE + "gru_before.pxi",
        "v_store(s.dh + j, v_fma(d, reset, v_load(s.dh + j)))", "v_store(s.dh + j, d * reset)",
        differences("gru-before"),
    ),
    compiled(
        "tail-lanes-skipped", ENGINE + "declarations.pxi",
        "return VLEN if units - j >= VLEN else <int>(units - j)", "return VLEN if units - j >= VLEN else 0",
        equations("rnn-tanh"),
    ),
    compiled(
        "rnn-relu-slope-at-zero", ENGINE + "activations.pxi",
        "return v_select_lt(v_set(0), y, v_set(1), v_set(0))", "return v_set(1)",
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
        "end = min(begin + f.chunk, f.s1)", "end = min(begin + f.chunk, f.s1 - 1)",
        equations("rnn-tanh"),
    ),
    compiled(
        "h0-and-c0-swapped", ENGINE + "forward.pxi",
        "f.h_now[r] = f.h0 + (f.n0 + r) * w.P\n            if f.c0 != NULL:\n                f.c_now[r] = f.c0 + ",
        "f.c_now[r] = f.h0 + (f.n0 + r) * w.P\n            if f.c0 != NULL:\n                f.h_now[r] = f.c0 + ",
        equations("lstm"),
    ),
    compiled(
        "reverse-starts-short-rows-from-zero", ENGINE + "forward.pxi",
        "if steps.resets != NULL and restarts(steps, f.reverse, t, n, f.last[r]):",
        "if f.reverse and f.last[r] == INITIAL and t + 1 < steps.T:",
        "test_ragged.py::test_equals_rows_alone[lengths-lstm-both-float32]",
    ),
    compiled(
        "reverse-resets-as-forward", ENGINE + "plan.pxi",
        "return last >= 0 and steps.resets[last * steps.N + n] != 0",
        "return last >= 0 and steps.resets[t * steps.N + n] != 0",
        equations("lstm", resets=True),
    ),
    compiled(
        "resets-ignored", ENGINE + "plan.pxi",
        "    return steps.resets[t * steps.N + n] != 0", "    return t < 0",
        equations("gru", resets=True),
    ),
    compiled(
        "steps-share-a-list-though-the-last-row-differs", ENGINE + "plan.pxi",
        "memcmp(active, active - s.N, s.N)", "memcmp(active, active - s.N, s.N - 1)",
        STAY + "[lengths-lstm-one-float32]",
    ),
    compiled(
        "rows-end-that-begin-again", ENGINE + "plan.pxi",
        "s.ends = s.ends and not begun", "s.ends = s.ends or not begun",
        "test_ragged.py::test_equals_rows_alone[mask-lstm-one-float32]",
    ),
    compiled(
        "rows-end-after-a-step", ENGINE + "plan.pxi",
        "s.real[n] += active[n]", "s.real[n] |= active[n]",
        "test_ragged.py::test_equals_rows_alone[lengths-lstm-one-float32]",
    ),
    compiled(
        "states-left-behind-when-rows-change", ENGINE + "forward.pxi",
        "                if advanced:\n                    settle_rows(f, before, count)\n", "",
        STAY + "[mask-lstm-one-float32]",
    ),
    compiled(
        "states-left-behind-at-the-end", ENGINE + "forward.pxi",
        "    if advanced:\n        settle_rows(f, before, count)\n    give_states", "    give_states",
        STAY + "[lengths-lstm-both-float32]",
    ),
    compiled(
        "states-of-all-rows-in-the-first-half", ENGINE + "forward.pxi",
        "+= half if step.h[r] < f.h_pair + half else -half", "+= half",
        STAY + "[mask-lstm-one-float32]",
    ),
    compiled(
        "input-gradient-of-padded-steps-left", ENGINE + "stack.pxi",
        "    clear_padding(plan, dx)\n", "",
        "test_ragged.py::test_equals_rows_alone[lengths-lstm-one-float32]",
    ),
    compiled(
        "input-gradient-of-padded-steps-left-by-segments", ENGINE + "segments.pxi",
        "    clear_padding(tape.plan, dx)\n", "",
        "test_checkpoint.py::test_every_shape",
    ),
    compiled(
        "hold-repeats-nothing", ENGINE + "plan.pxi",
        "elif hold and latest != NULL:", "elif not hold and latest != NULL:",
        "test_ragged.py::test_hold[mask-lstm-float32]",
    ),
    compiled(
        "first-row-of-a-group-skipped", ENGINE + "forward.pxi",
        "panel_fill(b, p), vectors)), 0", "panel_fill(b, p), vectors)), group.rows > 1",
        "test_bits.py::test_a_row_does_not_depend_on_its_batch[3-7-gru-float32]",
    ),
    compiled(
        "row-between-tiles-of-a-group-skipped", ENGINE + "forward.pxi",
        "offset, asked)\n            m += count", "offset, asked)\n            m += most",
        "test_bits.py::test_a_row_does_not_depend_on_its_batch[3-7-gru-float32]",
    ),
    compiled(
        "product-skipped-where-a-stream-of-lines-ends", "csrc/tile.h",
        "ahead = asked->next, left = asked->lines;",
        "ahead = asked->next, left = asked->lines;\n                continue;",
        "test_far.py::test_every_cell[1-130-ragged-gru]",
    ),
    compiled(
        "row-between-tiles-skipped", "csrc/gemm.h",
        "        m += count;\n", "        m += most;\n",
        "test_bits.py::test_a_row_does_not_depend_on_its_batch[3-7-gru-float32]",
    ),
    compiled(
        "states-in-the-same-place", ENGINE + "forward.pxi",
        "            step.h[r] += half if step.h[r] < f.h_pair + half else -half\n", "",
        "test_bits.py::test_inference_equals_forward[33-65-lstm-float32]",
    ),
    compiled(
        "states-keep-their-places", ENGINE + "forward.pxi",
        "step.h_prev, step.h = <const_row*>step.h, <real**>before", "step.h_prev = before",
        "test_bits.py::test_inference_equals_forward[3-7-lstm-float32]",
    ),
    compiled(
        "cells-put-aside-for-good", ENGINE + "forward.pxi",
        "        if overwrites_cells(f):  # whose c' was put aside\n", "        if False:\n",
        "test_variational.py::test_zoneout_of_each_state[lstm-c-float32]",
    ),
    Mutant(
        "lane-beyond-half-a-vector-skipped", ENGINE + "pack.pxi",
        "lanes_used > VLEN // 2:", "lanes_used > VLEN // 2 + 1:",
        "test_cells.py::test_parts_of_vectors[25-lstm-float32]", "float32", "avx512",
    ),
    Mutant(
        "lane-beyond-a-quarter-of-a-vector-skipped", ENGINE + "pack.pxi",
        "lanes_used <= VLEN // 4", "lanes_used <= VLEN // 4 + 1",
        "test_cells.py::test_parts_of_vectors[21-gru-float32]", "float32", "avx512",
    ),
    Mutant(
        "half-vector-of-weights-in-the-place-of-the-first", "csrc/tile.h",
        "w_half = h_load(b + WEIGHTS_AT(whole));", "w_half = h_load(b);",
        "test_cells.py::test_parts_of_vectors[21-rnn-tanh-float32]", "float32", "avx512",
    ),
    Mutant(
        "half-vector-of-late-weights-in-the-place-of-the-first", "csrc/tile.h",
        "h_load(b + q * b_step + WEIGHTS_AT(whole))", "h_load(b + q * b_step)",
        "test_cells.py::test_parts_of_vectors[21-rnn-tanh-float32]", "float32", "avx512",
    ),
    Mutant(
        "tile-ends-with-one-step-for-all", "csrc/tile.h",
        "TILE_ROW_ADD(r, (run + q) * a_step, w[q]", "TILE_ROW_ADD(r, run * a_step, w[q]",
        equations("lstm"), "float32", "avx512",
    ),
    Mutant(
        "tile-ends-with-its-first-run", "csrc/tile.h",
        "late && s == inner->runs - 1", "late && s == 0",
        "test_cells.py::test_equals_reference", "float32", "avx512",
    ),
    Mutant(
        "half-vector-kept-in-the-place-of-the-first", "csrc/tile.h",
        "LEFT(whole), to + SUMS_AT(whole, step.out)", "LEFT(whole), to",
        "test_cells.py::test_parts_of_vectors[20-rnn-tanh-float64]", "float64", "avx512",
    ),
    Mutant(
        "fourth-gate-side-by-side-starts-as-the-third", "csrc/tile.h",
        "(left > 3 ? 3 : 2)", "2",
        "test_cells.py::test_parts_of_vectors[20-lstm-float32]", "float32", "avx512",
    ),
    Mutant(
        "second-gate-side-by-side-kept-as-the-first", "csrc/tile.h",
        "q_store(p + VLEN, h_upper(a))", "q_store(p + VLEN, h_lower(a))",
        "test_cells.py::test_parts_of_vectors[20-gru-before-float32]", "float32", "avx512",
    ),
    Mutant(
        "gates-side-by-side-begin-too-early", ENGINE + "gradients.pxi",
        "* row + job.part.first * VLEN", "* row",
        "test_cells.py::test_parts_of_vectors[20-gru-float32]", "float32", "avx512",
    ),
    Mutant(
        "gates-side-by-side-taken-from-their-panels", ENGINE + "gradients.pxi",
        "b.dz_beside if beside(a) != WHOLE else NULL", "NULL",
        "test_cells.py::test_parts_of_vectors[20-lstm-float32]", "float32", "avx512",
    ),
    Mutant(
        "units-side-by-side-packed-apart", ENGINE + "pack.pxi",
        "v * lanes_apart(b, p)", "v * VLEN",
        "test_cells.py::test_parts_of_vectors[21-lstm-float32]", "float32", "avx512",
    ),
]  # fmt: skip

TILES = [
    compiled(
        "tile-block-restarts", "csrc/gemm.h",
        "&part, from, p * from_panel, out,",
        "&part, init, p * init_panel, out,",
        "test_cells.py::test_long_sums[3500-5-33-2-lstm-float32]",
    ),
    compiled(
        "tail-starts-from-the-first-sums", "csrc/gemm.h",
        "            from = (const real *const *)out, from_panel = out_panel;\n", "",
        "test_cells.py::test_long_sums[3-130-1-4-gru-before-float32]",
    ),
    compiled(
        "tail-of-a-pair-is-that-of-its-first-panel", "csrc/gemm.h",
        "out, p * out_panel, (PanelSteps){b->panel_step, out_panel, out_panel});",
        "out, p * out_panel, (PanelSteps){0, out_panel, out_panel});",
        "test_cells.py::test_long_sums[3-130-1-4-rnn-tanh-float32]",
    ),
    compiled(
        "second-panel-of-a-pair-starts-as-the-first", "csrc/tile.h",
        "init_offset + SUMS_AT(v, step.init)", "init_offset + SUMS_AT(v, 0)",
        equations("lstm"),
    ),
    Mutant(
        "third-panel-of-four-has-the-weights-of-the-second", "csrc/tile.h",
        "((v) / vectors * step.b", "(((v) / vectors > 0) * step.b",
        "test_bits.py::test_a_row_alone_has_its_gradients[300-lstm-float32]", "float32", "avx512",
    ),
    Mutant(
        "last-of-several-panels-is-whole", "csrc/gemm.h",
        "panel_fill(b, p + count - 1)", "panel_fill(b, p)",
        "test_cells.py::test_parts_of_vectors[20-lstm-float32]", "float32", "avx512",
    ),
    Mutant(
        "last-of-several-panels-of-a-step-is-whole", ENGINE + "forward.pxi",
        "panel_fill(b, p + count - 1)", "panel_fill(b, p)",
        "test_cells.py::test_parts_of_vectors[20-lstm-float32]", "float32", "avx512",
    ),
    Mutant(
        "panel-apart-among-several", "csrc/panels.h",
        "(b->last != b->vectors || b->apart)", "b->last != b->vectors",
        "test_cells.py::test_parts_of_vectors_beside_whole_ones[1-20-lstm-float32]", "float32", "avx512",
    ),
    compiled(
        "turned-walk-begins-at-its-first-panel", "csrc/panels.h",
        "return walk->high -= count;", "return walk->high -= count, walk->low;",
        equations("lstm"),
    ),
    compiled(
        "panels-of-few-rows-without-the-first-input", ENGINE + "input.pxi",
        "cdef Walk walk = Walk(group.panel, ", "cdef Walk walk = Walk(group.panel + 1, ",
        "test_few_rows.py::test_steps_equal_a_sequence[1-float32-1-lstm]",
    ),
    compiled(
        "rows-of-x-linger-under-ids", ENGINE + "input.pxi",
        "    f.together = False\n    if f.ids", "    if f.ids",
        "test_few_rows.py::test_rows_and_ids_in_turn[None]",
    ),
    compiled(
        "second-states-begin-among-the-first", ENGINE + "forward.pxi",
        "s.h[k] += (f.n1 - f.n0) * apart(f.w.P)", "s.h[k] += (f.n1 - f.n0 - 1) * apart(f.w.P)",
        "test_whole_pages.py::test_inference_forward_streams_and_cuts_give_the_same_bits[lstm-float32]",
    ),
    compiled(
        "states-of-streams-lie-closer", ENGINE + "stream.pxi",
        "f.h_pair + r * apart(self.P), f.c_own", "f.h_pair + r * self.P, f.c_own",
        "test_whole_pages.py::test_inference_forward_streams_and_cuts_give_the_same_bits[lstm-float32]",
    ),
    compiled(
        "projected-cells-lie-as-their-outputs", ENGINE + "forward.pxi",
        "f.c_own + r * apart(H)", "f.c_own + r * apart(f.w.P)",
        "test_whole_pages.py::test_other_states_of_whole_pages[projected-float32]",
    ),
    Mutant(
        "gates-of-more-than-the-units", "src/fastrnn/layers/tape.py",
        "part[:, :, : kept.gates.shape[-1]]", "part",
        "test_whole_pages.py::test_gates_are_of_the_units_alone[float32]",
    ),
    compiled(
        "tanh-is-one-too-soon", "csrc/vmath.h",
        "#define TANH_ONE 9.02f", "#define TANH_ONE 7.5f",
        "test_elementary.py::test_strided_sweep_of_float32[tanh]",
    ),
    compiled(
        "tanh-loses-the-sign-of-zero", "csrc/vmath.h",
        "| (v_bits(x) & SIGN_BIT));", "| (v_bits(y) & SIGN_BIT));",
        "test_elementary.py::test_exact_limits[float32]",
    ),
    compiled(
        "callers-mode-lost", "csrc/cpu.h",
        "{ _mm_setcsr(mode); }", "{ (void)mode; }",
        "test_layers.py::test_the_callers_floating_point_mode_is_kept[lstm-float32]",
    ),
    compiled(
        "denormals-not-flushed", "csrc/cpu.h",
        "_mm_setcsr(mode | 0x8040u);", "_mm_setcsr(mode | 0x0040u);",
        "test_layers.py::test_denormals_are_flushed[float32]",
    ),
]  # fmt: skip

BACKWARD = [
    compiled(
        "first-step-dropped", ENGINE + "backward.pxi",
        "for s in range(d.s_high, d.s_low - 1, -1):", "for s in range(d.s_high, d.s_low, -1):",
        differences("rnn-tanh"),
    ),
    compiled(
        "held-gradient-lost", ENGINE + "plan.pxi",
        "row[j] += held[j]", "row[j] += 0",
        "test_ragged.py::test_hold[mask-gru-float32]",
    ),
    compiled(
        "gradient-of-the-first-block-alone", ENGINE + "gradients.pxi",
        "init = b.fresh_rows if b.fresh else <const_row*>b.gradient_rows", "init = b.fresh_rows",
        "test_cells.py::test_long_sums[3-5-33-150-rnn-tanh-float32]",
    ),
    compiled(
        "tail-of-the-last-panel-lost", ENGINE + "gradients.pxi",
        "panel, 0, 1, units, units)", "panel, 0, 0, units, units)",
        differences("rnn-tanh"),
    ),
    compiled(
        "tail-takes-the-gates-for-neighbours", ENGINE + "gradients.pxi",
        "part.vectors, units, VLEN)", "part.vectors, units, units)",
        differences("lstm"),
    ),
    compiled(
        "plain-input-of-the-first-rows", ENGINE + "input.pxi",
        "x + rows[k] * n_step", "x + (rows[k] - f.n0) * n_step",
        "test_shares.py::test_recurrent_layers[lstm-rows-full]",
    ),
    compiled(
        "streamed-gradient-without-its-first-panel", ENGINE + "gradients.pxi",
        "in range(s.p0, whole):\n                    for u in range(units):\n                        v_stream(",
        "in range(s.p0 + 1, whole):\n                    for u in range(units):\n                        v_stream(",
        "test_cells.py::test_weights_beyond_the_caches[lstm-96-float32]",
    ),
    compiled(
        "streamed-pack-without-its-last-rows", ENGINE + "pack.pxi",
        "                    for k in range(first, last):\n                        v_stream(",
        "                    for k in range(first, last - 1):\n                        v_stream(",
        "test_cells.py::test_weights_beyond_the_caches[rnn-tanh-96-float32]",
    ),
    compiled(
        "transpose-zips-lower-halves-twice", "csrc/transpose.h",
        "+ upper * (VLEN / 2)", "+ 0 * upper",
        "test_cells.py::test_weights_beyond_the_caches[lstm-96-float32]",
    ),
    compiled(
        "squares-turned-into-the-first", ENGINE + "pack.pxi",
        "    to += first % columns\n", "",
        "test_cells.py::test_weights_beyond_the_caches[gru-96-float32]",
    ),
    compiled(
        "every-strip-sums-the-first-rows", ENGINE + "gradients.pxi",
        "gemm(strip.rows, b.transposed_rows + k,", "gemm(strip.rows, b.transposed_rows + k0,",
        "test_cells.py::test_long_sums[5-700-8-2-lstm-float32]",
    ),
    compiled(
        "scatter-overwrites", ENGINE + "backward.pxi",
        "    v_load_n(to, n)), n)\n", "    0 * v_load_n(to, n)), n)\n",
        "test_cells.py::test_many_symbols[float32]",
    ),
    compiled(
        "gradient-crosses-a-reset", ENGINE + "backward.pxi",
        "rows[k]) == ZERO:", "rows[k]) < ZERO:",
        differences("lstm", "resets"),
    ),
    compiled(
        "weights-ignored-in-the-fused-loss", ENGINE + "dense.pxi",
        "s.targets[m], s.scale[m],", "s.targets[m], s.scale[0],",
        "test_dense.py::test_cross_entropy_equals_reference[4-6-5-sum-float32]",
    ),
    compiled(
        "logits-of-all-rows-held", ENGINE + "dense.pxi",
        "s.block.rows = min(min(rows, BLOCK_ROWS), M)", "s.block.rows = M",
        "test_dense.py::test_logits_of_all_rows_are_never_held",
    ),
    compiled(
        "dropout-mask-of-another-layer", ENGINE + "stack.pxi",
        "dropped(below, dropout, layer - 1)", "dropped(below, dropout, layer)",
        "test_tape.py::test_dropout_replayed_by_its_masks[lstm-full-True-float32]",
    ),
    compiled(
        "dropout-key-order", ENGINE + "dropout.pxi",
        "absorb(absorb(d.key, t), n)", "absorb(absorb(d.key, n), t)",
        "test_cells.py::test_dropout_equals_reference[0.3-lstm-float32]",
    ),
]  # fmt: skip

IN_PYTHON = [
    Mutant(
        "reference-lstm-gate-sign", REFERENCE + "cells.py",
        "da_i, da_f, da_g = di * ", "da_i, da_f, da_g = -di * ",
        "test_cells.py::test_zero_lengths[lstm-float64]",
    ),
    Mutant(
        "reference-gru-state-gradient", REFERENCE + "cells.py",
        "(dh + masked(dh_u, m),)", "(masked(dh_u, m),)",
        "test_cells.py::test_zero_lengths[gru-float64]",
    ),
    Mutant(
        "reference-first-step-dropped", REFERENCE + "sequence.py",
        "return range(T - 1, -1, -1) if reverse else range(T)", "return range(T - 1, 0, -1) if reverse else range(T)",
        "test_cells.py::test_zero_lengths[rnn-tanh-float64]",
    ),
    Mutant(
        "reference-scatter-overwrites", REFERENCE + "sequence.py",
        "np.add.at(dW.T, x[active], scaled[active])", "dW.T[x[active]] = scaled[active]",
        "test_cells.py::test_many_symbols[float64]",
    ),
    Mutant(
        "mask-ignored-in-the-loss", LAYERS + "_targets.py",
        "0, check_mask(mask, shape))", "0, np.ones(shape))",
        "test_reference_dense.py::test_cross_entropy_by_hand",
    ),
    Mutant(
        "length-beyond-the-end", LAYERS + "_arguments.py",
        "(array > T))", "(array > T + 1))",
        "test_errors.py::test_bad_call[lengths too long-lstm]",
    ),
    Mutant(
        "id-one-too-large", LAYERS + "_arguments.py",
        "(ids >= input_size)", "(ids > input_size)",
        "test_errors.py::test_bad_call[id too large-lstm]",
    ),
    Mutant(
        "input-copied", LAYERS + "_arguments.py",
        "return array if lies_by_rows(array) else ", "return ",
        "test_properties.py::test_input_is_not_copied[True-float32]",
    ),
    Mutant(
        "out-of-another-layout-not-filled", LAYERS + "recurrent.py",
        "            out[...] = y\n", "",
        "test_properties.py::test_out[lstm-float32]",
    ),
    Mutant(
        "inference-keeps-a-tape", LAYERS + "recurrent.py",
        "keep=False", "keep=True",
        "test_tape.py::test_memory_of_a_call",
    ),
    compiled(
        "plain-call-keeps-a-tape", ENGINE + "call.pxi",
        "h, c, keep,\n", "h, c, True,\n",
        "test_tape.py::test_memory_of_a_call",
    ),
    compiled(
        "plain-call-counts-steps-as-rows", ENGINE + "call.pxi",
        "given.shape[0 if batch_first else 1]", "given.shape[1 if batch_first else 0]",
        PLAIN,
    ),
    compiled(
        "plain-call-takes-any-width", ENGINE + "call.pxi",
        "given.shape[2] != I", "False",
        PLAIN,
    ),
    compiled(
        "plain-call-writes-into-its-state", ENGINE + "call.pxi",
        " and lies_apart(out, c0)", "",
        "test_plain_calls.py::test_out_in_the_memory_of_an_input[c]",
    ),
    compiled(
        "plain-call-writes-into-a-last-byte", ENGINE + "call.pxi",
        "low + cnp.PyArray_NBYTES(array) <= other_low", "low <= other_low",
        "test_plain_calls.py::test_out_in_the_memory_of_an_input[x]",
    ),
    compiled(
        "plain-call-takes-any-state", ENGINE + "call.pxi",
        "not has_shape(c0, K, N, w.H)", "False",
        "test_plain_calls.py::test_a_state[lstm-True-float32]",
    ),
    compiled(
        "plain-call-keeps-the-callers-state", ENGINE + "call.pxi",
        "h0, c0 = copied(h0), copied(c0)", "h0, c0 = h0, copied(c0)",
        "test_plain_calls.py::test_training[gru-True-float32-True]",
    ),
    Mutant(
        "plain-call-drops-nothing", LAYERS + "_recurrent.py",
        'return bool(between or of["input_dropout"]', 'return bool(of["input_dropout"]',
        "test_plain_calls.py::test_what_is_drawn_is_asked_for[dropout]",
    ),
    compiled(
        "plain-call-writes-where-it-may-not", ENGINE + "call.pxi",
        " and cnp.PyArray_ISWRITEABLE(out)", "",
        "test_plain_calls.py::test_out[lstm-True-float32]",
    ),
    compiled(
        "segments-of-an-input-as-it-will-lie", ENGINE + "segments.pxi",
        "cnp.ndarray below = tape.x, above", "cnp.ndarray below = x, above",
        "test_plain_calls.py::test_an_input_whose_shape_is_set_afterwards[zero-sqrt]",
    ),
    compiled(
        "tape-of-an-input-as-it-will-lie", ENGINE + "forward.pxi",
        "= x[...], plan, reverse", "= x, plan, reverse",
        "test_plain_calls.py::test_an_input_whose_shape_is_set_afterwards[zero-None]",
    ),
    compiled(
        "plain-call-takes-any-byte-order", ENGINE + "call.pxi",
        "cnp.PyArray_ISCARRAY_RO(array)", "cnp.PyArray_IS_C_CONTIGUOUS(array)",
        PLAIN,
    ),
    Mutant(
        "tape-never-spent", LAYERS + "tape.py",
        "        self.spent = True\n        self.kept = []\n", "        self.spent = False\n",
        "test_errors.py::test_spent_tape[lstm]",
    ),
    Mutant(
        "stale-pack", LAYERS + "recurrent.py",
        "if self._packed is None or self._packed[1] != versions:", "if self._packed is None:",
        "test_layers.py::test_set_parameters[gru]",
    ),
    Mutant(
        "changes-not-counted", LAYERS + "_parameter.py",
        "        Parameter.changes += 1\n", "",
        "test_layers.py::test_set_parameters[gru]",
    ),
    Mutant(
        "dropout-count-stands-still", LAYERS + "recurrent.py",
        "self.forward_count += 1", "self.forward_count += 0",
        "test_tape.py::test_dropout_depends_on_the_seed_and_the_count_alone[lstm]",
    ),
    Mutant(
        "forget-bias-in-both", LAYERS + "_initial.py",
        'if cell in FORGET and name.startswith("bias_ih"):', 'if cell in FORGET and name.startswith("bias"):',
        "test_layers.py::test_default_initial_values[lstm-float32]",
    ),
]  # fmt: skip

RECURRENCE = [*CELLS, *TIME, *TILES, *BACKWARD, *IN_PYTHON]
