"""The commands of whole sequences: classify, forecast."""

from __future__ import annotations

import argparse
import csv
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastrnn
from fastrnn.cli_common import (
    CELLS,
    above_zero,
    fraction,
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
    config_path,
    read_config,
    written_config,
)

if TYPE_CHECKING:
    from fastrnn.models import SequenceRegressor

Array = NDArray[Any]
Columns = dict[str, list[str]]

CLASSIFY = """\
Learn to classify, or, with --model, classify. FILE is a table (.csv, or .tsv with tabs) with a header line: a column
of texts, which are read character by character, and one of labels; or a .npz with arrays X, (N, T) ids or (N, T, I)
numbers, y, and lengths where rows are padded. A part of it is held out, to say how many labels are right.
Beside the model stands its configuration, with the ending .toml: --config repeats it, with the same bits.
With --model no labels are needed, and one is printed for each row; the texts are in the column that training had."""

CLASSIFY_EXAMPLES = """\
examples:
  fastrnn classify names.csv --text name --label language -o names.safetensors
  fastrnn classify names.tsv --bidirectional --pooling max --epochs 20
  fastrnn classify --config names.toml --hidden-size 256 -o larger.safetensors
  fastrnn classify new.csv --model names.safetensors > labels.txt
  fastrnn classify sensors.npz -o sensors.safetensors --json"""

FORECAST = """\
Learn from a series what comes next, and print how it goes on. FILE is a table (.csv, or .tsv with tabs) with a header
line and a row for each step, of which all columns with numbers are taken or those that --columns names, without gaps;
or a .npy, (T,) or (T, I). The last --steps rows are held out first, to say how far off such a forecast is; the forecast
then goes on from the end. With -o the model is saved, and its configuration beside it, with the ending .toml, which
--config repeats with the same bits. With --model the columns are those of training, wherever they stand in the
table."""

FORECAST_EXAMPLES = """\
examples:
  fastrnn forecast sales.csv --steps 28
  fastrnn forecast power.csv --columns load temperature --steps 48 -o power.safetensors
  fastrnn forecast newer.csv --steps 48 --model power.safetensors --json
  fastrnn forecast --config power.toml --epochs 200 -o longer.safetensors"""


READ_BY_MODELS = ("text", "label", "steps", "columns")  # options that may be given with --model too


def fit_options(epochs: int, batch_size: int, learning_rate: float) -> list[Option]:
    """Return how a model is trained, with the defaults of a command."""
    return [
        Option("--epochs", "epochs", epochs, positive, "times the data is read", "N"),
        Option("--batch-size", "batch_size", batch_size, positive, "sequences at an update", "N"),
        Option("--learning-rate", "learning_rate", learning_rate, above_zero, "at the start", "LR"),
        *CHECKPOINT_OPTIONS,
    ]


def model_options(cell: str, hidden_size: int) -> list[Option]:
    """Return what a model is, with the defaults of a command."""
    return [
        Option("--cell", "cell", cell, CELLS, "the recurrent layers"),
        Option("--hidden-size", "hidden_size", hidden_size, positive, "units in each layer", "H"),
        Option("--layers", "num_layers", 1, positive, "how many", "L"),
        Option("--dropout", "dropout", 0.0, fraction, "between layers and above", "P"),
        Option("--seed", "random_state", 0, seed, "of initial values, order and dropout", "SEED"),
    ]


CLASSIFY_OPTIONS = Options(
    "classify",
    files={"file": str},
    data=[
        Option("--text", "text", None, str, "of the texts (default the first, or that of training)", "COLUMN"),
        Option("--label", "label", None, str, "of the labels (default the last)", "COLUMN"),
        Option("-o --output", "output", "classifier.safetensors", str, "where to save", "MODEL"),
        Option("--held-out", "held_out", 0.1, fraction, "of the rows", "PART"),
    ],
    model=[
        *model_options("lstm", 128),
        Option("--bidirectional", "bidirectional", False, bool, "read from both ends"),
        Option("--pooling", "pooling", "last", ["last", "mean", "max"], "of the states"),
    ],
    fit=fit_options(epochs=10, batch_size=32, learning_rate=4e-3),
)
FORECAST_OPTIONS = Options(
    "forecast",
    files={"file": str},
    data=[
        Option("--steps", "steps", None, positive, "rows to forecast", "N"),
        Option("--columns", "columns", None, str, "of the series (default all that hold numbers)", "COLUMN", "+"),
        Option("-o --output", "output", None, str, "where to save the model", "MODEL"),
    ],
    model=model_options("gru", 64),
    fit=[
        Option("--sequence-length", "sequence_length", 256, positive, "rows of the pieces that are learned from", "T"),
        *fit_options(epochs=100, batch_size=8, learning_rate=1e-2),
    ],
)


