"""The command line of a stage that is run alone: a run folder, and the stage's own options."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import yaml
from jsonargparse import ArgumentParser

from src.cli import grammar, parser_errors
from src.errors import UsageError, one_line
from src.run.folder import Run
from src.system import safe_yaml
from src.system.paths import expand_all, user_path

if TYPE_CHECKING:
    from src.data.dataset_module import DatasetModule

CONFIGS = Path(__file__).parents[2] / "configs"

Options = TypeVar("Options")

_FLAGS = {"-h", "--help"}  # options that take no value
_SHORT = {"-o": "--output"}


class _Parser(ArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        options = [action.dest for action in self._actions]
        raise parser_errors.from_parser(
            message, options, help_command=f"{self.prog} --help"
        ) from ex


def parse_data(words: Sequence[str]) -> DatasetModule:
    """The data set that ``data=name data.option=value ...`` names, as in training.

    Raises:
        UsageError: the words are wrong.
    """
    from src.data.dataset_module import DatasetModule  # with Lightning, which not all commands need

    parser = _Parser(prog="python -m src.data", allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(DatasetModule, "data", required=True)
    chosen = [word for word in words if word.startswith("data=")] or ["data="]
    files = [grammar.preset(CONFIGS, "data", word.partition("=")[2]) for word in chosen]
    rest = [word if word.startswith("-") else f"--{word}" for word in words if word not in chosen]
    config = expand_all(parser.parse_args([*(f"--config={file}" for file in files), *rest]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # .instantiate is not in 4.40
        module: DatasetModule = parser.instantiate_classes(config).data
    return module


def parse(stage: str, description: str | None, options: type[Options]) -> tuple[Run, Options]:
    """The run and the options that a stage's command line names.

    ``a=v`` is the same as ``--a=v``; ``stage=name`` takes the values of
    ``configs/<stage>/<name>.yaml``, over which others on the command line win. What is not given
    is as in the training of the run.

    Args:
        stage: the package in ``src`` that is run.
        description: for ``--help``.
        options: the stage's options, a dataclass.

    Raises:
        UsageError: the command line is wrong, or names no run.
    """
    run, _, chosen = _parse(stage, description, options, operand=None)
    return run, chosen


def typed(stage: str) -> str:
    """This command line, as it was typed."""
    return shlex.join(["python", "-m", f"src.{stage}", *sys.argv[1:]])


def parse_with(
    operand: str, stage: str, description: str | None, options: type[Options]
) -> tuple[Run, list[str], Options]:
    """The same for a stage that is given more than a run, as images: with these, in order.

    Args:
        operand: what it is given, as ``--help`` calls one of them.

    Raises:
        UsageError: the command line is wrong, names no run, or no operand.
    """
    run, operands, chosen = _parse(stage, description, options, operand)
    if not operands:
        raise UsageError(
            operand,
            expected="at least one",
            found="none",
            remedy=f"see python -m src.{stage} --help",
        )
    return run, operands, chosen


def _parse(
    stage: str, description: str | None, options: type[Options], operand: str | None
) -> tuple[Run, list[str], Options]:
    parser = _Parser(prog=f"python -m src.{stage}", description=description, allow_abbrev=False)
    parser.add_argument("run", type=str, metavar="RUN", help="the run's folder")
    if operand:
        parser.add_argument("operands", type=str, metavar=operand, nargs="*", help="one or more")
    parser.add_class_arguments(options, as_group=False)
    grammar.require_plain(sys.argv[1:])
    given, operands = _sorted(sys.argv[1:])
    if operands:
        with parser_errors.parsing(f"{parser.prog} --help"):
            parser.set_defaults(_own(operands[0], stage, options))
    if not given and not operands:
        raise UsageError(
            "RUN",
            expected="a run folder",
            found="nothing",
            remedy=f"see python -m src.{stage} --help",
        )
    presets = [word for word in given if word.startswith(f"--{stage}=")]
    for word in presets:
        file = grammar.preset(CONFIGS, stage, word.partition("=")[2])
        parser.set_defaults(yaml.safe_load(file.read_text(encoding="utf-8"))[stage])
    with parser_errors.parsing(f"{parser.prog} --help"):
        words = [word for word in given if word not in presets]
        config = expand_all(parser.parse_args([*words, *operands]))
    run = Run.open(config.pop("run"))
    rest = config.pop("operands", None) or []
    with warnings.catch_warnings(), parser_errors.parsing(f"{parser.prog} --help"):
        warnings.simplefilter("ignore", DeprecationWarning)  # .instantiate is not in 4.40
        chosen = parser.instantiate_classes(config)
        return run, rest, options(**chosen.as_dict())


def _own(folder: str, stage: str, options: type[Any]) -> dict[str, Any]:
    """What the run itself was trained with: the defaults of its stage, when that is run alone."""
    config = Run(user_path(folder, "RUN")).config
    try:
        content = safe_yaml.load(config.read_text(encoding="utf-8")) or {}
        values = dict(content.get(stage) or {})
        if stage == "export" and content.get("benchmark"):
            # The one budget, which is set with the measurement.
            values.setdefault("max_accuracy_drop", content["benchmark"]["max_accuracy_drop"])
    except OSError:
        return {}  # that it is no run is said when it is opened
    except (ValueError, AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UsageError(
            str(config),
            expected="a configuration that Lightship wrote",
            found=one_line(str(error)),
            remedy="train again, or mend the file",
        ) from error
    # The stage's own, without what is about the training around it, as export.preflight.
    known = {field.name for field in dataclasses.fields(options)}
    return {name: value for name, value in values.items() if name in known}


def _sorted(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options, each with its value, and what is none, wherever they stand."""
    options: list[str] = []
    operands: list[str] = []
    pending = iter(argv)
    for word in pending:
        if word in _FLAGS:
            options.append(word)
        elif word.startswith("-"):
            options.append(_SHORT.get(word, word))
            if "=" not in word:
                options += [value for value in [next(pending, None)] if value is not None]
        elif "=" in word and not os.path.exists(word):  # noqa: PTH110  # False for what is no path
            # A picture's name may have one as well.
            options.append(f"--{word}")
        else:
            operands.append(word)
    return options, operands
