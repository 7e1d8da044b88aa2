"""Planted faults in fastrnn.torch and in the conversions from and to torch."""

from __future__ import annotations

from mutant import LAYERS, Mutant

TORCH = "src/fastrnn/torch/"
INTEROP = "src/fastrnn/interop/torch.py"
MODULE = "oracles/test_torch_module.py::"
CONVERSION = "oracles/test_interop_torch.py::"
DROPOUT = MODULE + "test_dropout_draws_from_torchs_generator[lstm]"
UNSORTED = MODULE + "test_equals_torch[lstm-1-one-unsorted]"

TORCH_MODULES = [
    Mutant(
        "module-of-old-numbers", TORCH + "snapshot.py",
        "config and all(array.tobytes() == numbers for array, numbers in pairs)", "config",
        MODULE + "test_parameters_may_change_between_calls[lstm-data]",
    ),
    Mutant(
        "module-compares-biases-alone", TORCH + "snapshot.py",
        "all(array.tobytes() == numbers for", "all(array.ndim == 2 or array.tobytes() == numbers for",
        MODULE + "test_parameters_may_change_between_calls[gru-optimizer]",
    ),
    Mutant(
        "module-compares-values-not-bits", TORCH + "snapshot.py",
        "array.tobytes() == numbers for", "(array.ravel() == memoryview(numbers).cast(array.dtype.char)).all() for",
        MODULE + "test_parameters_may_change_between_calls[lstm-sign of zero]",
    ),
    Mutant(
        "module-of-old-options", TORCH + "snapshot.py",
        "return self.config == config and all(", "return all(",
        MODULE + "test_options_may_change_between_calls",
    ),
    Mutant(
        "graph-of-new-parameters", TORCH + "snapshot.py",
        "    layer = clone(like)\n", "    layer = like\n",
        MODULE + "test_a_graph_keeps_the_parameters_of_its_call[lstm]",
    ),
    Mutant(
        "module-drops-when-evaluated", TORCH + "modules.py",
        "if self.dropout and self.training and", "if self.dropout and",
        DROPOUT,
    ),
    Mutant(
        "module-drops-only-under-autograd", TORCH + "function.py",
        "        if self.layer.dropout:", "        if False:",
        DROPOUT,
    ),
    Mutant(
        "module-drops-always-the-same", TORCH + "modules.py",
        "int(torch.randint(2**63 - 1, ()))", "0",
        DROPOUT,
    ),
    Mutant(
        "packed-state-not-sorted", TORCH + "modules.py",
        "self.permute_hidden(hx, input.sorted_indices)", "hx",
        UNSORTED,
    ),
    Mutant(
        "packed-state-left-sorted", TORCH + "modules.py",
        "return packed, self.permute_hidden(final, input.unsorted_indices)", "return packed, final",
        UNSORTED,
    ),
    Mutant(
        "second-derivative-silently-zero", TORCH + "function.py",
        "if torch.is_grad_enabled():  #", "if False:  #",
        MODULE + "test_second_derivatives_are_refused[above]",
    ),
    Mutant(
        "second-derivative-of-the-input-not-refused", TORCH + "function.py",
        "*results, *tensors, *gradients)", "*results, *gradients)",
        MODULE + "test_second_derivatives_are_refused[x]",
    ),
    Mutant(
        "checkpoint-saves-no-memory", LAYERS + "tape.py",
        "            setattr(kept, name, None)\n", "            pass\n",
        MODULE + "test_checkpoint[lstm-plain]",
    ),
    Mutant(
        "gradient-of-the-input-left-out", LAYERS + "recurrent.py",
        "None if ids or not with_dx else", "None if ids or with_dx else",
        MODULE + "test_equals_torch[gru-1-one-full]",
    ),
    Mutant(
        "double-input-cast", TORCH + "checks.py",
        'array.dtype != dtype:\n        raise TypeError(f"input', 'False:\n        raise TypeError(f"input',
        MODULE + "test_refused[double input]",
    ),
    Mutant(
        "conversion-draws-numbers", INTEROP,
        'device="meta")', 'device="cpu")',
        CONVERSION + "test_both_sides_are_independent[lstm]",
    ),
    Mutant(
        "another-forward-converted", INTEROP,
        "            if type(module).forward not in", "            if False and type(module).forward not in",
        CONVERSION + "test_modules_refused[other forward]",
    ),
    Mutant(
        "reset-form-lost", INTEROP,
        "        if options[option] != defaults[option]:", "        if False:",
        CONVERSION + "test_layers_refused[reset before]",
    ),
    Mutant(
        "tangents-lost", TORCH + "function.py",
        "any(map(has_tangent, tensors))", "torch.is_grad_enabled() and tensors[-1].requires_grad",
        MODULE + "test_forward_mode_is_refused[True]",
    ),
]  # fmt: skip
