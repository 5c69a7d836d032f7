"""The short grammar of the command line, translated to the options of LightningCLI.

    model=convnext_t            --config configs/model/convnext_t.yaml
    model=timm/lcnet_050        --config configs/family/mobile.yaml
                                --model.init_args.architecture=timm/lcnet_050
    trainer.max_epochs=20       --trainer.max_epochs=20
    ckpt_path=last              --ckpt_path=last

``group=name`` names a file in ``configs/<group>/``. A single value always overrides a file,
wherever they are on the line. The order of the translation, in which the last one wins: the base
configuration, the default groups, ``--config`` files, chosen groups, the experiment, the switch
``twin=``, single values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from src.cli import families
from src.cli.config_files import user_file
from src.cli.presets import MODEL, is_name, preset, require_name
from src.errors import UsageError, printable
from src.system import safe_yaml

SUBCOMMANDS = ("fit", "validate", "test", "predict")
DEFAULT_GROUPS = {"model": "resnet34", "data": "digits"}

_VALUE_CHARACTERS = 80  # of a value in a message
FLAGS = {"-h", "--help", "--print_config"}  # options that take no value
_INIT_ARGS = ".init_args."  # between a group and an option of its class, in a file
_EXPERIMENT = "experiment"
_SWITCHES = {"twin"}  # groups that say true or false, also after an experiment


@dataclass
class SortedArguments:
    """The arguments of a command line, sorted by kind."""

    groups: dict[str, str] = field(default_factory=dict)
    configs: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


def translate(argv: Sequence[str], configs: Path) -> list[str]:
    """Return the arguments that LightningCLI understands.

    Args:
        argv: the arguments, without the program's name.
        configs: the folder of configuration files, with one subfolder per group.

    Raises:
        UsageError: an argument is not understood, or a group has no such name.
    """
    if argv and argv[0] in {"-h", "--help"}:
        return ["--help"]
    subcommand, words = _split_subcommand(argv)
    require_plain(words)
    arguments = sort_arguments(words, configs, late=SUBCOMMANDS if words is argv else ())
    _choose_architecture(arguments, configs)
    files = [configs / "train.yaml"]
    chosen = {*arguments.groups, *_groups_with_a_class(arguments)}
    if families.GROUP in chosen:
        chosen.add(MODEL)
    files += [preset(configs, *item) for item in DEFAULT_GROUPS.items() if item[0] not in chosen]
    groups = sorted(arguments.groups.items(), key=lambda item: _rank(item[0]))
    return [
        subcommand,
        *_as_configs(files),
        *_as_configs(arguments.configs),
        *_as_configs(preset(configs, *item) for item in groups),
        *arguments.rest,
    ]


def _rank(group: str) -> int:
    """Return the place of a group: an experiment overrides others, and a switch overrides it."""
    return 2 if group in _SWITCHES else int(group == _EXPERIMENT)


def _choose_architecture(arguments: SortedArguments, configs: Path) -> None:
    """Replace ``model=LIBRARY/NAME`` by its recipe and its name as an option."""
    model = arguments.groups.get(MODEL, "")
    if families.is_of_library(model):
        del arguments.groups[MODEL]
        arguments.groups.setdefault(families.GROUP, families.recipe_of(model, configs))
        arguments.rest.insert(0, f"--{MODEL}{_INIT_ARGS}architecture={model}")
    elif families.GROUP in arguments.groups:
        raise UsageError(
            families.GROUP,
            expected="a network by its library, such as model=timm/lcnet_050, for this recipe",
            found=f"model={model or DEFAULT_GROUPS[MODEL]}",
            remedy=f"leave out {families.GROUP}",
        )


def user_options(translated: Iterable[str], configs: Path) -> dict[str, object]:
    """Return the options that a user set, on the command line or in a file of their own.

    Values of the command line are texts. Values of a file are as YAML reads them.

    Args:
        translated: the result of :func:`translate`.
        configs: the folder of configuration files, whose values are not the user's.
    """
    return _options(translated, lambda file: not file.is_relative_to(configs))


def line_options(translated: Iterable[str]) -> dict[str, object]:
    """Return the options of a command line without its files, as :func:`user_options` does."""
    return _options(translated, lambda _: False)


def all_options(translated: Iterable[str]) -> dict[str, object]:
    """Return the options of a command line and of all its files, as :func:`user_options` does."""
    return _options(translated, lambda _: True)


def _options(translated: Iterable[str], is_read: Callable[[Path], bool]) -> dict[str, object]:
    options: dict[str, object] = {}
    pending = iter(translated)
    for word in pending:
        if not word.startswith("--") or word in FLAGS:
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        value = value if equals else next(pending, "")
        if name != "config":
            options[name.replace(_INIT_ARGS, ".")] = value
        elif is_read(Path(value)):
            content = safe_yaml.load(_text_of(value))
            if isinstance(content, dict):
                leaves = _leaves(content)
                options |= {path.replace(_INIT_ARGS, "."): leaf for path, leaf in leaves}
    return options


def _text_of(config: str) -> str:
    """Return the text of a configuration file; the parser takes such text in its place, too."""
    try:
        return Path(config).read_text(encoding="utf-8")
    except OSError:
        return config


def _leaves(content: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield all values of nested mappings with names such as ``trainer.max_epochs``."""
    if not isinstance(content, dict):
        yield prefix, content
        return
    for name, value in content.items():
        yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))


