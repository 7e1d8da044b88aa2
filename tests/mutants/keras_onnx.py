"""Planted faults in the conversions from and to Keras and ONNX."""

from __future__ import annotations

from mutant import Mutant

INTEROP = "src/fastrnn/interop/"
KERAS = "oracles/test_keras.py::"
ONNX = "oracles/test_onnx.py::"
BACKEND = "oracles/test_onnx_backend.py::"
MODELS = "oracles/test_onnx_models.py::"

KERAS_AND_ONNX = [
    Mutant(
        "onnx-indices-of-elements-stretched", INTEROP + "_onnx_operators.py",
        'places[node.get("axis", default=0)] = indices\n    return x[tuple(places)]',
        'return np.take_along_axis(x, indices, axis=node.get("axis", default=0))',
        ONNX + "test_gathered_elements_are_as_many_as_indices[shape0]",
    ),
    Mutant(
        "keras-low-rank-weights-passed-over", INTEROP + "_keras_parse.py",
        'if config.get("lora_rank"):', 'if config.get("lora_rang"):',
        KERAS + "test_low_rank_weights_are_refused",
    ),
    Mutant(
        "keras-training-in-a-call-passed-over", INTEROP + "_keras_parse.py",
        "    if options:\n", "    if len(options) > 9:\n",
        KERAS + "test_calls_in_training_are_refused",
    ),
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
    Mutant(
        "onnx-gates-in-torchs-order", INTEROP + "_onnx_recurrent.py",
        '"LSTM": [0, 2, 3, 1]', '"LSTM": [0, 1, 2, 3]',
        ONNX + "test_recurrent[lstm-forward-whole]",
    ),
    Mutant(
        "onnx-biases-exchanged", INTEROP + "_onnx_recurrent.py",
        'named["bias_ih"], named["bias_hh"] = np.split(B, 2)', 'named["bias_hh"], named["bias_ih"] = np.split(B, 2)',
        ONNX + "test_recurrent[gru-after-forward-whole]",
    ),
    Mutant(
        "onnx-padding-not-turned", INTEROP + "_onnx_recurrent.py",
        "mask=None if active is None else active[time]", "mask=active",
        ONNX + "test_recurrent[gru-before-reverse-sequence_lens]",
    ),
    Mutant(
        "onnx-outputs-stay-turned", INTEROP + "_onnx_recurrent.py",
        "return y[time], final", "return y, final",
        ONNX + "test_recurrent[rnn-reverse-whole]",
    ),
    Mutant(
        "onnx-length-0-keeps-its-state", INTEROP + "_onnx_recurrent.py",
        "        if sequence_lens is not None:\n            for", "        if sequence_lens is None:\n            for",
        ONNX + "test_recurrent[lstm-forward-sequence_lens]",
    ),
    Mutant(
        "onnx-state-not-batch-first", INTEROP + "_onnx_recurrent.py",
        "*(final.swapaxes(0, 1) for final in finals)", "*finals",
        BACKEND + "test_recurrent[test_gru_batchwise]",
    ),
    Mutant(
        "onnx-weights-of-the-first-run", INTEROP + "_onnx_recurrent.py",
        "if made is None or any(", "if made is None or not any(",
        ONNX + "test_float64_and_weights_that_are_computed",
    ),
    Mutant(
        "onnx-linear-before-reset-lost", INTEROP + "_onnx_write.py",
        'attributes["linear_before_reset"] = int(layer.reset_after)', "pass",
        ONNX + "test_to_onnx[gru-{}]",
    ),
    Mutant(
        "onnx-second-layers-state-lost", INTEROP + "_onnx_write.py",
        "*(parts[k] for parts in starts)", "*(parts[0] for parts in starts)",
        ONNX + "test_to_onnx[lstm-{'num_layers': 2}]",
    ),
    Mutant(
        "onnx-gather-along-the-first-axis", INTEROP + "_onnx_operators.py",
        'np.take(x, indices, axis=node.get("axis", default=0))', "np.take(x, indices, axis=0)",
        BACKEND + "test_others[test_gather_1]",
    ),
    Mutant(
        "onnx-softmax-over-one-axis", INTEROP + "_onnx_operators.py",
        "if node.version >= 13:", "if node.version >= 1:",
        ONNX + "test_softmax_before_version_13[Softmax]",
    ),
    Mutant(
        "onnx-division-downwards", INTEROP + "_onnx_operators.py",
        "(np.abs(a) // np.abs(b) * (np.sign(a) * np.sign(b)))", "(a // b)",
        BACKEND + "test_others[test_div_int32_trunc]",
    ),
    Mutant(
        "onnx-peepholes-in-onnx-order", INTEROP + "_onnx_recurrent.py",
        "PEEPHOLES = [0, 2, 1]", "PEEPHOLES = [0, 1, 2]",
        ONNX + "test_lstm_attributes[peepholes-forward-whole]",
    ),
    Mutant(
        "onnx-alphas-for-betas", INTEROP + "_onnx_recurrent.py",
        'for which in ("alpha", "beta")]', 'for which in ("beta", "alpha")]',
        ONNX + "test_activations[LSTM-Softsign]",
    ),
    Mutant(
        "onnx-one-layer-for-two-directions", INTEROP + "_onnx_recurrent.py",
        "together = D == 1 or self.options[0] == self.options[1]", "together = True",
        ONNX + "test_activations[GRU-Softsign]",
    ),
    Mutant(
        "onnx-clip-lost", INTEROP + "_onnx_write.py",
        'attributes["clip"] = layer.clip', "pass",
        ONNX + "test_options_to_onnx[gru]",
    ),
    Mutant(
        "keras-hard-sigmoid-as-onnx-has-it", INTEROP + "_keras_parse.py",
        '("hard_sigmoid", 1 / 6, 0.5)', '("hard_sigmoid", 0.2, 0.5)',
        KERAS + "test_activations[gru-elu-hard_sigmoid]",
    ),
    Mutant(
        "onnx-padding-in-the-mean", INTEROP + "_onnx_models.py",
        'graph.add("Div", [total, graph.cast(counts, graph.dtype)])',
        'graph.add("ReduceMean", [y], axes=[1], keepdims=0)',
        MODELS + "test_ragged[classifier-mean]",
    ),
    Mutant(
        "onnx-padding-among-the-largest", INTEROP + "_onnx_models.py",
        "np.array(-np.inf, graph.dtype)", "np.array(0, graph.dtype)",
        MODELS + "test_ragged[classifier-max]",
    ),
    Mutant(
        "onnx-state-of-the-lowest-layer", INTEROP + "_onnx_models.py",
        "for k in (L * D - D, L * D)", "for k in (0, D)",
        MODELS + "test_whole[classifier-last-plain]",
    ),
    Mutant(
        "onnx-features-scaled-in-float32", INTEROP + "_onnx_models.py",
        'graph.add("Sub", [graph.cast(x, FLOAT64), graph.constant(np.array(coder.scale.mean))])',
        'graph.add("Sub", [x, graph.constant(np.array(coder.scale.mean, graph.dtype))])\n'
        "    x = graph.cast(x, FLOAT64)",
        MODELS + "test_ragged[tagger-forward]",
    ),
    Mutant(
        "onnx-numbers-in-the-scale-of-training", INTEROP + "_onnx_models.py",
        "if model.target_scale_ is not None:", "if model.target_scale_ is None:",
        MODELS + "test_whole[regressor-last]",
    ),
    Mutant(
        "onnx-cell-state-through-tanh", INTEROP + "_onnx_models.py",
        'parts[0] = graph.add("Tanh", [parts[0]])', 'parts = [graph.add("Tanh", [part]) for part in parts]',
        MODELS + "test_numbers_of_encoder_and_decoder",
    ),
    Mutant(
        "onnx-context-without-tanh", INTEROP + "_onnx_models.py",
        'graph.add("Tanh", [add_dense(graph, context, model.context_)])', "add_dense(graph, context, model.context_)",
        MODELS + "test_language_model_with_contexts[vectors-lstm]",
    ),
]  # fmt: skip
