"""Planted faults in the models of sequences: data, heads, decoding, and their commands."""

from __future__ import annotations

from mutant import Mutant

MODELS = "src/fastrnn/models/"
TEST = "test_sequence_models.py::"
DECODER = "test_encoder_decoder.py::"

SEQUENCE_MODELS = [
    Mutant(
        "resume-names-what-is-there", "src/fastrnn/cli_language.py",
        "[name for name in needed if name not in config]", "[name for name in needed if name in config]",
        "test_cli_sequences.py::test_errors_are_one_line",
    ),
    Mutant(
        "resumed-model-goes-where-one-stands", "src/fastrnn/cli_language.py",
        "os.path.join(os.path.dirname(path), os.path.basename(", "os.path.join(\"\", str(",
        "test_cli_sequences.py::test_resume[classify]",
    ),
    Mutant(
        "edited-values-are-not-looked-at", "src/fastrnn/cli_config.py",
        "            if option.name in values:\n", "            if False:\n",
        "test_cli_sequences.py::test_edited_configurations[steps = -3]",
    ),
    Mutant(
        "ids-of-held-out-rows-are-not-known", "src/fastrnn/cli_sequences.py",
        "vocabulary_size(X, lengths, path), **", "vocabulary_size(X, lengths, path) and None, **",
        "test_cli_sequences.py::test_ids_that_are_held_out_alone",
    ),
    Mutant(
        "rows-without-label-are-a-class", "src/fastrnn/cli_sequences.py",
        "        if not cell.strip():\n", "        if cell is None:\n",
        "test_cli_sequences.py::test_errors_are_one_line",
    ),
    Mutant(
        "other-classes-at-a-later-call", MODELS + "_sequence.py",
        "if classes is not None and not np.array_equal(", "if False and not np.array_equal(",
        TEST + "test_partial_fit_knows_classes_that_come_later[tagger]",
    ),
    Mutant(
        "column-twice-is-taken", "src/fastrnn/cli_sequences.py",
        "len(set(rows[0])) < len(rows[0])", "len(set(rows[0])) > len(rows[0])",
        "test_cli_sequences.py::test_errors_are_one_line",
    ),
    Mutant(
        "labels-fewer-than-rows-named-as-others", "src/fastrnn/cli_sequences.py",
        "one of {name} for each row of X", "one of X for each row of {name}",
        "test_cli_sequences.py::test_errors_are_one_line",
    ),
    Mutant(
        "targets-of-another-width-are-scored", MODELS + "regressor.py",
        "        self._check_width(targets)\n        outputs, true", "        outputs, true",
        TEST + "test_scores_refuse_targets_of_another_width",
    ),
    Mutant(
        "last-state-of-the-first-layer", MODELS + "_pooling.py",
        "return h[-D:].swapaxes(0, 1)", "return h[:D].swapaxes(0, 1)",
        TEST + "test_last_state_of_both_directions",
    ),
    Mutant(
        "gradient-of-the-mean-over-padding", MODELS + "_pooling.py",
        "(1 / np.maximum(lengths, 1))", "(1 / np.full(len(y), max(y.shape[1], 1)))",
        TEST + "test_each_sequence_is_predicted_as_if_alone[classifier mean]",
    ),
    Mutant(
        "largest-of-the-padding-too", MODELS + "_pooling.py",
        "np.where(real[..., None], y, -np.inf)", "np.where(True, y, -np.inf)",
        TEST + "test_each_sequence_is_predicted_as_if_alone[classifier max]",
    ),
    Mutant(
        "rows-lost-from-batches", MODELS + "_batches.py",
        "for start in range(0, len(pool), batch_size)]", "for start in range(0, len(pool) - 9, batch_size)]",
        TEST + "test_batches_hold_each_row_once_and_little_padding",
    ),
    Mutant(
        "batches-not-by-length", MODELS + "_batches.py",
        'pool[np.argsort(lengths[pool], kind="stable")] for pool in pools', "pool for pool in pools",
        TEST + "test_batches_hold_each_row_once_and_little_padding",
    ),
    Mutant(
        "the-same-order-in-every-epoch", MODELS + "_sequence.py",
        "np.random.default_rng([self._order, number])", "np.random.default_rng([self._order, 1])",
        TEST + "test_every_epoch_has_another_order",
    ),
    Mutant(
        "dropout-not-in-the-gradient", MODELS + "_stack.py",
        "dh if kept is None else dh * kept", "dh",
        TEST + "test_gradients[tagger of features]",
    ),
    Mutant(
        "loss-of-padded-tags", MODELS + "tagger.py",
        "targets, IGNORED)", "targets, 0)",
        TEST + "test_tagger_loss_is_of_real_steps",
    ),
    Mutant(
        "numbers-for-labels", MODELS + "classifier.py",
        "return self.classes_[logits.argmax(axis=1)]", "return logits.argmax(axis=1)",
        TEST + "test_labels_of_any_kind[labels0]",
    ),
    Mutant(
        "scale-lost-in-file", MODELS + "_coder.py",
        'None if record["scale"] is None else Scale(**record["scale"])', "None",
        TEST + "test_files_copies_and_parameters[classifier of both]",
    ),
    Mutant(
        "forecast-starts-from-nothing", MODELS + "regressor.py",
        "        stream.state = state\n", "",
        TEST + "test_forecast_feeds_predictions_back[1-None]",
    ),
    Mutant(
        "targets-not-unscaled", MODELS + "_coder.py",
        "return x * np.array(self.deviation) + np.array(self.mean)", "return x",
        TEST + "test_regressor_standardizes",
    ),
    Mutant(
        "new-optimizer-in-each-call", MODELS + "_sequence.py",
        'if type(getattr(self, "optimizer_", None)) is not OPTIMIZERS[optimizer]:', "if True:",
        TEST + "test_partial_fit_keeps_its_optimizer",
    ),
    Mutant(
        "dropout-of-a-language-model-stays", MODELS + "language.py",
        "                renew_dropout(self, self.recurrent_)\n", "",
        "test_language_words.py::test_partial_training_drops_as_the_parameters_say",
    ),
    Mutant(
        "name-of-a-file-taken-in-silence", MODELS + "_text.py",
        "and os.path.isfile(given):", "and False:",
        "test_language_words.py::test_the_name_of_a_file_is_no_path",
    ),
    Mutant(
        "options-hidden-from-help", "src/fastrnn/layers/_cells.py",
        "parameters=[*own, *options])", "parameters=own)",
        "test_layers.py::test_signatures_name_all_arguments[LSTM]",
    ),
    Mutant(
        "dropout-between-layers-stays", MODELS + "_sequence.py",
        "                renew_dropout(self, layer)", "                pass",
        TEST + "test_partial_fit_drops_as_the_parameters_say[classifier]",
    ),
    Mutant(
        "failed-fit-of-sequences-not-undone", MODELS + "_sequence.py",
        "                examples = self._cut(examples, check_size(sequence_length, \"sequence_length\"))\n"
        "            self._train(examples, None if validation is None else self._held_out(validation), N, options)\n"
        "        except BaseException:\n            self.__dict__ = before\n",
        "                examples = self._cut(examples, check_size(sequence_length, \"sequence_length\"))\n"
        "            self._train(examples, None if validation is None else self._held_out(validation), N, options)\n"
        "        except BaseException:\n            pass\n",
        TEST + "test_after_an_error_a_model_is_as_before[fitted-<lambda>2]",
    ),
    Mutant(
        "bridge-without-its-slope", MODELS + "encoder_decoder.py",
        "dh * (1 - h**2)", "dh",
        DECODER + "test_gradients[gru stack]",
    ),
    Mutant(
        "stop-symbol-not-learned", MODELS + "encoder_decoder.py",
        "        write[np.arange(n), lengths] = self.stop_\n", "",
        DECODER + "test_loss[lstm]",
    ),
    Mutant(
        "beams-with-states-of-others", MODELS + "encoder_decoder.py",
        "            if parents is not None:\n", "            if False:\n",
        DECODER + "test_a_narrow_beam[3-0.0]",
    ),
    Mutant(
        "decoder-streams-without-its-source", MODELS + "encoder_decoder.py",
        "        stream.state = self._initial(self._encode(given, np.arange(len(given))))\n", "",
        DECODER + "test_stream[gru stack]",
    ),
    Mutant(
        "beams-compete-by-odds-alone", MODELS + "_beam.py",
        "np.repeat(length**power, V, axis=1)", "1.0",
        DECODER + "test_a_wide_beam_finds_the_best_of_all_strings[2.0]",
    ),
    Mutant(
        "ended-beams-go-on", MODELS + "_beam.py",
        "        odds[ended] = -np.inf\n        odds[ended, stop] = 0\n", "",
        DECODER + "test_a_wide_beam_finds_the_best_of_all_strings[0.0]",
    ),
    Mutant(
        "unknown-symbols-written", MODELS + "_beam.py",
        "            odds[..., forbidden] = -np.inf\n", "            pass\n",
        DECODER + "test_beams_of_a_table",
    ),
    Mutant(
        "huber-without-its-corner", "src/fastrnn/losses.py",
        "np.clip(difference, -delta, delta)", "difference",
        TEST + "test_losses_are_of_the_name[huber]",
    ),
    Mutant(
        "forecast-command-trains-on-the-end", "src/fastrnn/cli_sequences.py",
        "None if path.endswith(\".npy\") else names, [past])", "None if path.endswith(\".npy\") else names, [series])",
        "test_cli_sequences.py::test_forecast",
    ),
    Mutant(
        "held-out-rows-trained-on", "src/fastrnn/cli_sequences.py",
        "part(rows), part(others)", "part(np.append(rows, others)), part(others)",
        "test_cli_sequences.py::test_classify_is_what_the_model_does",
    ),
    Mutant(
        "rare-labels-held-out", "src/fastrnn/cli_sequences.py",
        "(others if labels[row] in known else rows)", "others",
        "test_cli_sequences.py::test_a_rare_label_is_trained_on",
    ),
    Mutant(
        "columns-as-they-stand", "src/fastrnn/cli_sequences.py",
        "chosen = known or columns", "chosen = columns",
        "test_cli_sequences.py::test_a_model_reads_the_columns_of_its_training",
    ),
    Mutant(
        "pooling-of-another-fit", MODELS + "_stack.py",
        "POOLINGS[self._pooling](y, state, lengths)[0]", "POOLINGS[self.pooling](y, state, lengths)[0]",
        TEST + "test_parameters_that_are_set_wait_for_the_next_fit[regressor]",
    ),
]  # fmt: skip
