"""The commands of whole sequences: classify, forecast."""

from __future__ import annotations

import argparse
import csv
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastrnn
from fastrnn.cli_common import (
    CELLS,
    above_zero,
    check_writable,
    fraction,
    one_line_warnings,
    positive,
    print_json,
    print_text,
    seed,
)

if TYPE_CHECKING:
    from fastrnn.models import SequenceRegressor

Array = NDArray[Any]
Columns = dict[str, list[str]]

CLASSIFY = """\
Learn to classify, or, with --model, classify. FILE is a table (.csv, or .tsv with tabs) with a header line: a column
of texts, which are read character by character, and one of labels; or a .npz with arrays X, (N, T) ids or (N, T, I)
numbers, y, and lengths where rows are padded. A part of it is held out, to say how many labels are right.
With --model no labels are needed, and one is printed for each row; the texts are in the column that training had."""

CLASSIFY_EXAMPLES = """\
examples:
  fastrnn classify names.csv --text name --label language -o names.safetensors
  fastrnn classify names.tsv --bidirectional --pooling max --epochs 20
  fastrnn classify new.csv --model names.safetensors > labels.txt
  fastrnn classify sensors.npz -o sensors.safetensors --json"""

FORECAST = """\
Learn from a series what comes next, and print how it goes on. FILE is a table (.csv, or .tsv with tabs) with a header
line and a row for each step, of which all columns of numbers are taken or those that --columns names; or a .npy, (T,)
or (T, I). The last --steps rows are held out first, to say how far off such a forecast is; the forecast then goes on
from the end. With --model the columns are those of training, wherever they stand in the table."""

FORECAST_EXAMPLES = """\
examples:
  fastrnn forecast sales.csv --steps 28
  fastrnn forecast power.csv --columns load temperature --steps 48 -o power.safetensors
  fastrnn forecast newer.csv --steps 48 --model power.safetensors --json"""


def classify(arguments: argparse.Namespace) -> None:
    """Train a classifier and save it, or print the labels that one gives."""
    from fastrnn.models import SequenceClassifier

    if arguments.model is not None:
        loaded, columns = load(arguments.model, SequenceClassifier)
        X, _, lengths, _ = read_examples(arguments, columns)
        labels = loaded.predict(X, lengths).tolist()
        if arguments.json:
            print_json({"labels": labels})
        else:
            print_text("\n".join(map(str, labels)))
        return
    X, y, lengths, columns = read_examples(arguments)
    if y is None:
        raise ValueError(f"{arguments.file} has no labels to learn from")
    check_writable(arguments.output, [arguments.file])
    rows, others = split(y, arguments.held_out, arguments.seed)
    cut = len(others)

    def part(rows: Array) -> tuple[Any, ...]:
        chosen = X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]
        return chosen, [y[row] for row in rows], None if lengths is None else lengths[rows]

    train, held_out = part(rows), part(others)
    model = SequenceClassifier(
        arguments.cell, arguments.hidden_size, arguments.layers, bidirectional=arguments.bidirectional,
        pooling=arguments.pooling, dropout=arguments.dropout, random_state=arguments.seed,
    )  # fmt: skip
    fit(model, arguments, columns, *train, validation=held_out if cut else None)
    result: dict[str, Any] = {"model": arguments.output, "classes": model.classes_.tolist(), "history": model.history_}
    if cut:
        result["accuracy"] = model.score(*held_out)
    if arguments.json:
        print_json(result)
        return
    if cut:
        print_text(f"{result['accuracy']:.1%} of {cut:,} held-out rows right, after training on {len(X) - cut:,}")
    print_text(f"saved {arguments.output}")


def forecast(arguments: argparse.Namespace) -> None:
    """Print how a series goes on."""
    from fastrnn.models import SequenceRegressor

    if arguments.model is not None:
        (model, columns), error = load(arguments.model, SequenceRegressor), None
        names, series = read_series(arguments, columns)
    else:
        names, series = read_series(arguments)
        model, error = learn_series(arguments, names, series)
    future = model.forecast([series], arguments.steps)[0].reshape(arguments.steps, -1)
    if arguments.json:
        series_by_name = {name: future[:, k].tolist() for k, name in enumerate(names)}
        print_json({"forecast": series_by_name} | ({} if error is None else {"held_out_error": error.tolist()}))
        return
    if error is not None:
        off = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, error, strict=True))
        print(f"fastrnn: root mean square error over the {arguments.steps} held-out rows: {off}", file=sys.stderr)
    rows = [",".join(names), *(",".join(f"{value:.7g}" for value in row) for row in future)]
    print_text("\n".join(rows))


