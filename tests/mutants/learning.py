"""Planted faults in what learners read first: the course's functions, the flow of gradients and its figure."""

from __future__ import annotations

from mutant import ENGINE, Mutant, compiled

COURSE = "src/fastrnn/course/"
DIAGNOSTICS = "src/fastrnn/diagnostics.py"
STEPS = "test_course.py::test_steps_make_a_name"
COUNTED = "test_diagnostics.py::test_all_is_counted_over_real_steps[lstm-batch_first]"

LEARNING = [
    Mutant(
        "candidate-saturated-as-the-gates", "src/fastrnn/diagnostics.py",
        '"g": 1, "n": 1}', '"g": 0, "n": 0}',
        "test_diagnostics.py::test_other_activations_and_sparse_gradients",
    ),
    Mutant(
        "course-softmax-over-the-batch", COURSE + "_columns.py",
        "e / e.sum(axis=0)", "e / e.sum()",
        "test_course.py::test_softmax",
    ),
    Mutant(
        "course-cache-of-the-step-before", COURSE + "rnn.py",
        "(states[t + 1], states[t], x", "(states[t], states[t], x",
        "test_course.py::test_rnn_forward",
    ),
    Mutant(
        "course-cache-not-believed", COURSE + "rnn.py",
        "    tape.kept[0].h[...] = a.T", "    tape.kept[0].h[...] += 0",
        "test_course.py::test_backward_takes_the_cache_at_its_word",
    ),
    Mutant(
        "course-gates-in-the-courses-order", COURSE + "lstm.py",
        'GATES = "ifco"', 'GATES = "fico"',
        "test_course.py::test_lstm_cell_forward",
    ),
    Mutant(
        "course-cache-in-the-engines-order", COURSE + "lstm.py",
        'CACHED = "figo"', 'CACHED = "ifgo"',
        "test_course.py::test_lstm_cell_forward",
    ),
    Mutant(
        "course-memory-sends-nothing-back", COURSE + "lstm.py",
        "(None, dc_last.T[None])", "(None, 0 * dc_last.T[None])",
        "test_course.py::test_lstm_cell_backward",
    ),
    Mutant(
        "course-gradients-of-later-steps", COURSE + "lstm.py",
        "_gradients(steps[:T], da, None)", "_gradients(steps[-T:], da, None)",
        "test_course.py::test_lstm_backward",
    ),
    Mutant(
        "dinosaurs-seed-too-slow", COURSE + "dinos.py",
        "RandomState(seed + 2 * k)", "RandomState(seed + k)",
        "test_course.py::test_sample",
    ),
    Mutant(
        "dinosaurs-none-is-all-letters", COURSE + "dinos.py",
        "    if index is not None:\n        x[index] = 1\n", "    x[index] = 1\n",
        STEPS,
    ),
    Mutant(
        "dinosaurs-target-not-subtracted", COURSE + "dinos.py",
        "dy[list(Y), 0, list(steps)] -= 1", "dy[list(Y), 0, list(steps)] -= 0",
        "test_course.py::test_gradients_of_a_name",
    ),
    Mutant(
        "dinosaurs-step-forgets-the-later-one", COURSE + "dinos.py",
        'a_prev, gradients["da_next"], parameters)', "a_prev, None, parameters)",
        STEPS,
    ),
    Mutant(
        "dinosaurs-hardly-clipped", COURSE + "dinos.py",
        "gradients = clip(gradients, 5)", "gradients = clip(gradients, 6)",
        "test_course.py::test_optimize",
    ),
    compiled(
        "flow-without-the-loss-of-its-own-step", ENGINE + "cells.pxi",
        "        v_store_n(s.watched + j, dh, n)\n", "        v_store_n(s.watched + j, v_load(s.dh + j), n)\n",
        "oracles/test_gradient_flow_torch.py::test_norms_equal_torch[lstm-1-False-dy-float32]",
    ),
    Mutant(
        "flow-moves-the-dropout-on", DIAGNOSTICS,
        "    layer.forward_count = count\n", "",
        "test_diagnostics.py::test_nothing_changes",
    ),
    Mutant(
        "flow-counts-padding", DIAGNOSTICS,
        " if tape.active is None else rows[tape.active]", "",
        COUNTED,
    ),
    Mutant(
        "flow-from-every-layers-end", DIAGNOSTICS,
        "    ones[-layer._directions :] = 1\n", "    ones[...] = 1\n",
        "test_diagnostics.py::test_default_loss_starts_at_each_rows_last_step",
    ),
    Mutant(
        "flow-norm-over-units-of-one-row", DIAGNOSTICS,
        "np.linalg.norm(rows, axis=(1, 2))", "np.linalg.norm(rows, axis=2).max(axis=1)",
        "oracles/test_gradient_flow_torch.py::test_norms_equal_torch[gru-1-False-final-float64]",
    ),
    Mutant(
        "flow-half-saturated", DIAGNOSTICS,
        "(v < 0.1) | (v > 0.9)", "v > 0.9",
        COUNTED,
    ),
    Mutant(
        "flow-predicts-what-it-reads", "src/fastrnn/models/language.py",
        "cross_entropy(h, ids[:, 1:])", "cross_entropy(h, ids[:, :-1])",
        "test_diagnostics.py::test_of_a_language_model[None]",
    ),
    Mutant(
        "figure-draws-what-is-lost", "src/fastrnn/plot.py",
        "np.where(norms > DEPTH * largest, norms, np.nan)", "norms",
        "test_diagnostics.py::test_figure",
    ),
]  # fmt: skip