def require_plain(words: Iterable[str]) -> None:
    """Check that all values are in UTF-8 and small: see :func:`src.system.safe_yaml.load`.

    A YAML value that contains itself or multiplies by aliases would hang the parser. A value that
    is not UTF-8 cannot be saved in config.yaml.

    Raises:
        UsageError: a value is not plain.
    """
    for word in words:
        name, equals, value = word.partition("=")
        if equals and printable(value) != value:
            raise UsageError(
                name.lstrip("-"),
                expected="a value in UTF-8",
                found=value[:_VALUE_CHARACTERS],
                remedy="rename the file or folder, or start in that folder and call it .",
            )
        try:
            safe_yaml.load(value if equals else word)
        except yaml.YAMLError:
            continue  # the parser reports it
        except ValueError as error:
            is_repeated = isinstance(error, safe_yaml.RepeatedKeyError)
            raise UsageError(
                name.lstrip("-"),
                expected="each name once" if is_repeated else "a plain value",
                found=str(error) if is_repeated else f"{value[:_VALUE_CHARACTERS]}: {error}",
                remedy="keep one of them" if is_repeated else "write it out",
            ) from error


def _split_subcommand(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    if argv and not argv[0].startswith("-") and "=" not in argv[0]:
        if argv[0] not in SUBCOMMANDS:
            raise UsageError(
                "subcommand",
                expected=f"one of {', '.join(SUBCOMMANDS)}, group=name or a.b=value",
                found=argv[0],
                remedy="see python -m src.train --help",
            )
        return argv[0], argv[1:]
    return "fit", argv


def sort_arguments(
    argv: Sequence[str],
    configs: Path,
    help_command: str = "python -m src.train --help",
    late: Sequence[str] = (),
) -> SortedArguments:
    """Sort ``group=name``, ``a.b=value``, ``--a.b=value``, ``--a.b value`` and ``--config FILE``.

    Args:
        argv: the arguments, without the program's name and the subcommand.
        configs: the folder of configuration files.
        help_command: prints the options; a message mentions it.
        late: subcommands that may come first, where none of them does.

    Raises:
        UsageError: an argument is of no such form.
    """
    arguments = SortedArguments()
    pending = iter(argv)
    for word in pending:
        if word in {"--config", "-c"}:
            arguments.configs.append(user_file(next(pending, "")))
        elif word.startswith("--config="):
            arguments.configs.append(user_file(word.removeprefix("--config=")))
        elif word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            words = [word]
            if not equals and word not in FLAGS:
                words += itertools.islice(pending, 1)
                value = words[-1]
            if is_name(configs, name, value):
                arguments.groups[name] = value
            else:
                arguments.rest += words
        else:
            remedy = f"write {word} before the options" if word in late else f"see {help_command}"
            _add_short_form(word, arguments, configs, remedy)
    return arguments


def _add_short_form(word: str, arguments: SortedArguments, configs: Path, remedy: str) -> None:
    """Add ``group=name`` or ``a.b=value``."""
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise UsageError(
            "command line",
            expected="group=name, a.b=value or --option value",
            found=word,
            remedy=remedy,
        )
    if name == "config":
        arguments.configs.append(user_file(value))
    elif (configs / name).is_dir():
        require_name(configs, name, value)
        arguments.groups[name] = value
    else:
        arguments.rest.append(f"--{word}")


def _groups_with_a_class(arguments: SortedArguments) -> set[str]:
    """Return the default groups for which the user's own files or options choose a class."""
    chosen = {
        group
        for group in DEFAULT_GROUPS
        for word in arguments.rest
        if word == f"--{group}" or word.startswith((f"--{group}=", f"--{group}.class_path"))
    }
    for file in arguments.configs:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue  # the parser opens it again and reports the error
        require_plain([f"--config {file}={text}"])
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError:
            continue  # the parser reports it
        if isinstance(content, dict):
            chosen |= {
                group
                for group in DEFAULT_GROUPS
                if isinstance(content.get(group), dict) and "class_path" in content[group]
            }
    return chosen


def _as_configs(files: Iterable[Path | str]) -> list[str]:
    return [f"--config={file}" for file in files]
