"""The command line: the program itself, its demonstration, and what is installed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import fastrnn
from fastrnn import cli_language, cli_sequences
from fastrnn.cli_common import print_json, print_text

DEMO = """\
Train a character language model on the sources of this Python's standard library, which takes about a minute, compare
it on held-out text with a trigram model fitted on the same text, and let it write."""

BENCH = """\
Time fastrnn beside PyTorch, ONNX Runtime and JAX, as far as they are installed, on this machine: inference, training
and single steps, one thread, in about two minutes on an idle machine. At every row all results are first checked to
agree. "pip install 'fastrnn[bench]'" installs the peers."""

BENCH_EXAMPLES = """\
examples:
  fastrnn bench
  fastrnn bench -o before.json --plot before.png"""

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
        print(f"fastrnn: {str(stop) or 'interrupted'}", file=sys.stderr)
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


def demo(arguments: argparse.Namespace) -> None:
    """Train on the standard library's sources, compare and write."""
    from fastrnn.demo import run

    run(print_text)


def bench(arguments: argparse.Namespace) -> None:
    """Time fastrnn and its peers."""
    from fastrnn.bench import use_one_thread

    use_one_thread()
    from fastrnn.bench.quick import run

    run(print_text, arguments.output, arguments.plot)


def info(arguments: argparse.Namespace) -> None:
    """Print what is installed and in use."""
    cpu = fastrnn.cpu_info()
    if arguments.json:
        print_json({"version": fastrnn.__version__, **cpu})
        return
    print(f"fastrnn           {fastrnn.__version__}")
    compiled, detected = ", ".join(cpu["compiled"]), ", ".join(cpu["detected"])
    print(f"instruction sets  compiled: {compiled}; detected: {detected}; used: {cpu['isa']}")
    low = ", ".join(f"{precision} by {path}" for precision, path in cpu["low_precision"].items())
    print(f"precisions        {', '.join(cpu['dtypes'])}; for inference {low}")
    print(f"threads           {cpu['threads']}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each group of commands adds its own."""
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
        added.set_defaults(command=command, usage_error=added.error)
        return added

    cli_language.add_commands(add_command)
    cli_sequences.add_commands(add_command)
    add_command(demo, "train on Python's own sources for a minute, and write", DEMO)
    add = add_command(bench, "time it beside its peers on this machine", BENCH, BENCH_EXAMPLES).add_argument
    add("-o", "--output", metavar="FILE", default="fastrnn-bench.json", help="JSON to write (default %(default)s)")
    add("--plot", metavar="FILE", help="draw the ratios, as PNG, SVG or PDF; needs matplotlib")
    about = "Print what is installed and in use."
    added = add_command(info, "print version, instruction sets, precisions and threads", about)
    added.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
