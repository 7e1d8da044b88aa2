"""Planted faults around the recurrence: Dense and its loss, Embedding, streams, and work shared among threads."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, Mutant, compiled

SHARES = "test_shares.py::test_recurrent_layers"
STREAM = "test_stream.py::test_equals_a_call_over_the_sequence[1-33-65-2-float64-lstm]"

AROUND = [
    compiled(
        "stream-keeps-the-former-traits", ENGINE + "forward.pxi",
        "    f.step.H, f.step.traits, f.step.norm = w.H, &w.traits, ",
        "    if f.step.traits == NULL:\n        f.step.traits = &w.traits\n    f.step.H, f.step.norm = w.H, ",
        "test_stream.py::test_nothing_of_former_parameters_is_read[False]",
    ),
    compiled(
        "softmax-target-not-subtracted", ENGINE + "softmax.pxi",
        "        at[0] -= <real>scale\n", "        at[0] -= 0\n",
        "test_dense.py::test_softmax_cross_entropy_equals_reference[5-mean-float64]",
    ),
    compiled(
        "softmax-tail-lanes-counted", ENGINE + "softmax.pxi",
        "e = v_exp_neg(v_load_or(q, n, -INFINITY) - v_set(high))", "e = v_exp_neg(v_load_n(q, n) - v_set(high))",
        "test_dense.py::test_softmax_cross_entropy_equals_reference[5-mean-float64]",
    ),
    compiled(
        "dense-last-block-dropped", ENGINE + "dense.pxi",
        "            if s.back != NULL:\n                gradients(&s)\n",
        "            if s.back != NULL and s.count == s.block.rows:\n                gradients(&s)\n",
        "test_dense.py::test_cross_entropy_equals_reference[7-5-800-mean-float64]",
    ),
    compiled(
        "dense-bias-not-packed", ENGINE + "dense.pxi",
        "        if bias is not None:\n            memcpy(", "        if bias is None:\n            memcpy(",
        "test_dense.py::test_dense_equals_reference[4-6-5-bias-float64]",
    ),
    compiled(
        "table-rows-overwritten", ENGINE + "embedding.pxi",
        "v_store_n(to + j, v_load_n(to + j, n) + v_load_n(", "v_store_n(to + j, 0 * v_load_n(to + j, n) + v_load_n(",
        "test_dense.py::test_embedding_equals_reference[float64]",
    ),
    Mutant(
        "weights-ignored-in-the-loss", LAYERS + "dense.py",
        "weights.ravel()[rows] / divisor", "np.full(len(rows), 1 / divisor)",
        "test_dense.py::test_cross_entropy_equals_reference[4-6-5-mean-float64]",
    ),
    compiled(
        "the-last-share-ends-too-early", ENGINE + "share.pxi",
        "return <int>(<Py_ssize_t>count * (share + 1) // shares)",
        "return <int>(<Py_ssize_t>count * (share + 1) // shares) - (shares > 1 and share == shares - 1)",
        SHARES + "[lstm-units-full]",
    ),
    compiled(
        "a-row-between-shares-lost", ENGINE + "stack.pxi",
        "share_end(<int>N, ranges, r - 1), share_end(<int>N, ranges, r)",
        "share_end(<int>N, ranges, r - 1), share_end(<int>N, ranges, r) - (r == 0)",
        SHARES + "[gru-rows-lengths]",
    ),
    compiled(
        "units-of-a-share-lost", ENGINE + "backward.pxi",
        "    span.q1 = share_end(carry_panels(b), b.block.shares, share)\n",
        "    span.q1 = max(share_end(carry_panels(b), b.block.shares, share) - 1, span.q0)\n",
        SHARES + "[lstm-units-full]",
    ),
    compiled(
        "projected-cell-of-a-share-kept", ENGINE + "backward.pxi",
        "b.state_row + c_first, 0, c_width)", "b.state_row, 0, c_width)",
        "test_shares.py::test_projections[5-70]",
    ),
    compiled(
        "a-row-of-weights-not-packed", ENGINE + "pack.pxi",
        "end = share_end(<int>job.K, job.shares, share)",
        "end = share_end(<int>job.K, job.shares, share) - (share > 0)",
        "test_shares.py::test_packing[lstm]",
    ),
    compiled(
        "a-page-not-updated", ENGINE + "update.pxi",
        "u.shares, share) * page, u.count)", "u.shares, share) * (page - 9 * (u.shares > 1)), u.count)",
        "test_shares.py::test_updates[AdamW-3]",
    ),
    compiled(
        "denormal-squares-lost-by-workers", ENGINE + "update.pxi",
        "mode = denormals_flush()  # as workers do\n",
        "mode = denormals_flush()\n        denormals_restore(mode)\n",
        "test_shares.py::test_sums_of_squares",
    ),
    compiled(
        "squares-in-a-part-for-each-thread", ENGINE + "update.pxi",
        "s.parts = <int>min(1 + s.count // PART_NUMBERS, PARTS)", "s.parts = TEAM.threads()",
        "test_shares.py::test_sums_of_squares",
    ),
    compiled(
        "second-direction-not-added", ENGINE + "stack.pxi",
        "                add_input(passes)\n", "",
        SHARES + "[lstm-side-by-side-full]",
    ),
    compiled(
        "stream-forgets", ENGINE + "stream.pxi",
        "        started = begin_step(f, 0, &count)\n",
        "        started = begin_step(f, 0, &count) and l == 0\n",
        STREAM,
    ),
    Mutant(
        "stream-of-old-parameters", LAYERS + "_parameter.py",
        "            watcher.stale = True\n", "            watcher.stale = False\n",
        "test_stream.py::test_follows_the_parameters[lstm]",
    ),
    Mutant(
        "stream-resets-all", LAYERS + "stream.py",
        "        self._restart(chosen)\n", "        self._restart(np.ones(len(chosen), bool))\n",
        "test_stream.py::test_resets[gru]",
    ),
    compiled(
        "input-gradients-added-with-denormals", ENGINE + "stack.pxi",
        "                add_input(passes)\n                denormals_restore(mode)\n",
        "                denormals_restore(mode)\n                add_input(passes)\n",
        "test_shares.py::test_denormals_in_the_gradient_of_the_input",
    ),
    compiled(
        "results-on-the-memory-of-workspaces", ENGINE + "memory.pxi",
        "    cdef Buffer buffer = take(size, 0)\n", "    cdef Buffer buffer = take(size)\n",
        "test_layers.py::test_results_keep_no_more_memory_than_they_need",
    ),
    Mutant(
        "ids-not-copied", LAYERS + "_arguments.py",
        "ids = np.array(array, np.int64)", "ids = np.asarray(array, np.int64)",
        "test_layers.py::test_ids_may_change_after_forward[lstm]",
    ),
    Mutant(
        "parameters-read-what-was-written", LAYERS + "_module.py",
        "np.array(array) if any(", "array if any(",
        "test_layers.py::test_parameters_may_change_places[lstm]",
    ),
    Mutant(
        "what-shaped-the-parameters-can-change", LAYERS + "_module.py",
        "if name in self._fixed and name in self.__dict__:", "if False:",
        "test_layers.py::test_what_shaped_the_parameters_is_fixed[lstm]",
    ),
    Mutant(
        "text-replaced-by-the-model", "src/fastrnn/cli_common.py",
        "os.path.samefile(path, other) for other in inputs", "False for other in inputs",
        "test_cli.py::test_errors_are_one_line",
    ),
]  # fmt: skip
