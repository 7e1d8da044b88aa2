"""Planted faults in what varies within a cell: activations, clip, peepholes, coupled gates, projection."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, REFERENCE, Mutant, compiled


def traits(trait: str, case: str = "plain", precision: str = "float32") -> str:
    return f"test_traits.py::test_equals_reference[{trait}-{case}-{precision}]"


TRAITS = [
    compiled(
        "hard-sigmoid-without-a-ceiling", ENGINE + "activations.pxi",
        "return -v_max(v_set(-1), -v_relu(v_fma(v_set(f.alpha), z, v_set(f.beta))))",
        "return v_relu(v_fma(v_set(f.alpha), z, v_set(f.beta)))",
        "test_traits.py::test_activation[hard_sigmoid-float32]",
    ),
    compiled(
        "elu-slope-without-alpha", ENGINE + "activations.pxi",
        "return v_select_lt(v_set(0), y, v_set(1), y + f.alpha)", "return v_select_lt(v_set(0), y, v_set(1), y + 1)",
        "test_traits.py::test_activation[('elu', 0.6)-float32]",
    ),
    compiled(
        "softplus-series-cut", "csrc/vmath.h",
        "const int terms = sizeof(real) == 8 ? 17 : 8;", "const int terms = sizeof(real) == 8 ? 17 : 3;",
        "test_traits.py::test_activation[softplus-float32]",
    ),
    compiled(
        "gradient-passes-the-clip", ENGINE + "activations.pxi",
        "v_select_equal(y, v_set(f.at_high), v_set(0), d))", "v_select_equal(y, v_set(f.at_high), d, d))",
        traits("lstm-clip"),
    ),
    compiled(
        "cell-clipped-too", ENGINE + "activations.pxi",
        "t.h = make_activation(activations[len(activations) - 1], None)",
        "t.h = make_activation(activations[len(activations) - 1], clip)",
        traits("lstm-clip"),
    ),
    compiled(
        "output-peephole-sees-the-old-cell", ENGINE + "lstm.pxi",
        "add_peephole(t.peephole + 2 * s.H, <const_row*>s.c,", "add_peephole(t.peephole + 2 * s.H, s.c_prev,",
        traits("lstm-peephole"),
    ),
    compiled(
        "peephole-gradient-of-the-new-cell", ENGINE + "backward.pxi",
        "seen = b.c if k == 2 else b.c_prev", "seen = b.c",
        traits("lstm-peephole"),
    ),
    compiled(
        "peepholes-carry-nothing", ENGINE + "lstm.pxi",
        "dc = v_fma(di, v_load_n(t.peephole + j, n), v_fma(df, v_load_n(t.peephole + H + j, n), dc))", "dc = dc + 0",
        traits("lstm-peephole", "stacked"),
    ),
    compiled(
        "coupled-forgets-nothing-backward", ENGINE + "lstm.pxi",
        "di, df = dc * (g - c_prev) * slope_of(&t.f, i), v_set(0)", "di, df = dc * g * slope_of(&t.f, i), v_set(0)",
        traits("lstm-coupled"),
    ),
    compiled(
        "projection-gradient-before-the-later-steps", ENGINE + "projection.pxi",
        "v_store(dz, loss_gradient(&back, j, lanes(P, j)))", "v_store(dz, v_load_n(back.dy + j, lanes(P, j)))",
        "test_traits.py::test_projection_equals_reference[5-1-float32]",
    ),
    compiled(
        "projected-state-of-the-wrong-width", ENGINE + "stream.pxi",
        "memcpy(<real*>f.h_now[r], from_h + at * self.P, ", "memcpy(<real*>f.h_now[r], from_h + at, ",
        "test_traits.py::test_bits[lstm-projected-float32]",
    ),
    Mutant(
        "gradient-of-weights-not-masked", LAYERS + "recurrent.py",
        "room[1][...] = tape.masked_weight(room[1], k)", "pass",
        "test_weight_dropout.py::test_replayed_by_its_masks[lstm-float32]",
    ),
    Mutant(
        "weights-of-another-call-backward", LAYERS + "recurrent.py",
        "given = (tape.weights or weights, ", "given = (weights, ",
        "test_weight_dropout.py::test_replayed_by_its_masks[gru-float32]",
    ),
    Mutant(
        "masks-of-weights-as-those-of-outputs", LAYERS + "_recurrent.py",
        "(k << 32 for k in range(1, 6))", "(k << 32 for k in range(5))",
        "test_weight_dropout.py::test_weight_masks_are_not_those_of_outputs",
    ),
    Mutant(
        "reference-peephole-order", REFERENCE + "cells.py",
        "np.concatenate([da_i * c, da_f * c, da_o * c_new], axis=1)",
        "np.concatenate([da_i * c, da_o * c_new, da_f * c], axis=1)",
        traits("lstm-peephole"),
    ),
    Mutant(
        "negative-slope-taken", LAYERS + "_traits.py",
        "if kind in RISING and numbers[0] < 0:", "if kind in RISING and numbers[0] < -1:",
        "test_traits.py::test_bad_options[RNN-options5-words5-engine]",
    ),
]  # fmt: skip
