"""The commands of language models: train, resume, sample, evaluate."""

from __future__ import annotations

import argparse
import math
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastrnn
from fastrnn import cli_sequences
from fastrnn._toml import read_toml
from fastrnn.cli_common import (
    CELLS,
    above_zero,
    fraction,
    from_zero,
    number,
    one_line_warnings,
    positive,
    print_json,
    print_text,
    seed,
)
from fastrnn.cli_config import (
    CHECKPOINT_OPTIONS,
    Option,
    Options,
    check_output,
    command_of,
    config_path,
    read_config,
    written_config,
)

if TYPE_CHECKING:
    from fastrnn.models import LanguageModel
    from fastrnn.train import Epoch

TRAIN = """\
Train a language model on text files (UTF-8) and save it. The last part of each file is held out, unless --valid names
files for that; the first parts are joined, in the order given, and read again in each epoch by truncated
back-propagation through time. What is held out is evaluated after each epoch and never trained on.
Ctrl-C ends the training; what did best so far is saved if the text was read once.
Beside MODEL stands its configuration, MODEL with the ending .toml: --config repeats it, with the same bits."""

TRAIN_EXAMPLES = """\
examples:
  fastrnn train book.txt -o book.safetensors
  fastrnn train *.txt --cell gru --hidden-size 512 --epochs 20
  fastrnn train small.txt --layers 2 --dropout 0.3 --embedding 64 --learning-rate 0.001
  fastrnn train --level word --preset zaremba-small --train ptb.train.txt --valid ptb.valid.txt --test ptb.test.txt
  fastrnn train long.txt --checkpoint folder --checkpoint-every 1000
  fastrnn train --config book.toml -o again.safetensors"""

RESUME = """\
Go on with a training that was interrupted, from the last of its checkpoints: the result has the same bits as if
nothing had happened. The training must have been started with --checkpoint."""

RESUME_EXAMPLES = """\
examples:
  fastrnn train long.txt -o long.safetensors --checkpoint folder
  fastrnn resume long.safetensors
  fastrnn classify names.csv -o names.safetensors --checkpoint other
  fastrnn resume names.safetensors"""

SAMPLE = """\
Let a trained model write text. Without --seed it writes something else each time."""

SAMPLE_EXAMPLES = """\
examples:
  fastrnn sample book.safetensors --prompt "It was"
  fastrnn sample book.safetensors --length 2000 --temperature 0.7 --seed 1
  fastrnn sample book.safetensors --top-k 1                 always the likeliest symbol
  fastrnn sample book.safetensors --top-p 0.9 --stop . --count 5"""

EVALUATE = """\
Say how well a model predicts each of some text files: the mean loss of a symbol in nats, the perplexity, and for
characters the bits. A file is read as one stream, each symbol predicted from all those before it."""

EVALUATE_EXAMPLES = """\
examples:
  fastrnn evaluate book.safetensors other.txt
  fastrnn evaluate words.safetensors ptb.test.txt --batch-size 20 --json"""


def float_or_name(*names: str) -> Callable[[str], Any]:
    """Return a type for argparse: one of some names, or a number."""
    return number(
        lambda text: text if text in names else float(text),
        lambda value: value in names or value >= 0,
        f"{', '.join(names)} or a number",
    )


