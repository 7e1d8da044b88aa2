"""What the commands share: types of their options, printing, warnings in one line, and files that can be written."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

CELLS = ("lstm", "gru", "rnn", "mingru", "minlstm")  # of the models, which this file does not load


def print_text(text: str) -> None:
    """Print text at once, and with escapes for what the encoding of standard output cannot hold."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def print_json(value: dict[str, Any]) -> None:
    """Print a JSON object in one line, in ASCII."""
    print(json.dumps(value), flush=True)


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


def check_writable(path: str, inputs: Sequence[str]) -> None:
    """Refuse, before any time is spent on training, where a file cannot be written or would replace an input."""
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.exists(path) and any(os.path.exists(other) and os.path.samefile(path, other) for other in inputs):
        raise ValueError(f"{path} is one of the texts: give the model another name by -o")
    if os.path.isdir(path):
        raise IsADirectoryError(21, "is a folder, give the name of a file", path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(2, "no such folder", folder)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "no permission to write there", folder)


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
