"""The command line's short grammar, as a translation of argv and no more.

    model=convnext_t            --config configs/model/convnext_t.yaml
    trainer.max_epochs=20       --trainer.max_epochs=20
    ckpt_path=last              --ckpt_path=last

``group=name`` names a file in ``configs/<group>/``. Whatever their place on the line, files
come first and single values last, so that a value always wins: the base configuration, the
default groups, ``--config`` files, chosen groups, the experiment, then everything else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from src.errors import UsageError, printable
from src.system import safe_yaml
from src.system.paths import expand

SUBCOMMANDS = ("fit", "validate", "test", "predict")
DEFAULT_GROUPS = {"model": "resnet34", "data": "digits"}

_SHOWN = 80  # characters of a value in a message
_FLAGS = {"-h", "--help", "--print_config"}  # options that take no value of their own
_OF_CLASS = ".init_args."  # between an option of a class and its group, in a file
_EXPERIMENT = "experiment"


@dataclass
class _Words:
    """What argv asks for, sorted by kind."""

    groups: dict[str, str] = field(default_factory=dict)
    configs: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


def translate(argv: Sequence[str], configs: Path) -> list[str]:
    """``argv`` as LightningCLI understands it.

    Args:
        argv: the arguments, without the program's name.
        configs: the folder of configuration files, one folder in it a group.

    Raises:
        UsageError: a word is not understood, or a group has no such name.
    """
    if argv and argv[0] in {"-h", "--help"}:
        return ["--help"]
    subcommand, words = _subcommand(argv)
    require_plain(words)
    sorted_words = _sort(words, configs)
    files = [configs / "train.yaml"]
    taken = {*sorted_words.groups, *_groups_set_in(sorted_words)}
    files += [preset(configs, *item) for item in DEFAULT_GROUPS.items() if item[0] not in taken]
    chosen = sorted(sorted_words.groups.items(), key=lambda item: item[0] == _EXPERIMENT)
    return [
        subcommand,
        *_as_configs(files),
        *_as_configs(sorted_words.configs),
        *_as_configs(preset(configs, *item) for item in chosen),
        *sorted_words.rest,
    ]


def given(translated: Iterable[str], configs: Path) -> dict[str, object]:
    """The options that a user set, on the command line or in a file of their own; as written.

    Args:
        translated: what :func:`translate` gave.
        configs: the folder of configuration files, whose values are not the user's.
    """
    found: dict[str, object] = {}
    pending = iter(translated)
    for word in pending:
        if not word.startswith("--") or word in _FLAGS:
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        value = value if equals else next(pending, "")
        if name != "config":
            found[name.replace(_OF_CLASS, ".")] = value
        elif not Path(value).is_relative_to(configs):
            content = safe_yaml.load(Path(value).read_text(encoding="utf-8"))
            found |= {each.replace(_OF_CLASS, "."): leaf for each, leaf in _leaves(content)}
    return found


def _leaves(content: object, place: str = "") -> Iterator[tuple[str, object]]:
    """All values in nested mappings, by names as ``trainer.max_epochs``."""
    if not isinstance(content, dict):
        yield place, content
        return
    for name, value in content.items():
        yield from _leaves(value, f"{place}.{name}" if place else str(name))


def require_plain(words: Iterable[str]) -> None:
    """Refuse values that hold themselves or multiply, which a parser of them would follow.

    And those that are no text in UTF-8, which no configuration can hold.

    Raises:
        UsageError: a word is of that kind.
    """
    for word in words:
        name, equals, value = word.partition("=")
        if equals and printable(value) != value:
            raise UsageError(
                name.lstrip("-"),
                expected="a value in UTF-8",
                found=value[:_SHOWN],
                remedy="rename the file or folder, or start in that folder and call it .",
            )
        try:
            safe_yaml.load(value if equals else word)
        except yaml.YAMLError:
            continue  # the parser says what is wrong with it
        except ValueError as error:
            raise UsageError(
                name.lstrip("-"),
                expected="a plain value",
                found=f"{value[:_SHOWN]}: {error}",
                remedy="write it out",
            ) from error


def names(configs: Path, group: str) -> list[str]:
    """The names that ``group=`` accepts."""
    return sorted(path.stem for path in (configs / group).glob("*.yaml"))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What a misspelt word may have meant."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def _subcommand(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
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


def _sort(argv: Sequence[str], configs: Path) -> _Words:
    words = _Words()
    pending = iter(argv)
    for word in pending:
        if word in {"--config", "-c"}:
            words.configs.append(expand(next(pending, ""), "--config"))
        elif word.startswith("--config="):
            words.configs.append(expand(word.removeprefix("--config="), "--config"))
        elif word.startswith("-"):
            words.rest.append(word)
            if "=" not in word and word not in _FLAGS:
                words.rest += [value for value in [next(pending, None)] if value is not None]
        else:
            _short(word, words, configs)
    return words


def _short(word: str, words: _Words, configs: Path) -> None:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise UsageError(
            "command line",
            expected="group=name, a.b=value or --option value",
            found=word,
            remedy="see python -m src.train --help",
        )
    if (configs / name).is_dir():
        words.groups[name] = value
    else:
        words.rest.append(f"--{word}")


def preset(configs: Path, group: str, name: str) -> Path:
    """The file that ``group=name`` means.

    Raises:
        UsageError: there is none of that name.
    """
    known = names(configs, group)
    if name not in known:
        close = nearest(name, known)
        raise UsageError(
            group,
            expected=f"one of {', '.join(known)}",
            found=name or "nothing",
            remedy=f"did you mean {group}={close}?" if close else f"see configs/{group}/",
        )
    return configs / group / f"{name}.yaml"


def _groups_set_in(words: _Words) -> set[str]:
    """The default groups that the user's own files or options already choose a class for."""
    chosen = {
        group
        for group in DEFAULT_GROUPS
        for word in words.rest
        if word == f"--{group}" or word.startswith((f"--{group}=", f"--{group}.class_path"))
    }
    for file in words.configs:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue  # the parser opens it again and says what is wrong with it
        require_plain([f"--config {file}={text}"])
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError:
            continue  # the same
        if isinstance(content, dict):
            chosen |= {
                group
                for group in DEFAULT_GROUPS
                if isinstance(content.get(group), dict) and "class_path" in content[group]
            }
    return chosen


def _as_configs(files: Iterable[Path | str]) -> list[str]:
    return [f"--config={file}" for file in files]
