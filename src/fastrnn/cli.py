"""The command line: train a language model, let it write, show it off, and say what is installed."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import fastrnn

if TYPE_CHECKING:
    from fastrnn.models import LanguageModel

TRAIN = """\
Train a character language model on text files (UTF-8) and save it. The last part of each file is held out; the first
parts are joined, in the order given, and read again in each epoch by truncated back-propagation through time. The
held-out parts, joined likewise, are evaluated after each epoch and never trained on.
Ctrl-C ends the training; what was learned so far is saved if the text was read once."""

TRAIN_EXAMPLES = """\
examples:
  fastrnn train book.txt -o book.safetensors
  fastrnn train *.txt --cell gru --hidden-size 512 --epochs 20
  fastrnn train small.txt --layers 2 --dropout 0.3 --embedding 64 --learning-rate 0.001"""

SAMPLE = """\
Let a trained model write text. Without --seed it writes something else each time."""

SAMPLE_EXAMPLES = """\
examples:
  fastrnn sample book.safetensors --prompt "It was"
  fastrnn sample book.safetensors --length 2000 --temperature 0.7 --seed 1
  fastrnn sample book.safetensors --top-k 1                 always the likeliest character"""

DEMO = """\
Train a character language model on the sources of this Python's standard library, which takes about a minute, compare
it on held-out text with a trigram model fitted on the same text, and let it write."""

EXAMPLES = """\
examples:
  fastrnn demo
  fastrnn train book.txt -o book.safetensors
  fastrnn sample book.safetensors --prompt "It was"
"fastrnn COMMAND --help" says more about each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 after an error, 130 after Ctrl-C; wrong usage exits with 2."""
    arguments = make_parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        print(f"fastrnn: {stop or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ArithmeticError, ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        print(f"fastrnn: {' '.join(explain(error).split())}", file=sys.stderr)
        return 1
    return 0


def explain(error: BaseException) -> str:
    """Say an error in one sentence."""
    if isinstance(error, MemoryError):
        return f"out of memory: {error}"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Show warnings in one line each, and end as Ctrl-C does where one of them says that it was pressed."""
    from fastrnn.train import Interrupted

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        if isinstance(warning.message, Interrupted):
            raise KeyboardInterrupt(warning.message)
        print(f"fastrnn: {warning.message}", file=sys.stderr)


def train(arguments: argparse.Namespace) -> None:
    """Train a model and save it."""
    from fastrnn.models import LanguageModel

    check_writable(arguments.output, arguments.files)
    text, held_out = read_texts(arguments.files, arguments.held_out)
    print_text(f"{len(text):,} characters to train on, {len(held_out):,} held out")
    model = LanguageModel(
        cell=arguments.cell, hidden_size=arguments.hidden_size, num_layers=arguments.layers,
        embedding_size=arguments.embedding, dropout=arguments.dropout, random_state=arguments.seed,
    )  # fmt: skip
    with one_line_warnings():
        model.fit(
            text, held_out or None, epochs=arguments.epochs, batch_size=arguments.batch_size,
            sequence_length=arguments.sequence_length, optimizer=arguments.optimizer,
            learning_rate=arguments.learning_rate, schedule=arguments.schedule, clip_norm=arguments.clip_norm or None,
        )  # fmt: skip
        if model.history_["loss"]:  # after Ctrl-C too, but not at once
            report(model)
            fastrnn.save(model, arguments.output)
            print_text(f"saved {arguments.output}")


def report(model: LanguageModel) -> None:
    """Print the loss of every epoch."""
    from math import log

    columns = {"training": model.history_["loss"], "held out": model.history_["validation_loss"]}
    shown = {name: losses for name, losses in columns.items() if losses}
    print("epoch", *(f"{name:>10}" for name in shown), "  bits per character")
    for number, losses in enumerate(zip(*shown.values(), strict=False), 1):
        print(f"{number:5}", *(f"{loss / log(2):10.3f}" for loss in losses))


def sample(arguments: argparse.Namespace) -> None:
    """Print text that a model writes."""
    from fastrnn.models import LanguageModel

    model = fastrnn.load(arguments.model)
    if not isinstance(model, LanguageModel):
        raise ValueError(f"{arguments.model} holds a layer, {type(model).__name__}, and no language model")
    seed = secrets.randbits(64) if arguments.seed is None else arguments.seed
    print_text(
        arguments.prompt
        + model.sample(arguments.length, arguments.prompt, arguments.temperature, arguments.top_k, random_state=seed)
    )


def demo(arguments: argparse.Namespace) -> None:
    """Train on the standard library's sources, compare and write."""
    from fastrnn.demo import run

    run(print_text)


def info(arguments: argparse.Namespace) -> None:
    """Print what is installed and in use."""
    cpu = fastrnn.cpu_info()
    print(f"fastrnn           {fastrnn.__version__}")
    compiled, detected = ", ".join(cpu["compiled"]), ", ".join(cpu["detected"])
    print(f"instruction sets  compiled: {compiled}; detected: {detected}; used: {cpu['isa']}")
    print(f"precisions        {', '.join(cpu['dtypes'])}")
    print(f"threads           {cpu['threads']}")


