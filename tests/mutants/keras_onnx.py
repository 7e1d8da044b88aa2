"""Planted faults in the conversions from and to Keras and ONNX."""

from __future__ import annotations

from mutant import Mutant

INTEROP = "src/fastrnn/interop/"
KERAS = "oracles/test_keras.py::"

KERAS_AND_ONNX = [
    Mutant(
        "keras-gates-not-swapped", INTEROP + "_keras_weights.py",
        "np.concatenate([second, first, third], axis=-1)", "np.concatenate([first, second, third], axis=-1)",
        KERAS + "test_layer[gru-float32-bias-whole]",
    ),
    Mutant(
        "keras-bias-doubled", INTEROP + "_keras_weights.py",
        "np.stack([bias, np.zeros_like(bias)])", "np.stack([bias, bias])",
        KERAS + "test_layer[lstm-float32-bias-whole]",
    ),
    Mutant(
        "keras-second-bias-lost", INTEROP + "_keras_weights.py",
        "else both.sum(axis=0))", "else both[0])",
        KERAS + "test_to_keras[LSTM-options2-bias-forward]",
    ),
    Mutant(
        "keras-directions-exchanged", INTEROP + "_keras_source.py",
        '["forward_layer/cell", "backward_layer/cell"]', '["backward_layer/cell", "forward_layer/cell"]',
        KERAS + "test_bidirectional[gru-masked]",
    ),
    Mutant(
        "keras-mask-not-turned", INTEROP + "sequential.py",
        "mask if mask is None else mask[:, ::-1]) if", "mask) if",
        KERAS + "test_model[lstm-backwards]",
    ),
    Mutant(
        "keras-mask-turned-for-the-next", INTEROP + "sequential.py",
        "return y, mask  #", "return y, real  #",
        KERAS + "test_model[lstm-backwards]",
    ),
    Mutant(
        "keras-reverse-output-of-the-last-step", INTEROP + "sequential.py",
        "np.concatenate([y[:, -1, :H], y[:, 0, H:]], axis=1)", "y[:, -1]",
        KERAS + "test_model[lstm-bidirectional-last]",
    ),
    Mutant(
        "keras-padding-always-held", INTEROP + "_keras_parse.py",
        'pad = "zero" if config.get("zero_output_for_mask") else "hold"', 'pad = "hold"',
        KERAS + "test_model[gru-zeros]",
    ),
    Mutant(
        "keras-stacked-over-dropout", INTEROP + "_keras_parse.py",
        "all(other == rate for other in rates[1:])", "True",
        KERAS + "test_equal_layers_become_one_stack",
    ),
    Mutant(
        "keras-stacked-backwards", INTEROP + "_keras_parse.py",
        "and self.return_sequences and not self.go_backwards and not above.go_backwards", "and self.return_sequences",
        KERAS + "test_equal_layers_become_one_stack",
    ),
    Mutant(
        "keras-weights-before-checks", INTEROP + "keras.py",
        "        values.append(arrays)\n", "        values.append(arrays)\n        layer.load_state_dict(arrays)\n",
        KERAS + "test_weights_file",
    ),
    Mutant(
        "keras-own-masks-taken-for-keras", INTEROP + "_keras_parse.py",
        ", arguments[1]) not in made", ", 0) == made",
        KERAS + "test_functional_models_that_are_no_chain",
    ),
]  # fmt: skip
