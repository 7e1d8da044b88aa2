"""The configuration of a training as TOML: strings, numbers, booleans, lists of them, and tables."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any


def write_toml(values: Mapping[str, Any], path: str, comment: str) -> None:
    """Write values to a file, those that are None left out."""
    from fastrnn.serialization import write

    write("\n".join([f"# {comment}", *lines(values, "")]).encode() + b"\n", path)


def lines(values: Mapping[str, Any], table: str) -> Iterator[str]:
    """Give the lines of a table: its own values first, then the tables within."""
    for key, value in values.items():
        if value is not None and not isinstance(value, Mapping):
            yield f"{key} = {literal(value)}"
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"\n[{table}{key}]"
            yield from lines(value, f"{table}{key}.")


def literal(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the values in a file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    with open(path, "rb") as file:
        try:
            return tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{os.fspath(path)} is not TOML: {error}") from error
