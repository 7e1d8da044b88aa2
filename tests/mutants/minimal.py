"""Planted faults in the cells without recurrent weights."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, Mutant, compiled, differences, equations

MINIMAL = [
    compiled(
        "mingru-carries-what-it-took", ENGINE + "minimal.pxi",
        "v_store(s.dh + j, dh * (1 - update))", "v_store(s.dh + j, dh * update)",
        differences("mingru"),
    ),
    compiled(
        "minlstm-forget-gradient-turned-round", ENGINE + "minimal.pxi",
        "v_store(dz, d * (f - 1))", "v_store(dz, d * (1 - f))",
        differences("minlstm"),
    ),
    compiled(
        "minlstm-gates-vanish", ENGINE + "minimal.pxi",
        "return v_max(v_set(0), low_sum() - v_max(a, b))", "return v_set(0)",
        "test_minimal.py::test_gates_that_vanish[fastrnn-float32]",
    ),
    compiled(
        "minlstm-never-lifts", ENGINE + "minimal.pxi",
        "if v_may_be_lt(v_max(f, i), low_sum()):", "if False:",
        "test_minimal.py::test_gates_that_vanish[fastrnn-float32]",
    ),
    compiled(
        "scan-goes-on-from-another-row", ENGINE + "minimal.pxi",
        "            if s.h_prev[m] != latest:\n                h = v_load_n(s.h_prev[m] + j, n)\n"
        "            latest = s.h[m]\n            h = v_fma(update,",
        "            if latest == NULL:\n                h = v_load_n(s.h_prev[m] + j, n)\n"
        "            latest = s.h[m]\n            h = v_fma(update,",
        equations("mingru"),
    ),
    compiled(
        "scan-ignores-the-direction", ENGINE + "scan.pxi",
        "begin_step(f, t, &count)", "begin_step(f, t if regular else step, &count)",
        "test_minimal.py::test_equals_reference",
    ),
    compiled(
        "scan-follows-the-step-before-the-last", ENGINE + "scan.pxi",
        "s.h_prev[r], s.c_prev[r] = s.h[r - R]", "s.h_prev[r], s.c_prev[r] = s.h_prev[r - R]",
        "test_minimal.py::test_many_steps[1-mingru-float32]",
    ),
    compiled(
        "scan-follows-over-a-reset", ENGINE + "scan.pxi",
        "regular = f.steps.full and f.steps.resets == NULL", "regular = f.steps.full",
        "test_minimal.py::test_equals_reference",
    ),
    compiled(
        "scan-shares-write-in-one-place", ENGINE + "scan.pxi",
        "f.z_rows + share * f.chunk * (f.n1 - f.n0)", "f.z_rows",
        "test_shares.py::test_scans[minlstm]",
    ),
    compiled(
        "scan-skips-a-panel-between-shares", ENGINE + "scan.pxi",
        "share_end(a.count, f.shares, share - 1), share_end(",
        "share_end(a.count, f.shares, share - 1) + (share > 0), share_end(",
        "test_shares.py::test_scans[minlstm]",
    ),
    compiled(
        "minlstm-gates-exchanged", ENGINE + "pack.pxi",
        "a.order[:] = [0, 1, 2, 0]", "a.order[:] = [1, 0, 2, 0]",
        equations("minlstm"),
    ),
    compiled(
        "candidates-always-linear", ENGINE + "activations.pxi",
        "        t.plain = t.g.kind == LINEAR\n", "        t.plain = True\n",
        "test_minimal.py::test_nonlinearity[tanh-mingru-float32]",
    ),
    Mutant(
        "minlstm-takes-from-the-start", LAYERS + "_initial.py",
        '"minlstm": 0}', '"minlstm": 1}',
        "test_layers.py::test_default_initial_values[minlstm-float32]",
    ),
    Mutant(
        "mingru-keeps-what-it-takes", LAYERS + "_cells.py",
        'return 1 - gates["z"]', 'return gates["z"]',
        "test_diagnostics.py::test_all_is_counted_over_real_steps[mingru-batch_first]",
    ),
]  # fmt: skip
