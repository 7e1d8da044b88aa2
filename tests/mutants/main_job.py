"""Planted faults in the language model, its files and the command line."""

from __future__ import annotations

from mutant import Mutant

MODELS = "src/fastrnn/models/"
TRAIN = "src/fastrnn/train/"
PACKAGE = "src/fastrnn/"

MAIN_JOB = [
    Mutant(
        "training-state-not-carried", MODELS + "language.py",
        "inputs[window], targets[window], state, summed)",
        "inputs[window], targets[window], None, summed)",
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[lstm-short windows]",
    ),
    Mutant(
        "last-window-dropped", MODELS + "language.py",
        "range(done * T, inputs.shape[1], T)",
        "range(done * T, inputs.shape[1] - T + 1, T)",
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[gru-short windows]",
    ),
    Mutant(
        "targets-not-shifted", MODELS + "_window.py",
        "for part in (ids[:-1], ids[1:])",
        "for part in (ids[:-1], ids[:-1])",
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[rnn-full]",
    ),
    Mutant(
        "streams-interleaved", MODELS + "_window.py",
        ".reshape(N, length) for part",
        ".reshape(length, N).T for part",
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[lstm-full]",
    ),
    Mutant(
        "tied-gradient-lost", MODELS + "_window.py",
        'grads["embedding"]["weight"] += output.pop("weight")',
        'output.pop("weight")',
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[tied-full]",
    ),
    Mutant(
        "tied-gradient-summed-after-clipping", MODELS + "_window.py",
        'if "weight" in output and ',
        "if False and ",
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[tied-full]",
    ),
    Mutant(
        "evaluation-state-not-carried", MODELS + "language.py",
        "h, state = self._read(inputs[window], state)",
        "h, state = self._read(inputs[window], None)",
        "test_language_model.py::test_score_does_not_depend_on_how_the_text_is_cut[5]",
    ),
    Mutant(
        "evaluation-mean-over-all-characters", MODELS + "language.py",
        "return total / inputs.size",
        "return total / (inputs.size + 1)",
        "test_language_model.py::test_score_is_the_mean_log_likelihood[lstm]",
    ),
    Mutant(
        "sampling-state-not-carried",
        MODELS + "language.py",
        "            stream.state = state\n",
        "            pass\n",
        "test_language_model.py::test_sampling_the_likeliest[options0]",
    ),
    Mutant(
        "temperature-multiplies", MODELS + "_drawing.py",
        "np.exp(z[ids] / temperature)",
        "np.exp(z[ids] * temperature)",
        "test_language_model.py::test_draws_follow_the_odds[0.5-None]",
    ),
    Mutant(
        "top-k-least-likely", MODELS + "_drawing.py",
        'np.argsort(-z, kind="stable")',
        'np.argsort(z, kind="stable")',
        "test_language_model.py::test_draws_follow_the_odds[2.0-3]",
    ),
    Mutant(
        "failed-fit-not-undone", MODELS + "language.py",
        "                self._train(source, held_out, windows, options, None)\n"
        "        except BaseException:\n            self.__dict__ = before\n",
        "                self._train(source, held_out, windows, options, None)\n"
        "        except BaseException:\n            pass\n",
        "test_language_model.py::test_a_diverged_training_stops[None]",
    ),
    Mutant(
        "seed-not-used", MODELS + "language.py",
        "rng = generator(self.random_state)",
        "rng = generator(None)",
        "test_language_model.py::test_the_same_seed_gives_the_same_bits[lstm]",
    ),
    Mutant(
        "sampling-ignores-its-seed", MODELS + "language.py",
        "self.random_state_ if random_state is None else generator(random_state)",
        "self.random_state_",
        "test_language_model.py::test_sampling_is_reproducible",
    ),
    Mutant(
        "vocabulary-unknown-taken-for-known", MODELS + "_characters.py",
        "np.where(known[places] == codes, places, len(known))",
        "np.where(known[places] <= codes, places, len(known))",
        "test_language_model.py::test_vocabulary",
    ),
    Mutant(
        "rate-decays-too-late", TRAIN + "loop.py",
        "        self.optimizer.lr = self.options.learning_rate * self.options.rule.factor(moment)\n"
        "        self.optimizer.step(update.gradients)\n",
        "        self.optimizer.step(update.gradients)\n"
        "        self.optimizer.lr = self.options.learning_rate * self.options.rule.factor(moment)\n",
        "test_language_model.py::test_rates[Adam-linear-expected1]",
    ),
    Mutant(
        "not-clipped", TRAIN + "loop.py",
        "0.0 if self.options.clip_norm is None else optim.clip_grad_norm(grads, self.options.clip_norm)",
        "0.0",
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[gru-full]",
    ),
    Mutant(
        "history-unweighted", TRAIN + "loop.py",
        "update.loss * update.units",
        "update.loss * 21",
        "test_language_model.py::test_training_is_truncated_bptt_with_carried_state[gru-long windows]",
    ),
    Mutant(
        "nan-not-noticed", TRAIN + "loop.py",
        "if not math.isfinite(update.loss + norm):",
        "if False:",
        "test_language_model.py::test_a_diverged_training_stops[None]",
    ),
    Mutant(
        "trigram-weights-from-seen-text", MODELS + "ngram.py",
        "self._frequencies(ids[cut:])",
        "self._frequencies(ids[:cut])",
        "test_language_model.py::test_trigrams_learn_from_the_end_of_the_text",
    ),
    Mutant(
        "trigram-counts-of-a-part", MODELS + "ngram.py",
        "        self._count(ids)\n        return self",
        "        return self",
        "test_language_model.py::test_trigram_odds_are_those_of_the_formula",
    ),
    Mutant(
        "trigram-context-counts-the-end", MODELS + "ngram.py",
        "Counts(grams(ids[:-1], order, V))",
        "Counts(grams(ids, order, V))",
        "test_language_model.py::test_trigram_odds_are_those_of_the_formula",
    ),
    Mutant(
        "trigram-no-fallback", MODELS + "ngram.py",
        "np.where(contexts > 0, counts / np.maximum(contexts, 1), shorter)",
        "counts / np.maximum(contexts, 1)",
        "test_language_model.py::test_trigram_odds_are_those_of_the_formula",
    ),
    Mutant(
        "saved-without-random-state", MODELS + "language.py",
        '        self.random_state_.bit_generator.state = fitted["random_state"]\n',
        "",
        "test_serialization.py::test_language_models[lstm]",
    ),
    Mutant(
        "saved-without-dropout-count", PACKAGE + "serialization.py",
        'int(record["dropout_seed"]), int(record["forward_count"])',
        'int(record["dropout_seed"]), 0',
        "test_serialization.py::test_dropout_continues_with_the_same_masks",
    ),
    Mutant(
        "saved-without-dropout-seed", PACKAGE + "serialization.py",
        'layer._dropout_seed, layer.forward_count = int(record["dropout_seed"]), ',
        '_, layer.forward_count = int(record["dropout_seed"]), ',
        "test_serialization.py::test_recurrent_layers[lstm-unseeded]",
    ),
    Mutant(
        "tie-lost-in-file", PACKAGE + "serialization.py",
        '                record["tied"] = name\n',
        "                pass\n",
        "test_serialization.py::test_tied_weights_stay_tied",
    ),
    Mutant(
        "temporary-file-left", PACKAGE + "serialization.py",
        "                os.unlink(temporary)\n",
        "                pass\n",
        "test_serialization.py::test_a_file_is_replaced_whole_or_not_at_all",
    ),
    Mutant(
        "version-not-checked", PACKAGE + "serialization.py",
        "if version != VERSION:",
        "if False:",
        "test_serialization.py::test_an_unknown_version[2]",
    ),
    Mutant(
        "files-without-text-not-named", PACKAGE + "cli_language.py",
        "    if not any((*first, *last)):\n", "    if False:\n",
        "test_cli.py::test_errors_are_one_line",
    ),
    Mutant(
        "held-out-part-trained-on", PACKAGE + "cli_language.py",
        "        first.append(text[:cut])\n",
        "        first.append(text)\n",
        "test_cli.py::test_each_file_is_held_out_at_its_end",
    ),
    Mutant(
        "ctrl-c-exit-code", PACKAGE + "cli.py",
        "        return 130\n",
        "        return 0\n",
        "test_cli.py::test_ctrl_c[3-0]",
    ),
]  # fmt: skip
