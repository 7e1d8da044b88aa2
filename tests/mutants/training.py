"""Planted faults in the training loop, its checkpoints, language models of words and their commands."""

from __future__ import annotations

from mutant import Mutant

MODELS = "src/fastrnn/models/"
TRAIN = "src/fastrnn/train/"
PACKAGE = "src/fastrnn/"
RESUMED = "test_training.py::test_an_interrupted_training_resumes_with_the_same_bits"

TRAINING = [
    Mutant(
        "configuration-outweighs-what-is-given", PACKAGE + "cli_config.py",
        "{**defaults, **preset, **config, **{name: given[name] for name in defaults if name in given}}",
        "{**defaults, **preset, **{name: given[name] for name in defaults if name in given}, **config}",
        "test_cli_sequences.py::test_a_training_can_be_repeated_from_its_configuration[classify]",
    ),
    Mutant(
        "configurations-of-all-commands-are-taken", PACKAGE + "cli_config.py",
        "    if command_of(config) != command:\n", "    if False:\n",
        "test_cli_sequences.py::test_errors_are_one_line",
    ),
    Mutant(
        "resumed-command-begins-anew", PACKAGE + "cli_sequences.py",
        "verbose=0 if as_json else 1, resume=resume", "verbose=0 if as_json else 1",
        "test_cli_sequences.py::test_resume[forecast]",
    ),
    Mutant(
        "validation-losses-drawn-as-those-of-training", PACKAGE + "plot.py",
        "values = losses.get(kind, [])", 'values = losses["loss"]',
        "test_plot.py::test_losses_of_a_training",
    ),
    Mutant(
        "a-single-loss-not-seen", PACKAGE + "plot.py",
        'marker="." if len(values) <= DOTTED else ""', 'marker=""',
        "test_plot.py::test_losses_of_updates",
    ),
    Mutant(
        "configuration-of-a-refused-training-stays", PACKAGE + "cli_config.py",
        "            path.write_bytes(before)\n", "            pass\n",
        "test_cli.py::test_a_refused_training_leaves_the_configuration_of_the_one_before",
    ),
    Mutant(
        "step-schedule-an-epoch-early", TRAIN + "schedules.py",
        "over = at.epoch - 1 - (",
        "over = at.epoch - (",
        "test_training.py::test_schedules",
    ),
    Mutant(
        "plateau-never-counts-anew", TRAIN + "schedules.py",
        "factor, waited = factor * self.by, 0",
        "factor, waited = factor * self.by, waited",
        "test_training.py::test_plateau",
    ),
    Mutant(
        "best-weights-not-restored", TRAIN + "loop.py",
        "run.settle(best=options.patience is not None)",
        "run.settle(best=False)",
        "test_training.py::test_early_stopping_restores_the_best_weights",
    ),
    Mutant(
        "any-epoch-is-the-best", TRAIN + "loop.py",
        "if validation < min(self.losses, default=math.inf):",
        "if True:",
        "test_training.py::test_ctrl_c_keeps_the_best",
    ),
    Mutant(
        "ctrl-c-keeps-the-last", TRAIN + "loop.py",
        "        run.settle(best=True)\n",
        "        run.settle(best=False)\n",
        "test_training.py::test_ctrl_c_keeps_the_best",
    ),
    Mutant(
        "average-not-taken-back", TRAIN + "averaging.py",
        "            put_weights(model, own)\n",
        "            pass\n",
        "test_training.py::test_the_average_is_what_is_evaluated_and_kept",
    ),
    Mutant(
        "average-share-of-the-wrong-part", TRAIN + "averaging.py",
        "else 1.0 - self.decay",
        "else self.decay",
        "test_training.py::test_exponential_average",
    ),
    Mutant(
        "asgd-triggered-by-recent-losses", TRAIN + "averaging.py",
        "losses[: -1 - NON_MONOTONE]",
        "losses[:-1]",
        "test_training.py::test_non_monotonically_triggered_average",
    ),
    Mutant(
        "checkpoint-without-carried-state", TRAIN + "checkpoints.py",
        'arrays_in(tensors, "best"), arrays_in(tensors, "carried")',
        'arrays_in(tensors, "best"), {}',
        RESUMED + "[adam]",
    ),
    Mutant(
        "checkpoint-without-optimizer", TRAIN + "checkpoints.py",
        '        run.optimizer.load_state_dict({**training["optimizer"], "state": arrays_in(tensors, "optimizer")})\n',
        "",
        RESUMED + "[adam]",
    ),
    Mutant(
        "checkpoint-without-best", TRAIN + "checkpoints.py",
        'run.best, run.carried = arrays_in(tensors, "best"), ',
        "run.best, run.carried = {}, ",
        RESUMED + "[patience]",
    ),
    Mutant(
        "checkpoint-without-average", TRAIN + "checkpoints.py",
        'run.average.count, run.average.weights = training["averaged"], ',
        'run.average.count, run.average.weights = training["averaged"] and 1, ',
        RESUMED + "[asgd]",
    ),
    Mutant(
        "checkpoint-of-other-data", TRAIN + "checkpoints.py",
        'if training["data"] != run.task.fingerprint():',
        "if False:",
        "test_training.py::test_what_does_not_belong_together_is_not_mixed",
    ),
    Mutant(
        "resumed-epoch-from-its-start", MODELS + "language.py",
        "range(done * T, inputs.shape[1], T)",
        "range(0, inputs.shape[1], T)",
        RESUMED + "[gru]",
    ),
    Mutant(
        "oldest-checkpoints-stay", TRAIN + "checkpoints.py",
        "self.files()[: -self.keep]",
        "self.files()[self.keep :]",
        "test_training.py::test_the_last_checkpoints_stay_and_are_models",
    ),
    Mutant(
        "words-cut-between-blocks", MODELS + "_text.py",
        'if self.level == "word" else len(rest)',
        "if False else len(rest)",
        "test_language_words.py::test_a_text_is_the_same_however_it_comes[5-word]",
    ),
    Mutant(
        "sum-over-time-is-a-mean", MODELS + "_window.py",
        'reduction="time_sum" if summed else "mean"',
        'reduction="mean"',
        "test_language_words.py::test_reading_a_window_as_a_sum_over_time",
    ),
    Mutant(
        "output-dropout-of-another-mask", MODELS + "_window.py",
        "dh = self._drop(dtop, self.output_dropout, count, ",
        "dh = self._drop(dtop, self.output_dropout, count + 1, ",
        "oracles/test_models_torch.py::test_every_kind_of_model[dropout-float64]",
    ),
    Mutant(
        "temporal-penalty-one-sided", MODELS + "_window.py",
        "        gradient[:, :-1] -= change\n",
        "",
        "oracles/test_models_torch.py::test_every_kind_of_model[penalties-float64]",
    ),
    Mutant(
        "unknown-word-written", MODELS + "language.py",
        "            logits[:, self.vocabulary_.unknown] = -np.inf\n",
        "",
        "test_language_model.py::test_the_unknown_symbol_is_never_sampled",
    ),
    Mutant(
        "nucleus-one-short", MODELS + "_drawing.py",
        "cumulative[: 1 + np.searchsorted(cumulative, top_p * cumulative[-1])]",
        "cumulative[: max(1, np.searchsorted(cumulative, top_p * cumulative[-1]))]",
        "test_language_words.py::test_nucleus[0.8-3]",
    ),
    Mutant(
        "context-through-no-tanh", MODELS + "_context.py",
        "(1 - self.values**2)",
        "1.0",
        "test_language_context.py::test_gradients_are_those_of_finite_differences[lstm-mean]",
    ),
    Mutant(
        "context-halves-of-the-state-exchanged", MODELS + "_context.py",
        "parts.transpose(2, 0, 1, 3)",
        "parts[::-1].transpose(2, 0, 1, 3)",
        "test_language_context.py::test_gradients_are_those_of_finite_differences[lstm-time_sum]",
    ),
    Mutant(
        "texts-in-one-order", MODELS + "_context.py",
        "np.random.default_rng([self._order, number])",
        "np.random.default_rng([self._order, done])",
        "test_language_context.py::test_saved_and_resumed",
    ),
    Mutant(
        "configuration-loses-to-the-preset", PACKAGE + "cli_config.py",
        "getattr(preset, part), config.get(part, {}))", "getattr(preset, part), {})",
        "test_cli.py::test_a_training_can_be_repeated_from_its_configuration",
    ),
]  # fmt: skip
