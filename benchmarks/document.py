"""Markdown tables, and their places in a document."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import fastrnn
from fastrnn.bench import machine


def table(head: list[str], rows: Iterable[list[str]], words: int = 1) -> list[str]:
    """Return a table's lines; the first columns are words, the others figures."""
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return [f"| {' | '.join(cells)} |" for cells in [head, rule, *rows]]


def mark(text: str, bad: bool) -> str:
    return f"**{text}**" if bad else text


def measured_on() -> str:
    return f"{machine.cpu_name()}, {fastrnn.cpu_info()['isa']}, one thread, float32."


def publish(lines: Iterable[str], name: str, document: Path | None) -> None:
    """Print a text, or put it into a document between its two marks, ``<!-- NAME: begin -->`` and ``end``."""
    text = "\n".join(lines)
    if document is None:
        print(text)
        return
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = document.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{document} has no {begin} and {end}")
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