def classify(arguments: argparse.Namespace) -> None:
    """Train a classifier and save it, or print the labels that one gives."""
    from fastrnn.models import SequenceClassifier

    config = configuration(CLASSIFY_OPTIONS, arguments)
    if arguments.model is None:
        run_classify(config, arguments.json, resume=False)
        return
    model, columns = load(arguments.model, SequenceClassifier)
    X, _, lengths, _ = read_examples(config, labels=False, known=columns)
    labels = model.predict(X, lengths).tolist()
    if arguments.json:
        print_json({"labels": labels})
    else:
        print_text("\n".join(map(str, labels)))


def run_classify(config: Mapping[str, Any], as_json: bool, resume: bool) -> None:
    """Train a classifier as a configuration says, save it, and report."""
    from fastrnn.models import SequenceClassifier

    path, output = config["file"], config["output"]
    X, y, lengths, columns = read_examples(config, labels=True)
    if y is None:
        raise ValueError(f"{path} has no labels to learn from")
    check_output(output, [path])
    model = SequenceClassifier(**{"max_vocab": vocabulary_size(X, lengths, path), **config["model"]})
    rows, others = split(y, config["held_out"], config["model"]["random_state"])
    cut = len(others)

    def part(rows: Array) -> tuple[Any, list[Any], Array | None]:
        chosen = X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]
        return chosen, [y[row] for row in rows], None if lengths is None else lengths[rows]

    train, held_out = part(rows), part(others)
    fit(model, config, as_json, resume, columns, *train, validation=held_out if cut else None)
    result: dict[str, Any] = {"model": output, "config": config_path(output)}
    result |= {"classes": model.classes_.tolist(), "history": model.history_}
    if cut:
        result["accuracy"] = model.score(*held_out)
    if as_json:
        print_json(result)
        return
    if cut:
        print_text(f"{result['accuracy']:.1%} of {cut:,} held-out rows right, after training on {len(X) - cut:,}")
    print_text(f"saved {output}")


def forecast(arguments: argparse.Namespace) -> None:
    """Print how a series goes on."""
    from fastrnn.models import SequenceRegressor

    config = configuration(FORECAST_OPTIONS, arguments)
    if config["steps"] is None:
        arguments.usage_error("how many rows to forecast: --steps N")
    if arguments.model is None:
        run_forecast(config, arguments.json, resume=False)
    else:
        model, columns = load(arguments.model, SequenceRegressor)
        print_forecast(model, *read_series(config, columns), config["steps"], arguments.json)


def run_forecast(config: Mapping[str, Any], as_json: bool, resume: bool) -> None:
    """Train on a series but its last steps as a configuration says, save the model, and print what comes next."""
    from fastrnn.models import SequenceRegressor

    path, output, steps = config["file"], config.get("output"), config["steps"]
    names, series = read_series(config)
    past, true = series[:-steps], series[-steps:]
    if len(past) < 2:
        raise ValueError(f"{path} must have more than {steps + 1} rows, got {len(series)}")
    if output is not None:
        check_output(output, [path])
    elif config["fit"]["checkpoint"] is not None:
        raise ValueError("checkpoints need a model's name, -o MODEL, by which fastrnn resume finds them")
    model = SequenceRegressor(**config["model"], pooling=None)
    fit(model, config, as_json, resume, None if path.endswith(".npy") else names, [past])
    error = np.sqrt(((model.forecast([past], steps)[0] - true) ** 2).mean(axis=0))
    print_forecast(model, names, series, steps, as_json, error)


def print_forecast(
    model: SequenceRegressor, names: list[str], series: Array, steps: int, as_json: bool, error: Array | None = None
) -> None:
    """Print how a series goes on, and how far off such a forecast was, if that is known."""
    future = model.forecast([series], steps)[0].reshape(steps, -1)
    if as_json:
        columns = {name: future[:, k].tolist() for k, name in enumerate(names)}
        print_json({"forecast": columns} | ({} if error is None else {"held_out_error": error.tolist()}))
        return
    if error is not None:
        off = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, error, strict=True))
        print(f"fastrnn: root mean square error over the {steps} held-out rows: {off}", file=sys.stderr)
    rows = [",".join(names), *(",".join(f"{value:.7g}" for value in row) for row in future)]
    print_text("\n".join(rows))