DATA_OPTIONS = [
    Option("-o --output", "output", "model.safetensors", str, "where to save", "MODEL"),
    Option("--held-out", "held_out", 0.1, fraction, "held out of each file", "PART"),
]
MODEL_OPTIONS = [
    Option("--level", "level", "char", ["char", "word"], "what the text is cut into"),
    Option("--cell", "cell", "lstm", CELLS, "the recurrent layers"),
    Option("--hidden-size", "hidden_size", 256, positive, "units in each layer", "H"),
    Option("--layers", "num_layers", 2, positive, "how many", "L"),
    Option("--embedding", "embedding_size", None, positive, "size of an embedding; without it input is one-hot", "E"),
    Option("--tied", "tied", False, bool, "the output weights are the embedding's"),
    Option("--dropout", "dropout", 0.0, fraction, "between layers", "P"),
    Option("--input-dropout", "input_dropout", 0.0, fraction, "on the embedding's output", "P"),
    Option("--output-dropout", "output_dropout", 0.0, fraction, "on the last layer's output", "P"),
    Option("--recurrent-dropout", "recurrent_dropout", 0.0, fraction, "on what recurrent weights read", "P"),
    Option("--embedding-dropout", "embedding_dropout", 0.0, fraction, "of whole rows of the embedding", "P"),
    Option("--activation-penalty", "activation_penalty", 0.0, from_zero, "on the outputs' size", "X"),
    Option("--temporal-penalty", "temporal_penalty", 0.0, from_zero, "on the outputs' change in time", "X"),
    Option("--max-vocab", "max_vocab", None, positive, "keep only the N most frequent symbols", "N"),
    Option("--init", "init", "default", float_or_name("default", "torch"), "initial values; a number B: U(-B, B)", "B"),
    Option("--forget-bias", "forget_bias", None, float, "where an LSTM's or MinLSTM's forget gates start", "B"),
    Option("--dtype", "dtype", "float32", ["float32", "float64"], "precision"),
    Option("--seed", "random_state", 0, seed, "of initial values and dropout", "SEED"),
]
FIT_OPTIONS = [
    Option("--epochs", "epochs", 10, positive, "times the text is read", "N"),
    Option("--batch-size", "batch_size", 16, positive, "streams side by side", "N"),
    Option("--sequence-length", "sequence_length", 64, positive, "symbols through which gradients flow", "T"),
    Option("--optimizer", "optimizer", "adam", ["adam", "adamw", "rmsprop", "adagrad", "sgd"], "update rule"),
    Option("--learning-rate", "learning_rate", 4e-3, above_zero, "at the start", "LR"),
    Option(
        "--schedule", "schedule", "linear", ["linear", "cosine", "constant", "step", "plateau", "warmup"],
        "how the rate changes; linear and cosine fall to 0",
    ),
    Option("--clip-norm", "clip_norm", 1.0, from_zero, "largest norm of all gradients together, 0 for any", "NORM"),
    Option("--clip-value", "clip_value", None, above_zero, "largest number in a gradient", "X"),
    Option("--reduction", "reduction", "mean", ["mean", "time_sum"], "of the loss over the steps of a window"),
    Option("--patience", "patience", None, positive, "stop after N epochs that do no better, keep the best", "N"),
    Option(
        "--averaging", "averaging", None, float_or_name("nt-asgd"), "of the weights: nt-asgd, or a decay such as 0.999",
        "RULE",
    ),
    Option("--validation-batch-size", "validation_batch_size", 1, positive, "streams in evaluation", "N"),
    *CHECKPOINT_OPTIONS,
]  # fmt: skip
OPTIONS = Options("train", {"train": list, "valid": list, "test": list}, DATA_OPTIONS, MODEL_OPTIONS, FIT_OPTIONS)
PARTNERS = {"optimizer": "optimizer_options", "cell": "forget_bias"}  # what makes sense for one of its values alone


def train(arguments: argparse.Namespace) -> None:
    """Train a model and save it."""
    run_training(configuration(arguments), arguments.json, resume=False)


def resume(arguments: argparse.Namespace) -> None:
    """Go on with a training from its last checkpoint."""
    path = config_path(arguments.model)
    config = read_toml(path)
    runs: dict[str, tuple[Options, Callable[..., None], tuple[str, ...]]] = {
        "train": (OPTIONS, run_training, ("train", "valid", "test", "output")),
        "classify": (cli_sequences.CLASSIFY_OPTIONS, cli_sequences.run_classify, ("file", "output")),
        "forecast": (cli_sequences.FORECAST_OPTIONS, cli_sequences.run_forecast, ("file", "steps", "output")),
    }
    if command_of(config) not in runs:
        raise ValueError(f"{path} must be of {', '.join(runs)}, got {command_of(config)!r}")
    options, run, needed = runs[command_of(config)]
    options.check(config, path)
    if "checkpoint" not in config.get("fit", {}):
        raise ValueError(f"{path} is of a training without checkpoints: start it with --checkpoint FOLDER")
    lacking = [name for name in needed if name not in config]
    if lacking:
        raise ValueError(f"{path} must have {', '.join(needed)}, and lacks {', '.join(lacking)}")
    config["output"] = os.path.join(os.path.dirname(path), os.path.basename(config["output"]))  # wherever one is now
    run(options.configuration(argparse.Namespace(), config), arguments.json, resume=True)