def learn_series(arguments: argparse.Namespace, names: list[str], series: Array) -> tuple[SequenceRegressor, Array]:
    """Return a model of a series, and its error over the last steps, which it was not trained on."""
    from fastrnn.models import SequenceRegressor

    past, true = series[: -arguments.steps], series[-arguments.steps :]
    if len(past) < 2:
        raise ValueError(f"{arguments.file} must have more than {arguments.steps + 1} rows, got {len(series)}")
    if arguments.output is not None:
        check_writable(arguments.output, [arguments.file])
    model = SequenceRegressor(
        arguments.cell, arguments.hidden_size, arguments.layers, pooling=None, dropout=arguments.dropout,
        random_state=arguments.seed,
    )  # fmt: skip
    columns = None if arguments.file.endswith(".npy") else names
    fit(model, arguments, columns, [past], None, sequence_length=arguments.sequence_length)
    error = np.sqrt(((model.forecast([past], arguments.steps)[0] - true) ** 2).mean(axis=0))
    return model, error


def split(labels: list[Any], held_out: float, seed: int) -> tuple[Array, Array]:
    """Return the rows to train on and those held out, of which none has a label that no row to train on has."""
    order, cut = np.random.default_rng(seed).permutation(len(labels)).tolist(), round(len(labels) * held_out)
    rows: list[int] = order[cut:]
    others: list[int] = []
    known = {labels[row] for row in rows}
    for row in order[:cut]:
        (others if labels[row] in known else rows).append(row)
        known.add(labels[row])
    return np.array(rows, np.int64), np.array(others, np.int64)


def fit(
    model: Any, arguments: argparse.Namespace, columns: list[str] | None, X: Any, y: Any, lengths: Any = None,
    **more: Any,
) -> None:  # fmt: skip
    """Train a model as the options say, and save it with the names of the columns it reads: after Ctrl-C too."""
    from fastrnn import serialization

    with one_line_warnings():
        model.fit(
            X, y, lengths=lengths, epochs=arguments.epochs, batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate, verbose=0 if arguments.json else 1, **more,
        )  # fmt: skip
        if arguments.output is not None and model.history_["loss"]:
            serialization.write(serialization.serialized(model, {"columns": columns}), arguments.output)


def load(path: str, kind: type[Any]) -> tuple[Any, list[str] | None]:
    """Return a model of the kind that the command is for, and the names of the columns it was trained on, if any."""
    from fastrnn import serialization

    model = fastrnn.load(path)
    if not isinstance(model, kind):
        raise ValueError(f"{path} must hold a {kind.__name__}, got a {type(model).__name__}")
    return model, serialization.read(path)[0].get("columns")


def read_examples(
    arguments: argparse.Namespace, known: list[str] | None = None
) -> tuple[Any, list[Any] | None, Array | None, list[str] | None]:
    """Return X, y where there are labels, lengths where there are some, and of a table the column that X is."""
    path = arguments.file
    if path.endswith(".npz"):
        arrays = read_arrays(path)
        if not isinstance(arrays, dict) or "X" not in arrays:
            got = ", ".join(arrays) if isinstance(arrays, dict) else "one without a name"
            raise ValueError(f"{path} must have an array X, got {got}")
        X, y, lengths = arrays["X"], arrays.get("y"), arrays.get("lengths")
        for name, array in (("y", y), ("lengths", lengths)):
            if array is not None and array.shape != X.shape[:1]:
                raise ValueError(f"{path} must have one of {name} for each row of X, got {array.shape} and {X.shape}")
        return X, None if y is None else y.tolist(), lengths, None
    table = read_table(path, ".npz")
    names = list(table)
    first = names[0] if known is None or len(names) == 1 else known[0]
    text = first if arguments.text is None else arguments.text
    label = names[-1] if arguments.label is None else arguments.label
    if arguments.model is not None:
        return column(table, text, path), None, None, [text]
    if text == label:
        raise ValueError(f"{path} must have a column of texts and one of labels, got {', '.join(names)}")
    return column(table, text, path), column(table, label, path), None, [text]


def read_series(arguments: argparse.Namespace, known: list[str] | None = None) -> tuple[list[str], Array]:
    """Return the names of the columns, those of training if they are known, in their order, and the series (T, I)."""
    path = arguments.file
    if path.endswith(".npy"):
        series = read_arrays(path)
        if isinstance(series, dict) or series.ndim not in (1, 2) or series.dtype.kind not in "fiu":
            raise ValueError(f"{path} must hold numbers, (T,) or (T, I)")
        series = series.reshape(len(series), -1 if len(series) else 1).astype(np.float64)
        return [f"column {k + 1}" for k in range(series.shape[1])], series
    table = read_table(path, ".npy")
    if arguments.columns and len(set(arguments.columns)) < len(arguments.columns):
        raise ValueError(f"--columns must be different ones, got {' '.join(arguments.columns)}")
    if known is not None and sorted(arguments.columns or known) != sorted(known):
        raise ValueError(f"--columns must be {' '.join(known)}, as in training, got {' '.join(arguments.columns)}")
    chosen = known or arguments.columns or [name for name, cells in table.items() if all(map(is_number, cells))]
    if not chosen:
        raise ValueError(f"{path} has no column of numbers, only {', '.join(table)}")
    for name in chosen:
        wrong = [cell for cell in column(table, name, path) if not is_number(cell)]
        if wrong:
            raise ValueError(f"{path} must hold numbers in the column {name}, got {wrong[0]!r}")
    return chosen, np.array([[float(cell) for cell in table[name]] for name in chosen]).T