def configuration(options: Options, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all that decides about a training, its file included; with --model none of a training's options."""
    if arguments.model is not None:
        for option in (*options.model, *options.fit, *options.data):
            if option.name in vars(arguments) and option.name not in READ_BY_MODELS:
                arguments.usage_error(f"{option.flags.split()[-1]} is of a training, which --model has had")
    config = options.configuration(arguments, read_config(arguments.config, options))
    config["file"] = arguments.file or config.get("file")
    if not config["file"]:
        arguments.usage_error("no data: name a file")
    config["file"] = os.path.abspath(config["file"])
    return config


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


def vocabulary_size(X: Any, lengths: Array | None, path: str) -> int | None:
    """Return how many ids there are, in rows that are held out too; None of texts and of features."""
    from fastrnn.models._batches import finite, sequences

    name = f"X of {path}"  # whose rows are numbered as they are in the file
    given = finite(sequences(X, lengths, name), name)
    ids = [row for row in given.real() if len(row)] if given.kind == "ids" else []
    if ids and min(row.min() for row in ids) < 0:
        raise ValueError(f"{name} must hold ids from 0, got {min(row.min() for row in ids)}")
    return int(max(row.max() for row in ids)) + 1 if ids else None


def fit(
    model: Any, config: Mapping[str, Any], as_json: bool, resume: bool, columns: list[str] | None,
    X: Any, y: Any = None, lengths: Any = None, validation: Any = None,
) -> None:  # fmt: skip
    """Train a model as a configuration says, and save it with the names of the columns it reads: after Ctrl-C too."""
    from fastrnn import serialization

    output = config.get("output")
    with one_line_warnings(), nullcontext() if resume or output is None else written_config(config):
        model.fit(
            X, y, lengths=lengths, validation=validation, **config["fit"], verbose=0 if as_json else 1, resume=resume
        )
        if output is not None and model.history_["loss"]:
            serialization.write(serialization.serialized(model, {"columns": columns}), output)


def load(path: str, kind: type[Any]) -> tuple[Any, list[str] | None]:
    """Return a model of the kind that the command is for, and the names of the columns it was trained on, if any."""
    from fastrnn import serialization

    model = fastrnn.load(path)
    if not isinstance(model, kind):
        raise ValueError(f"{path} must hold a {kind.__name__}, got a {type(model).__name__}")
    return model, serialization.read(path)[0].get("columns")


def read_examples(
    config: Mapping[str, Any], labels: bool, known: list[str] | None = None
) -> tuple[Any, list[Any] | None, Array | None, list[str] | None]:
    """Return X, y where there are `labels`, lengths where there are some, and of a table the column that X is."""
    path = config["file"]
    if path.endswith(".npz"):
        check_no_columns(config, "text", "label")
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
    text, label = config.get("text") or first, config.get("label") or names[-1]
    if not labels:
        return column(table, text, path), None, None, [text]
    if text == label:
        raise ValueError(f"{path} must have a column of texts and one of labels, got {', '.join(names)}")
    given = column(table, label, path)
    for number, cell in enumerate(given, 2):
        if not cell.strip():
            raise ValueError(f"{path} must have a label in every row, got none in row {number}")
    return column(table, text, path), given, None, [text]


def read_series(config: Mapping[str, Any], known: list[str] | None = None) -> tuple[list[str], Array]:
    """Return the names of the columns, those of training if they are known, in their order, and the series (T, I)."""
    path, columns = config["file"], config.get("columns") or []
    if path.endswith(".npy"):
        check_no_columns(config, "columns")
        series = read_arrays(path)
        if isinstance(series, dict) or series.ndim not in (1, 2) or series.dtype.kind not in "fiu":
            raise ValueError(f"{path} must hold numbers, (T,) or (T, I)")
        series = series.reshape(len(series), -1 if len(series) else 1).astype(np.float64)
        return [f"column {k + 1}" for k in range(series.shape[1])], series
    table = read_table(path, ".npy")
    if len(set(columns)) < len(columns):
        raise ValueError(f"--columns must be different ones, got {' '.join(columns)}")
    if known is not None and sorted(columns or known) != sorted(known):
        raise ValueError(f"--columns must be {' '.join(known)}, as in training, got {' '.join(columns)}")
    chosen = known or columns or [name for name, cells in table.items() if any(map(is_number, cells))]
    if not chosen:
        raise ValueError(f"{path} has no column of numbers, only {', '.join(table)}")
    for name in chosen:
        for number, cell in enumerate(column(table, name, path), 2):
            if not is_number(cell):
                found = f"got {cell!r} in row {number}; --columns takes others"
                raise ValueError(f"{path} must hold numbers in the column {name}, {found}")
    return chosen, np.array([[float(cell) for cell in table[name]] for name in chosen]).T


def check_no_columns(config: Mapping[str, Any], *names: str) -> None:
    """Refuse the names of columns where there is no table."""
    for name in names:
        if config.get(name):
            raise ValueError(f"--{name} is of tables, and {config['file']} is none")


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
    add_options(parser, CLASSIFY_OPTIONS, ".npz")
    parser = add_command(forecast, "learn from a series and print how it goes on", FORECAST, FORECAST_EXAMPLES)
    add_options(parser, FORECAST_OPTIONS, ".npy")


def add_options(parser: argparse.ArgumentParser, options: Options, arrays: str) -> None:
    """Add what a command takes; `arrays`: the files it reads besides tables."""
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"a .csv, .tsv or {arrays}")
    options.add(parser)
    again = f"{options.command} by this one, that an earlier call has saved"
    parser.add_argument("--model", metavar="MODEL", help=again)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