def configuration(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all that decides about a training, its files included."""
    from fastrnn.models.presets import PRESETS

    before = read_config(arguments.config, OPTIONS)
    preset = None if arguments.preset is None else PRESETS[arguments.preset]
    config = OPTIONS.configuration(arguments, before, preset)
    settings = {**config["model"], **config["fit"]}
    if preset is not None:
        check_partners(f"--preset {arguments.preset}", {**preset.model, **preset.fit}, settings)
    check_partners(f"--config {arguments.config}", {**before.get("model", {}), **before.get("fit", {})}, settings)
    files = {"train": [*arguments.files, *arguments.train], "valid": arguments.valid, "test": arguments.test}
    for kind, paths in files.items():
        config[kind] = [os.path.abspath(path) for path in paths or config.get(kind, [])]
    config["fit"]["clip_norm"] = config["fit"]["clip_norm"] or 0  # TOML knows no None
    if not config["train"]:
        arguments.usage_error("no text to train on: name a file")
    return config


def check_partners(source: str, known: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse an option that does not go with what a preset or a configuration sets besides."""
    for name, partner in PARTNERS.items():
        kept = known.get(partner) and settings[partner] == known[partner]
        if kept and known.get(name, settings[name]) != settings[name]:
            raise ValueError(
                f"{source} sets {partner}={known[partner]} for --{name} {known[name]}, "
                f"which --{name} {settings[name]} does not take: leave one of the two out"
            )


def run_training(config: dict[str, Any], as_json: bool, resume: bool) -> None:
    """Train as a configuration says, save the model, and report."""
    from fastrnn.models import LanguageModel

    output, texts = config["output"], [*config["train"], *config["valid"], *config["test"]]
    check_output(output, texts)
    model = LanguageModel(**config["model"])
    level = config["model"]["level"]
    text, held_out = read_texts(config["train"], 0 if config["valid"] else config["held_out"], level)
    validation = text_of(config["valid"], level) if config["valid"] else held_out or None
    test = [text_of([path], level) for path in config["test"]]
    say = (lambda text: None) if as_json else print_text
    if held_out:
        words = "words" if level == "word" else "characters"
        say(f"{size_of(text, level):,} {words} to train on, {size_of(held_out, level):,} held out")
    fit = {**config["fit"], "clip_norm": config["fit"]["clip_norm"] or None}
    with one_line_warnings(), nullcontext() if resume else written_config(config):
        callbacks = [] if as_json else [Table(level, "held out" if held_out else "validation").row]
        model.fit(text, validation, **fit, callbacks=callbacks, resume=resume)
        if model.history_["loss"]:  # after Ctrl-C too, but not at once
            fastrnn.save(model, output)
            say(f"saved {output}")
    tests = [evaluation(model, part, 1) for part in test]
    for path, found in zip(config["test"], tests, strict=True):
        say(f"test {measure(level)} {found[measure(level).replace(' ', '_')]:.3f}  {path}")
    if as_json:
        report = {"model": output, "config": config_path(output), "history": model.history_}
        print_json({**report, "test": dict(zip(config["test"], tests, strict=True))})


def sample(arguments: argparse.Namespace) -> None:
    """Print text that a model writes."""
    model = load_language_model(arguments.model)
    chosen = secrets.randbits(64) if arguments.seed is None else arguments.seed
    texts = model.generate(
        arguments.length, [arguments.prompt] * arguments.count, arguments.temperature, arguments.top_k, chosen,
        top_p=arguments.top_p, stop=arguments.stop,
    )  # fmt: skip
    if arguments.json:
        print_json({"prompt": arguments.prompt, "texts": texts, "seed": chosen})
        return
    for text in texts:
        apart = model.vocabulary_.level == "word" and not (arguments.prompt[-1:].isspace() or text[:1].isspace())
        print_text(arguments.prompt + (" " if apart and arguments.prompt else "") + text)


def evaluate(arguments: argparse.Namespace) -> None:
    """Print how well a model predicts texts."""
    model = load_language_model(arguments.model)
    texts = {path: text_of([path], model.vocabulary_.level, arguments.batch_size + 1) for path in arguments.files}
    found = {path: evaluation(model, text, arguments.batch_size) for path, text in texts.items()}
    if arguments.json:
        print_json(found)
        return
    for path, figures in found.items():
        words = "  ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())
        print_text(f"{words}  {path}")


def evaluation(model: LanguageModel, text: Any, batch_size: int) -> dict[str, float]:
    """Return a text's loss and what follows from it."""
    loss = -model.score(text, batch_size)
    bits = {} if model.vocabulary_.level == "word" else {"bits_per_character": loss / math.log(2)}
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), **bits}


class Table:
    """Prints a line for each epoch, as it ends."""

    def __init__(self, level: str, held_out: str) -> None:
        self.level, self.held_out, self.empty = level, held_out, True

    def row(self, epoch: Epoch) -> None:
        """Print the line of an epoch, and before the first one what the columns are."""
        from tqdm import tqdm

        losses = {"training": epoch.loss, self.held_out: epoch.validation_loss}
        shown = {name: loss for name, loss in losses.items() if loss is not None}
        if self.empty:
            tqdm.write(f"epoch {' '.join(f'{name:>10}' for name in shown)}   {measure(self.level)}")
            self.empty = False
        numbers = [
            math.exp(min(loss, 700.0)) if self.level == "word" else loss / math.log(2) for loss in shown.values()
        ]
        tqdm.write(f"{epoch.number:5} {' '.join(f'{value:10.3f}' for value in numbers)}")