def read_arrays(path: str) -> Any:
    """Return the array of a .npy file, or those of a .npz by name."""
    try:
        with open(path, "rb") as file:  # which a damaged archive would leave open
            found = np.load(file)
            return found if isinstance(found, np.ndarray) else dict(found)
    except (EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged, or no file of NumPy's with plain arrays") from error


def read_table(path: str, arrays: str) -> Columns:
    """Return the columns of a table by the names in its first line; `arrays`: what else the command reads."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".tsv"):
        raise ValueError(f"{path} must be a .csv, .tsv or {arrays}")
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            rows = [row for row in csv.reader(file, delimiter="\t" if suffix == ".tsv" else ",") if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a table in UTF-8: {error}") from error
    if len(rows) < 2:
        raise ValueError(f"{path} must have a header line and rows below it, got {len(rows)} lines")
    if len(set(rows[0])) < len(rows[0]):
        raise ValueError(f"{path} must have different names in its header line, got {', '.join(rows[0])}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ValueError(f"{path} must have {len(rows[0])} cells in every row, got {len(row)} in row {number}")
    return {name: [row[k] for row in rows[1:]] for k, name in enumerate(rows[0])}


def column(table: Columns, name: str, path: str) -> list[str]:
    """Return a column by its name."""
    if name not in table:
        raise ValueError(f"{path} has no column {name!r}; it has {', '.join(table)}")
    return table[name]


def is_number(cell: str) -> bool:
    """Return whether a cell holds a finite number."""
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def add_commands(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands to the program's parser."""
    parser = add_command(classify, "learn to classify texts or sequences, or do it", CLASSIFY, CLASSIFY_EXAMPLES)
    add = parser.add_argument
    add("file", metavar="FILE", help="a .csv, .tsv or .npz")
    add("--text", metavar="COLUMN", help="of the texts (default the first, or that of training)")
    add("--label", metavar="COLUMN", help="of the labels (default the last)")
    add("--model", metavar="MODEL", help="classify by this one, that an earlier call has saved")
    add("-o", "--output", metavar="MODEL", default="classifier.safetensors", help="where to save (default %(default)s)")
    add("--held-out", type=fraction, default=0.1, metavar="PART", help="of the rows (default %(default)s)")
    add("--bidirectional", action="store_true", help="read from both ends")
    add("--pooling", choices=["last", "mean", "max"], default="last", help="of the states (default %(default)s)")
    add_training(parser, cell="lstm", hidden_size=128, epochs=10, batch_size=32, learning_rate=4e-3)

    parser = add_command(forecast, "learn from a series and print how it goes on", FORECAST, FORECAST_EXAMPLES)
    add = parser.add_argument
    add("file", metavar="FILE", help="a .csv, .tsv or .npy")
    add("--steps", type=positive, required=True, metavar="N", help="rows to forecast")
    add("--columns", nargs="+", metavar="COLUMN", help="to learn and to forecast (default all that hold numbers)")
    add("--model", metavar="MODEL", help="forecast by this one, that an earlier call has saved")
    add("-o", "--output", metavar="MODEL", help="where to save the model")
    add(
        "--sequence-length", type=positive, default=256, metavar="T",
        help="rows of the pieces that are learned from (default %(default)s)",
    )  # fmt: skip
    add_training(parser, cell="gru", hidden_size=64, epochs=100, batch_size=8, learning_rate=1e-2)


def add_training(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add what the model is and how it is trained."""
    add = parser.add_argument_group("model and training").add_argument
    add("--cell", choices=CELLS, help="default %(default)s")
    add("--hidden-size", type=positive, metavar="H", help="units in each layer (default %(default)s)")
    add("--layers", type=positive, default=1, metavar="L", help="default %(default)s")
    add("--dropout", type=fraction, default=0.0, metavar="P", help="between layers and above (default %(default)s)")
    add("--epochs", type=positive, metavar="N", help="times the data is read (default %(default)s)")
    add("--batch-size", type=positive, metavar="N", help="sequences at an update (default %(default)s)")
    add("--learning-rate", type=above_zero, metavar="LR", help="at the start (default %(default)s)")
    add("--seed", type=seed, default=0, help="of initial values, order and dropout (default %(default)s)")
    add("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(**defaults)
