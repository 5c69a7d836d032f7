"""The command line of ``src.data``: a data set with its options, as in training."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import yaml

from src.cli import grammar, parser_errors, presets
from src.cli.stage_command import CONFIGS, StageParser, is_path
from src.data.dataset_module import DatasetModule
from src.errors import UsageError, one_line
from src.system import library_errors, safe_yaml
from src.system.paths import expand_all

_GROUP = "data"
_HELP = "python -m src.data --help"
_PLACES = {"data.root", "data.file"}  # options of a data set that may have been moved


def parse_data(words: Sequence[str]) -> DatasetModule:
    """Return the data set of ``data=name data.option=value ...``.

    The forms of an option are those of training. Of a ``--config`` file only the group ``data`` is
    read, so that it may be the file of a training.

    Raises:
        UsageError: an argument is wrong.
    """
    grammar.require_plain(words)
    arguments = grammar.sort_arguments(words, CONFIGS, _HELP)
    if others := sorted(set(arguments.groups) - {_GROUP}):
        raise UsageError(
            others[0],
            expected="data=NAME and options of the data only",
            found=f"{others[0]}={arguments.groups[others[0]]}",
            remedy=f"leave out {others[0]}",
        )
    configs = [_data_in(Path(file)) for file in arguments.configs]
    names_class = any(word.startswith(f"--{_GROUP}.class_path") for word in arguments.rest)
    names_class |= any(word.partition("=")[0] == f"--{_GROUP}" for word in arguments.rest)
    if _GROUP in arguments.groups or not (configs or names_class):
        configs.append(str(presets.preset(CONFIGS, _GROUP, arguments.groups.get(_GROUP, ""))))
    translated = [*(f"--config={config}" for config in configs), *arguments.rest]
    parser = StageParser(prog="python -m src.data", allow_abbrev=False, suggested=_options())
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(DatasetModule, _GROUP, required=True)
    with parser_errors.parsing(_HELP):
        config = expand_all(parser.parse_args(translated))
    with (
        parser_errors.parsing(_HELP),
        library_errors.explain_option_errors(
            lambda: grammar.user_options(arguments.rest, CONFIGS), dict, started=lambda: False
        ),
        warnings.catch_warnings(),
    ):
        # jsonargparse 4.40 lacks the successor of instantiate_classes.
        warnings.simplefilter("ignore", DeprecationWarning)
        module: DatasetModule = parser.instantiate_classes(config).data
    return module


def place_of_run(words: Sequence[str]) -> tuple[str, dict[str, str]] | None:
    """Return a run's folder, and the paths of its data set if that was moved.

    None if the words are no such command: a folder, and nothing but ``data.root`` and ``data.file``
    beside it, in each form of an option.
    """
    folders: list[str] = []
    moved: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.lstrip("-").partition("=")
        if is_path(word):
            folders.append(word)
        elif name in _PLACES and (equals or word.startswith("-")):
            moved[name.removeprefix(f"{_GROUP}.")] = value if equals else next(rest, "")
        elif equals or word.startswith("-"):
            return None
        else:
            folders.append(word)
    return (folders[0], moved) if len(folders) == 1 else None


def _data_in(file: Path) -> str:
    """Return the group ``data`` of a configuration file, as JSON.

    Raises:
        UsageError: the file cannot be read, or has no such group.
    """
    try:
        content = safe_yaml.load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(str(error))
        raise UsageError(
            "--config",
            expected="a YAML file of plain values",
            found=f"{file} ({reason})",
            remedy="name another file, or mend it",
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get(_GROUP), dict):
        raise UsageError(
            "--config",
            expected=f"a YAML file with the group {_GROUP}",
            found=f"{file} without it",
            remedy="name another file, or write data=NAME instead",
        )
    return json.dumps({_GROUP: content[_GROUP]}, default=str)


def _options() -> list[str]:
    """Return the names of the options of all data sets."""
    kinds = DatasetModule.__subclasses__()
    return [f"{_GROUP}.{name}" for kind in kinds for name in inspect.signature(kind).parameters]
