"""The command line of a stage that runs alone: a run folder and the stage's options."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from jsonargparse import ArgumentParser

from src.cli import grammar, parser_errors
from src.cli.presets import preset as file_of
from src.errors import UsageError, one_line
from src.run.earlier_results import EarlierResults, Stage
from src.run.folder import Run
from src.system import safe_yaml
from src.system.paths import expand_all, user_path
from src.system.project_commands import options_of, typed, without_again
from src.system.switched_options import needing

CONFIGS = Path(__file__).parents[2] / "configs"

Options = TypeVar("Options")

_WITH_DATA = {"twin", "export", "benchmark", "bundle"}  # stages that read the run's data set
_OF_TRAINING = {"twin", "export", "benchmark"}  # stages whose options a training has, too
_FLAGS = {"-h", "--help"}  # options that take no value
_STANDARD_INPUT = "-"  # its usual name, which is no option
_SHORT = {"-o": "--output", "--with": "--other_version"}


class StageParser(ArgumentParser):
    """jsonargparse's parser with one-line errors.

    Args:
        needed: words without which ``--help`` is that of another command, with a space at the end.
        suggested: names of options that the parser knows after the choice of a class.
        options: those of ``ArgumentParser``.
    """

    def __init__(self, *, needed: str = "", suggested: Sequence[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self.suggested = suggested
        self.help_command = f"{self.prog} {needed}--help"

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        options = [*(action.dest for action in self._actions), *self.suggested]
        raise parser_errors.from_parser(message, options, help_command=self.help_command) from ex


def parse(
    stage: str, description: str | None, options: type[Options], needed: str = ""
) -> tuple[Run, Options]:
    """Return the run and the options that a stage's command line names.

    ``a=v`` is the same as ``--a=v``. ``stage=name`` takes the values of
    ``configs/<stage>/<name>.yaml``, which single values override. The default of each option that
    a training has is its value in the run's training, but for ``again``.

    Args:
        stage: the name of the package in ``src``.
        description: the text of ``--help``.
        options: the dataclass of the stage's options.
        needed: words without which ``--help`` is that of another command, with a space at the end.

    Raises:
        UsageError: the command line is wrong, or names no run.
    """
    run, _, values = _parse(stage, description, options, operand=None, needed=needed)
    return run, values


def command_line(stage: str) -> str:
    """Return this command line as the user typed it."""
    return shlex.join(["python", "-m", f"src.{stage}", *sys.argv[1:]])


def going_on(stage: Stage, earlier: EarlierResults) -> str:
    """Return the advice of this command, which was stopped, on how to go on.

    The word ``again=true`` is left out unless an earlier result still stands.

    Args:
        stage: the name of the package in ``src``.
        earlier: results of the run when this command began.
    """
    words = sys.argv[1:]
    words = words if earlier.stand(stage) else without_again(words)
    return f"go on with: {typed(f'src.{stage}', words)}"


def parse_with_operands(
    operand: str, stage: str, description: str | None, options: type[Options]
) -> tuple[Run, list[str], Options]:
    """Return the run, the operands and the options of a stage that takes more than a run.

    Args:
        operand: the name of one operand in ``--help``, such as IMAGE.
        stage: as for :func:`parse`.
        description: as for :func:`parse`.
        options: as for :func:`parse`.

    Raises:
        UsageError: the command line is wrong, or names no run or no operand.
    """
    run, operands, values = _parse(stage, description, options, operand)
    if not operands:
        raise UsageError(
            operand,
            expected="at least one",
            found="none",
            remedy=f"see python -m src.{stage} --help",
        )
    return run, operands, values


def _parse(
    stage: str,
    description: str | None,
    options: type[Options],
    operand: str | None,
    needed: str = "",
) -> tuple[Run, list[str], Options]:
    parser = StageParser(
        needed=needed, prog=f"python -m src.{stage}", description=description, allow_abbrev=False
    )
    parser.add_argument("run", type=str, metavar="RUN", help="the run's folder")
    if operand:
        parser.add_argument("operands", type=str, metavar=operand, nargs="*", help="one or more")
    parser.add_class_arguments(options, as_group=False)
    if stage in _WITH_DATA:
        for name, place in (("root", "folder"), ("file", "CSV file")):
            text = f"{place} of the run's data set, if it was moved"
            parser.add_argument(f"--data.{name}", type=str | None, metavar="PATH", help=text)
    grammar.require_plain(sys.argv[1:])
    help_command = parser.help_command
    words, operands = _split_operands(sys.argv[1:])
    if operands:
        with parser_errors.parsing(help_command):
            parser.set_defaults(_training_options(operands[0], stage, options))
    if not words and not operands:
        raise UsageError(
            "RUN",
            expected="a run folder",
            found="nothing",
            remedy=f"see {help_command}",
        )
    presets = [word for word in words if word.startswith(f"--{stage}=")]
    if presets and needed:
        raise UsageError(
            presets[0].removeprefix("--"),
            expected=f"single options with {needed.strip()}, which a preset does not have",
            found="a preset",
            remedy=f"see {help_command}",
        )
    for word in presets:
        file = file_of(CONFIGS, stage, word.partition("=")[2])
        preset = yaml.safe_load(file.read_text(encoding="utf-8"))[stage]
        parser.set_defaults(_known(preset, options))
    with parser_errors.parsing(help_command):
        single_values = [word for word in words if word not in presets]
        config = expand_all(parser.parse_args([*single_values, *operands]))
    _reset_unneeded(config, options, single_values)
    run = Run.open(config.pop("run"))
    if (moved := config.pop("data", None)) is not None:
        run = dataclasses.replace(run, data_paths=data_paths(vars(moved)))
    rest = config.pop("operands", None) or []
    with warnings.catch_warnings(), parser_errors.parsing(help_command):
        # jsonargparse 4.40 lacks the successor of instantiate_classes.
        warnings.simplefilter("ignore", DeprecationWarning)
        values = parser.instantiate_classes(config)
        return run, rest, options(**values.as_dict())


def _reset_unneeded(config: Any, options: type[Any], words: Sequence[str]) -> None:
    """Leave out the training's value of each option whose switch this command turns off.

    An option that is typed beside such a switch stays, and is refused.
    """
    typed_names = {name for name, _ in options_of(words)}
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    for name, switch in needing(options).items():
        if not config[switch] and name not in typed_names:
            config[name] = defaults[name]


def data_paths(options: Mapping[str, str | None]) -> dict[str, str]:
    """Return the given options of a moved data set, as absolute paths."""
    return {
        name: str(user_path(path, f"data.{name}").absolute())
        for name, path in options.items()
        if path is not None
    }


def _training_options(folder: str, stage: str, options: type[Any]) -> dict[str, object]:
    """Return a stage's options in the run's training, which are the defaults of the stage."""
    if stage not in _OF_TRAINING:
        return {}  # a run may be a stranger's, and other options name files of this machine
    config = Run(user_path(folder, "RUN")).config
    try:
        content = safe_yaml.load(config.read_text(encoding="utf-8")) or {}
        values = dict(content.get(stage) or {})
        if stage in {"export", "twin"} and content.get("benchmark"):
            # The stages share this option, which training sets with the measurement.
            values.setdefault("max_accuracy_drop", content["benchmark"]["max_accuracy_drop"])
        values.pop("again", None)  # of one command: each later one would begin anew
    except OSError:
        return {}  # opening the run reports that it has no configuration
    except (ValueError, AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UsageError(
            str(config),
            expected="a configuration that Lightship wrote",
            found=one_line(str(error)),
            remedy="train again, or mend the file",
        ) from error
    return _known(values, options)


def _known(values: Mapping[str, object], options: type[Any]) -> dict[str, object]:
    """Leave out options that only training has, such as export.preflight."""
    known = {field.name for field in dataclasses.fields(options)}
    return {name: value for name, value in values.items() if name in known}


def _in_full(word: str) -> str:
    """Return an option by its full name, with its value if there is one."""
    name, equals, value = word.partition("=")
    return _SHORT.get(name, name) + equals + value


def is_path(word: str) -> bool:
    """Return True for a word that names a path, which may contain "=", and for no option."""
    exists = os.path.exists(word)  # noqa: PTH110  # Path's raises for some text
    return exists or os.sep in word.partition("=")[0]


def _split_operands(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options with their values, and the operands, in any order of the line."""
    options: list[str] = []
    operands: list[str] = []
    pending = iter(argv)
    for word in pending:
        if word in _FLAGS:
            options.append(word)
        elif word.startswith("-") and word != _STANDARD_INPUT:
            options.append(_in_full(word))
            if "=" not in word:
                options += [value for value in [next(pending, None)] if value is not None]
        elif "=" in word and not is_path(word):
            options.append(_in_full(f"--{word}"))
        else:
            operands.append(word)
    return options, operands
