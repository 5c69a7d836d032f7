"""The parser's complaints, each brought into one line: argument, expected, found, remedy."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import NoReturn

from src.cli.grammar import nearest
from src.errors import LightshipError, UsageError, describe, one_line, ours_in
from src.system import library_errors

_HELP = "python -m src.train fit --help"

_SHOWN = 300  # characters of what was raised
_KEY = re.compile(r'Parser key "([^"]+)"')
_UNKNOWN = re.compile(r"unrecognized arguments: (\S+)")
_NOT_ACCEPTED = re.compile(r"Option '([^']+)' is not accepted")
_LINKED = re.compile(r'Linked "([^"]+)" must be given via "([^"]+)"')
_MISSING = re.compile(r"the following arguments are required: ([\w.]+)")
_CLASS = re.compile(r"Problem with given class_path '([^']+)'")
_EXPECTED = re.compile(r"Expected an? ([^\n]+?)(?:\. Got value: [^\n]*)?$", re.MULTILINE)
_GOT = re.compile(r"(?:Got value: |Given value: )(.*)$", re.MULTILINE)
_NO_FILE = re.compile(r"File does not exist: '([^']+)'")
_NO_CLASS = re.compile(r"Expected a path but (\S+) either not accessible or invalid")


class OneLineParser(argparse.ArgumentParser):
    """argparse's parser, for a command with few options of its own."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(
            "command line",
            expected="a run and the options of --help",
            found=message,
            remedy=f"see {self.prog} --help",
        )


@contextlib.contextmanager
def parsing(help_command: str = _HELP) -> Iterator[None]:
    """Within this block, what a value leads the parser to raise is a complaint about the value.

    What our own code raises of itself is a defect, and stays as it is.

    Raises:
        LightshipError: of ours, that the parser may have wrapped, or one made of what it raised.
    """
    try:
        yield
    except LightshipError:
        raise
    except Exception as error:
        ours = ours_in(error)
        if ours is None and library_errors.is_defect(error):
            raise
        raise ours or UsageError(
            "command line",
            expected="what the parser takes",
            found=describe(error)[:_SHOWN],
            remedy=f"see {help_command}",
        ) from error


def from_parser(  # noqa: PLR0911  # a kind each
    message: str, options: Iterable[str], help_command: str = _HELP
) -> UsageError:
    """What jsonargparse says, over several lines and with its types, as one line.

    Args:
        message: jsonargparse's.
        options: the names of all options there are, as in ``trainer.max_epochs``.
        help_command: prints them.
    """
    see_help = f"see {help_command}"
    key = ""
    for match in _KEY.findall(message):
        # Nested parsers tell of one value again and again.
        if match not in {"config", key} and not key.endswith(f".{match}"):
            key = f"{key}.{match}" if key else match
    if found := _UNKNOWN.search(message):
        return _unknown(found[1].lstrip("-").partition("=")[0], options, see_help)
    if found := _NOT_ACCEPTED.search(message):
        group = f"{key}." if key else ""
        owner = _CLASS.search(message)
        return _unknown(f"{group}{found[1]}", options, see_help, owner[1] if owner else None)
    if found := _LINKED.search(message):
        return UsageError(
            found[1],
            expected=f"no value of its own, for it is that of {found[2]}",
            found="one",
            remedy=f"set {found[2]} instead",
        )
    if found := _MISSING.search(message):
        name = f"{key}.{found[1]}" if key else found[1]
        return UsageError(name, expected="a value", found="none", remedy=f"add {name}=VALUE")
    if found := _NO_FILE.search(message):
        return UsageError(
            "--config",
            expected="a YAML file",
            found=f"{found[1]}, which does not exist",
            remedy=see_help,
        )
    if found := _NO_CLASS.search(message):
        return UsageError(
            key,
            expected="a class that can be imported, or a YAML file",
            found=found[1],
            remedy="give a class name, its full path as in torch.optim.SGD, or the file's path",
        )
    # Of nested complaints the inner one is about the value, and stands before the outer's end.
    expected = list(dict.fromkeys(_plain(match) for match in _inner(message, _EXPECTED)))
    given = _GOT.search(message)
    if key and expected and given:
        return UsageError(
            key, expected=" or ".join(expected), found=given[1] or "nothing", remedy=see_help
        )
    return UsageError(
        key or "command line",
        expected="what the parser takes",
        found=one_line(message),
        remedy=see_help,
    )


def _unknown(
    name: str, options: Iterable[str], see_help: str, owner: str | None = None
) -> UsageError:
    close = nearest(name, options)
    return UsageError(
        name,
        expected=f"an option of {owner}" if owner else "an option that exists",
        found="one that does not",
        remedy=f"did you mean {close}?" if close else see_help,
    )


def _inner(message: str, pattern: re.Pattern[str]) -> list[str]:
    """Matches within the first complaint about a value, up to the value it was given."""
    start = max((match.end() for match in _KEY.finditer(message)), default=0)
    end = _GOT.search(message, start)
    return pattern.findall(message[start : end.end() if end else len(message)])


def _plain(kind: str) -> str:
    """A type as a person writes it: ``<class 'int'>`` is int, NoneType is null."""
    kind = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", kind)
    kind = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", kind).replace("'", "")
    return {"NoneType": "null"}.get(kind, kind)
