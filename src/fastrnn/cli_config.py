"""The configuration of a training: made of the options of its command, and kept beside the model to repeat it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastrnn
from fastrnn._toml import read_toml, write_toml
from fastrnn.cli_common import check_writable, positive


@dataclass(frozen=True)
class Option:
    """An option of a training: its flags, the argument of the constructor or of `fit` that it sets, its default."""

    flags: str
    name: str
    default: Any
    kind: Callable[[str], Any] | Sequence[str]
    help: str
    metavar: str | None = None
    nargs: str | None = None

    def add(self, parser: Any) -> None:
        """Add the option to a parser, which knows whether it was given."""
        default = "" if self.default is None or self.default is False else f" (default {self.default})"
        rest: dict[str, Any] = {"dest": self.name, "default": argparse.SUPPRESS, "help": self.help + default}
        if self.kind is bool:
            rest |= {"action": "store_true"}
        elif callable(self.kind):
            rest |= {"type": self.kind, "metavar": self.metavar, "nargs": self.nargs}
        else:
            rest |= {"choices": self.kind}
        parser.add_argument(*self.flags.split(), **rest)

    def check(self, value: Any) -> None:
        """Refuse what a configuration says where the command line would refuse it."""
        if self.nargs is not None and not isinstance(value, list):
            raise argparse.ArgumentTypeError(f"expected a list, got {value!r}")
        for one in value if self.nargs is not None else [value]:
            if self.kind in (bool, str):
                if type(one) is not self.kind:
                    expected = "true or false" if self.kind is bool else "a string"
                    raise argparse.ArgumentTypeError(f"expected {expected}, got {one!r}")
            elif callable(self.kind):
                if isinstance(self.kind(str(one)), str) != isinstance(one, str):
                    raise argparse.ArgumentTypeError(f"expected a number, got {one!r}")
            elif one not in self.kind and not isinstance(one, Mapping):  # a schedule, which `fit` checks
                raise argparse.ArgumentTypeError(f"expected {', '.join(self.kind)}, got {one!r}")


CHECKPOINT_OPTIONS = [
    Option("--checkpoint", "checkpoint", None, str, "keep checkpoints there, for fastrnn resume", "FOLDER"),
    Option("--checkpoint-every", "checkpoint_every", None, positive, "after N updates, besides each epoch", "N"),
    Option("--keep", "keep", 2, positive, "how many checkpoints, the last ones", "N"),
]


FILES: dict[type[Any], str] = {str: "a file", list: "a list of files"}


@dataclass(frozen=True)
class Options:
    """All options of a command that trains: of its data and output, of the model, and of `fit`.

    `files` are the names by which a configuration has its files, and what they are: a string or a list of strings.
    """

    command: str
    files: Mapping[str, type[Any]]
    data: Sequence[Option]
    model: Sequence[Option]
    fit: Sequence[Option]

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser, and --config."""
        for option in self.data:
            option.add(parser)
        parser.add_argument("--config", metavar="TOML", help="what an earlier training has written beside its model")
        for title, options in (("model", self.model), ("training", self.fit)):
            group = parser.add_argument_group(title)
            for option in options:
                option.add(group)

    def check(self, config: Mapping[str, Any], path: str) -> None:
        """Refuse a configuration, which may have been edited, that no training can be made of."""
        known = {"command", *self.files, "model", "fit", *(option.name for option in self.data)}
        for name in config:
            if name not in known:
                raise ValueError(f"{path} must have some of {', '.join(sorted(known))}, got {name}")
        for name, kind in self.files.items():
            value: Any = config.get(name, kind())
            if not isinstance(value, kind) or not all(isinstance(part, str) for part in value):
                raise ValueError(f"{path}: {name}: expected {FILES[kind]}, got {value!r}")
        for name in ("model", "fit"):
            if not isinstance(config.get(name, {}), Mapping):
                raise ValueError(f"{path}: {name}: expected a table, got {config[name]!r}")
        values = {**config, **config.get("model", {}), **config.get("fit", {})}
        for option in (*self.data, *self.model, *self.fit):
            if option.name in values:
                try:
                    option.check(values[option.name])
                except argparse.ArgumentTypeError as error:
                    raise ValueError(f"{path}: {option.name}: {error}") from error

    def configuration(
        self, arguments: argparse.Namespace, config: Mapping[str, Any], preset: Any = None
    ) -> dict[str, Any]:
        """Return all that decides about a training: defaults, then a preset, then `config`, then what was given."""
        given = vars(arguments)

        def chosen(options: Sequence[Option], preset: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
            defaults = {option.name: option.default for option in options}
            return {**defaults, **preset, **config, **{name: given[name] for name in defaults if name in given}}

        merged = {"command": self.command, **chosen(self.data, {}, config)}
        for part, options in (("model", self.model), ("fit", self.fit)):
            merged[part] = chosen(options, {} if preset is None else getattr(preset, part), config.get(part, {}))
        if merged["fit"]["checkpoint"] is not None:
            merged["fit"]["checkpoint"] = os.path.abspath(merged["fit"]["checkpoint"])
        return merged


def config_path(model: str) -> str:
    """Return the name of the configuration beside a model."""
    return os.path.splitext(model)[0] + ".toml"


def read_config(path: str | None, options: Options) -> dict[str, Any]:
    """Return a configuration, which is empty where there is none, or refuse that of another command."""
    command = options.command
    if path is None:
        return {"command": command}
    config = read_toml(path)
    if command_of(config) != command:
        raise ValueError(f"{path} must be of fastrnn {command}, got one of fastrnn {command_of(config)}")
    options.check(config, path)
    return config


def command_of(config: Mapping[str, Any]) -> Any:
    """Return the name of the command that a configuration is of."""
    return config.get("command", "train")


def check_output(output: str, inputs: Sequence[str]) -> None:
    """Refuse, before any time is spent on training, where a model and its configuration cannot be written."""
    check_writable(output, inputs)
    if config_path(output) == output:
        raise ValueError(f"{output} is where the configuration goes: give the model another name by -o")
    check_writable(config_path(output), inputs)


@contextmanager
def written_config(config: Mapping[str, Any]) -> Iterator[None]:
    """Write a configuration beside its model, before the training; one that is refused leaves what was there."""
    path = Path(config_path(config["output"]))
    before = path.read_bytes() if path.exists() else None
    again = f"fastrnn {config['command']} --config {path} repeats this training"
    write_toml(config, str(path), f"fastrnn {fastrnn.__version__}; {again}")
    try:
        yield
    except (TypeError, ValueError):
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
        raise