def measure(level: str) -> str:
    """Return what a model of this level is measured by."""
    return {"char": "bits per character", "word": "perplexity"}[level]


def load_language_model(path: str) -> LanguageModel:
    """Return the language model in a file."""
    from fastrnn.layers._module import Layer
    from fastrnn.models import LanguageModel

    model = fastrnn.load(path)
    if not isinstance(model, LanguageModel):
        what = "a layer" if isinstance(model, Layer) else "a model"
        raise ValueError(f"{path} holds {what}, {type(model).__name__}, and no language model")
    return model


def size_of(text: str, level: str) -> int:
    """Return how many words or characters a text has."""
    from fastrnn.models.vocabulary import words_of

    return len(words_of(text) if level == "word" else text)


def text_of(paths: Sequence[str], level: str, least: int = 2) -> Any:
    """Return a single file as it is, to be read piece by piece, or several joined; all are read once to be checked.

    A single one must have `least` symbols.
    """
    if len(paths) > 1:
        return read_texts(paths, 0, level)[0]
    from fastrnn.models._text import Text, symbols

    with Text(Path(paths[0]), "text", level) as text:
        count = sum(size_of(piece, level) for piece in text.pieces())
    if count < least:
        raise ValueError(f"{paths[0]} must have at least {least} {symbols(level)}, got {count}")
    return Path(paths[0])


def read_texts(paths: Sequence[str], held_out: float, level: str) -> tuple[Any, str]:
    """Return the first parts of all files joined, and their last parts, `held_out` of each file's characters.

    A single file of which nothing is held out stays where it is: it may be larger than memory.
    """
    if held_out == 0 and len(paths) == 1:
        return text_of(paths, level), ""
    first, last = [], []
    for path in paths:
        with open(path, encoding="utf-8-sig") as file:
            try:
                text = file.read()
            except UnicodeDecodeError as error:
                raise ValueError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
        cut = len(text) - round(len(text) * held_out)
        first.append(text[:cut])
        last.append(text[cut:])
    if not any((*first, *last)):
        raise ValueError(f"{', '.join(paths)} must have text, got none")
    between = " " if level == "word" else ""
    return between.join(first), between.join(last)


def add_commands(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands to the program's parser."""
    add_train_options(add_command(train, "train a language model on text files", TRAIN, TRAIN_EXAMPLES))
    add = add_command(resume, "go on with an interrupted training", RESUME, RESUME_EXAMPLES).add_argument
    add("model", metavar="MODEL", help="the model's file, there or not; its configuration stands beside it")
    add("--json", action="store_true", help="print the result as JSON")
    add_sample_options(add_command(sample, "let a trained model write", SAMPLE, SAMPLE_EXAMPLES))
    add = add_command(evaluate, "say how well a model predicts texts", EVALUATE, EVALUATE_EXAMPLES).add_argument
    add("model", metavar="MODEL", help="a file that fastrnn train has saved")
    add("files", nargs="+", metavar="FILE", help="text to predict")
    add("--batch-size", type=positive, default=1, metavar="N", help="streams into which a text is cut (default 1)")
    add("--json", action="store_true", help="print the figures as JSON")


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Add what `fastrnn train` takes."""
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="text to learn from")
    add("--train", nargs="+", default=[], metavar="FILE", help="the same")
    add("--valid", nargs="+", default=[], metavar="FILE", help="text to evaluate after each epoch; nothing is held out")
    add("--test", nargs="+", default=[], metavar="FILE", help="text to evaluate at the end")
    add("--preset", choices=["zaremba-small", "zaremba-medium", "zaremba-large", "char-rnn"], help="published settings")
    add("--json", action="store_true", help="print the result as JSON")
    OPTIONS.add(parser)


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Add what `fastrnn sample` takes."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a file that fastrnn train has saved")
    add("--length", type=positive, default=500, metavar="N", help="symbols to write (default %(default)s)")
    add("--prompt", default="", metavar="TEXT", help="what the text continues")
    add(
        "--temperature", type=from_zero, default=1.0, metavar="X",
        help="below 1 the likely becomes likelier, 0 takes the likeliest (default %(default)s)",
    )  # fmt: skip
    add("--top-k", type=positive, metavar="K", help="draw only among the K likeliest symbols")
    add(
        "--top-p", type=number(float, lambda p: 0 < p <= 1, "a number above 0, to 1"), metavar="P",
        help="draw only among the likeliest symbols that have this share of the odds",
    )  # fmt: skip
    add("--stop", metavar="SYMBOL", help="end before this character or word")
    add("--count", type=positive, default=1, metavar="N", help="texts to write (default %(default)s)")
    add("--seed", type=seed, help="write the same text each time")
    add("--json", action="store_true", help="print the texts as JSON")