def print_text(text: str) -> None:
    """Print text at once, and with escapes for what the encoding of standard output cannot hold."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def read_texts(paths: Sequence[str], held_out: float) -> tuple[str, str]:
    """Return the first parts of all files joined, and their last parts, `held_out` of each file's characters."""
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
    return "".join(first), "".join(last)


def check_writable(path: str, texts: Sequence[str]) -> None:
    """Refuse, before any time is spent on training, where a file cannot be written or would replace a text."""
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.exists(path) and any(os.path.exists(text) and os.path.samefile(path, text) for text in texts):
        raise ValueError(f"{path} is one of the texts: give the model another name by -o")
    if os.path.isdir(path):
        raise IsADirectoryError(21, "is a folder, give the name of a file", path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(2, "no such folder", folder)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "no permission to write there", folder)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; its defaults are those of `LanguageModel`."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="fastrnn", description="Recurrent networks on the CPU.", epilog=EXAMPLES, formatter_class=form
    )
    parser.add_argument("--version", action="version", version=f"fastrnn {fastrnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add_command(command: Any, summary: str, description: str, examples: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(
            command.__name__, help=summary, description=description, epilog=examples, formatter_class=form
        )
        added.set_defaults(command=command)
        return added

    add_train_options(add_command(train, "train a language model on text files", TRAIN, TRAIN_EXAMPLES))
    add_sample_options(add_command(sample, "let a trained model write", SAMPLE, SAMPLE_EXAMPLES))
    add_command(demo, "train on Python's own sources for a minute, and write", DEMO)
    add_command(info, "print version, instruction sets, precisions and threads", "Print what is installed and in use.")
    return parser


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Add what `fastrnn train` takes."""
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="text to learn from")
    add("-o", "--output", metavar="MODEL", default="model.safetensors", help="where to save (default %(default)s)")
    add("--held-out", type=fraction, default=0.1, metavar="PART", help="held out of each file (default %(default)s)")
    model = parser.add_argument_group("model").add_argument
    model("--cell", choices=["lstm", "gru", "rnn"], default="lstm", help="default %(default)s")
    model("--hidden-size", type=positive, default=256, metavar="H", help="units in each layer (default %(default)s)")
    model("--layers", type=positive, default=2, metavar="L", help="default %(default)s")
    model("--embedding", type=positive, metavar="E", help="size of an embedding; without it input is one-hot")
    model("--dropout", type=fraction, default=0.0, metavar="P", help="between layers (default %(default)s)")
    training = parser.add_argument_group("training").add_argument
    training("--epochs", type=positive, default=10, metavar="N", help="times the text is read (default %(default)s)")
    training("--batch-size", type=positive, default=16, metavar="N", help="streams side by side (default %(default)s)")
    training(
        "--sequence-length", type=positive, default=64, metavar="T",
        help="characters through which gradients flow (default %(default)s)",
    )  # fmt: skip
    training(
        "--optimizer", choices=["adam", "adamw", "rmsprop", "adagrad", "sgd"], default="adam",
        help="default %(default)s",
    )  # fmt: skip
    training("--learning-rate", type=above_zero, default=4e-3, metavar="LR", help="at the start (default %(default)s)")
    training(
        "--schedule", choices=["linear", "cosine", "constant", "step", "plateau", "warmup"], default="linear",
        help="how the rate changes; linear and cosine fall to 0 (default %(default)s)",
    )  # fmt: skip
    training(
        "--clip-norm", type=from_zero, default=1.0, metavar="NORM",
        help="largest norm of all gradients together, 0 for any (default %(default)s)",
    )  # fmt: skip
    training("--seed", type=seed, default=0, help="of initial values and dropout (default %(default)s)")


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Add what `fastrnn sample` takes."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a file that fastrnn train has saved")
    add("--length", type=positive, default=500, metavar="N", help="characters to write (default %(default)s)")
    add("--prompt", default="", metavar="TEXT", help="what the text continues")
    add(
        "--temperature", type=from_zero, default=1.0, metavar="X",
        help="below 1 the likely becomes likelier, 0 takes the likeliest (default %(default)s)",
    )  # fmt: skip
    add("--top-k", type=positive, metavar="K", help="draw only among the K likeliest characters")
    add("--seed", type=seed, help="write the same text each time")


def number(kind: Callable[[str], Any], allowed: Callable[[Any], bool], expected: str) -> Callable[[str], Any]:
    """Return a type for argparse, whose errors say what is expected."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not allowed(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return convert


positive = number(int, lambda value: value >= 1, "an integer of at least 1")
seed = number(int, lambda value: 0 <= value < 2**64, "an integer from 0 to 2**64 - 1")
fraction = number(float, lambda value: 0 <= value < 1, "a number from 0 to below 1")
above_zero = number(float, lambda value: 0 < value < float("inf"), "a number above 0")
from_zero = number(float, lambda value: 0 <= value < float("inf"), "a number from 0 upwards")


if __name__ == "__main__":
    sys.exit(main())
