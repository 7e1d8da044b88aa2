"""Planted faults in the optimizers and in clipping."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, Mutant, compiled


def rule(name: str, precision: str = "float64") -> str:
    """The test of an optimizer's rule against its equations."""
    return f"test_optim.py::test_rule_equals_its_equations[{name}-{precision}]"


OPTIM = "src/fastrnn/optim.py"
GRADIENTS = "src/fastrnn/_gradients.py"

OPTIMIZERS = [
    compiled(
        "adam-no-bias-correction",
        ENGINE + "update.pxi",
        "v_set(u.correction)",
        "v_set(1)",
        rule("adam"),
    ),
    compiled(
        "adamw-decay-dropped",
        ENGINE + "update.pxi",
        "x = v_set(u.shrink) * v_load_n(u.p + j, n)",
        "x = v_load_n(u.p + j, n)",
        rule("adamw-decay"),
    ),
    compiled(
        "lerp-from-the-far-end",
        ENGINE + "update.pxi",
        "return v_fma(v_set(weight - 1), to - from_, to)",
        "return v_fma(v_set(weight), to - from_, to)",
        rule("adam-forgetful", "float32"),
    ),
    compiled(
        "mean-square-of-unweighted-gradient",
        ENGINE + "update.pxi",
        "return v_fma(v_set(gain) * g, g, v_set(keep) * mean)",
        "return v_fma(g, g, v_set(keep) * mean)",
        rule("rmsprop"),
    ),
    compiled(
        "nesterov-without-gradient",
        ENGINE + "update.pxi",
        "v_fma(ahead, remembered, d)",
        "ahead * remembered",
        rule("sgd-nesterov"),
    ),
    compiled(
        "centered-not-subtracted",
        ENGINE + "update.pxi",
        "v_fma(-average, average, variance)",
        "variance",
        rule("rmsprop-centered"),
    ),
    compiled(
        "variance-below-zero",
        ENGINE + "update.pxi",
        "variance = v_max(v_set(0), v_fma(-average, average, variance))",
        "variance = v_fma(-average, average, variance)",
        "test_optim.py::test_no_variance_left_is_no_nan[float32]",
    ),
    compiled(
        "rmsprop-momentum-forgotten",
        ENGINE + "update.pxi",
        "d = v_fma(v_set(u.momentum), v_load_n(u.buffer + j, n), d / variance)",
        "d = d / variance",
        rule("rmsprop-momentum"),
    ),
    compiled(
        "adagrad-eps-inside-the-root",
        ENGINE + "update.pxi",
        "(v_sqrt(squares) + v_set(u.eps))",
        "v_sqrt(squares + v_set(u.eps))",
        rule("adagrad-all"),
    ),
    Mutant(
        "norm-squares-rounded",
        ENGINE + "update.pxi",
        "total[k] += <double>a[j + k] * <double>a[j + k]",
        "total[k] += a[j + k] * a[j + k]",
        "test_clipping.py::test_clip_grad_norm_of_large_and_many_numbers",
        "float32",
    ),
    compiled(
        "lerp-from-one-end-only",
        ENGINE + "update.pxi",
        "if weight < 0.5:",
        "if weight < 2:",
        "test_optim.py::test_nothing_remembered_is_nothing_lost[float32]",
    ),
    compiled(
        "norm-without-its-tail",
        ENGINE + "update.pxi",
        "total[0] += <double>a[j] * <double>a[j]",
        "pass",
        "test_clipping.py::test_clip_grad_norm_of_every_size[float32]",
    ),
    Mutant(
        "sgd-first-step-dampened",
        OPTIM,
        "(0.0, 1.0) if self._count == 1 else",
        '(0.0, 1 - o["dampening"]) if self._count == 1 else',
        rule("sgd-dampening"),
    ),
    Mutant(
        "adagrad-rate-falls-early",
        OPTIM,
        '(self._count - 1) * o["lr_decay"]',
        'self._count * o["lr_decay"]',
        rule("adagrad-all"),
    ),
    Mutant(
        "adagrad-sum-starts-at-zero",
        OPTIM,
        'self._options.get("initial_accumulator_value", 0.0)',
        "0.0",
        rule("adagrad-all"),
    ),
    Mutant(
        "adamw-decay-of-adam",
        OPTIM,
        'return 0.0, 1 - self._options["lr"] * self._options["weight_decay"]',
        "return super()._decay()",
        rule("adamw-decay"),
    ),
    Mutant(
        "shared-gradient-not-summed",
        OPTIM,
        "gradients[first] = sum(parts[1:], start=parts[0])",
        "gradients[first] = parts[0]",
        "test_optim.py::test_shared_parameter_takes_the_sum[sgd-float32]",
    ),
    Mutant(
        "step-without-a-last-touch",
        OPTIM,
        "            parameter.touch()  # and last, since",
        "            # and last, since",
        "test_optim.py::test_a_call_within_a_step_packs_nothing_for_good",
    ),
    Mutant(
        "step-counted-before-the-checks",
        OPTIM,
        "        gradients = self._gradients(grads)\n        self._count += 1\n",
        "        self._count += 1\n        gradients = self._gradients(grads)\n",
        "test_optim.py::test_bad_gradients[sgd]",
    ),
    Mutant(
        "state-without-count",
        OPTIM,
        "self._options, self._count = options, count",
        "self._options = options",
        "test_optim.py::test_resumed_training_is_the_same[adam-float64]",
    ),
    Mutant(
        "state-loaded-without-copy",
        OPTIM,
        '.in_storage(arrays[f"state.{name}.{slot}"]).copy()',
        '.in_storage(arrays[f"state.{name}.{slot}"])',
        "test_optim.py::test_state_dict_is_a_copy[adam]",
    ),
    Mutant(
        "state-shown-as-stored",
        OPTIM,
        'np.array(array.T if self._parameters[name].transposed else array, order="C")',
        'np.array(array, order="C")',
        "test_optim.py::test_state_dict_is_a_copy[adam]",
    ),
    Mutant(
        "gradients-always-copied",
        LAYERS + "_parameter.py",
        "return lying if lying.flags.aligned else lying.copy()",
        "return lying.copy()",
        "test_optim.py::test_a_step_copies_nothing",
    ),
    Mutant(
        "clip-each-array-by-itself",
        GRADIENTS,
        "        for array in arrays:\n            array *= array.dtype.type(factor)",
        "        for array in arrays:\n            array *= array.dtype.type(min(1, limit / np.linalg.norm(array)))",
        "test_clipping.py::test_clip_grad_norm[0-float64]",
    ),
    Mutant(
        "clip-scales-up",
        GRADIENTS,
        "if factor < 1 and norm < math.inf:",
        "if norm < math.inf:",
        "test_clipping.py::test_clip_grad_norm[0-float64]",
    ),
    Mutant(
        "clip-value-from-below-only",
        GRADIENTS,
        "np.clip(array, -limit, limit, out=array)",
        "np.clip(array, -limit, None, out=array)",
        "test_clipping.py::test_clip_grad_value[0-float32]",
    ),
]
