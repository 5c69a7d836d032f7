"""One-line versions of the parser's errors: argument, expected, found, remedy."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import NoReturn

from src.cli.data_sets import data_sets_with
from src.cli.suggestions import suggest
from src.errors import LightshipError, UsageError, describe, lightship_error_in, one_line
from src.system import library_errors, quoting

_HELP = "python -m src.train fit --help"

_DATA_SETS = "src.data.datasets."
_NAMED = 2  # data sets in a message
# Base classes that have no options, and a class for a message.
_BASES = {
    "torch.optim.Optimizer": "AdamW",
    "torch.optim.lr_scheduler.LRScheduler": "CosineAnnealingLR",
}
_MESSAGE_CHARACTERS = 300  # of an exception's message that are shown
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
    """argparse's parser with one-line errors, for commands with few options."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(
            "command line",
            expected="a run and the options of --help",
            found=message,
            remedy=f"see {self.prog} --help",
        )


@contextlib.contextmanager
def parsing(help_command: str = _HELP) -> Iterator[None]:
    """Turn any exception that the parser raises because of a value into a LightshipError.

    A defect of this project's own code is raised as it is.

    Args:
        help_command: prints the options; the message mentions it.

    Raises:
        LightshipError: the one that the parser has wrapped, or one made from the parser's error.
    """
    try:
        yield
    except LightshipError:
        raise
    except Exception as error:
        own_error = lightship_error_in(error)
        if own_error is None and library_errors.is_defect(error):
            raise
        raise own_error or UsageError(
            "command line",
            expected="what the parser takes",
            found=describe(error)[:_MESSAGE_CHARACTERS],
            remedy=f"see {help_command}",
        ) from error


def from_parser(message: str, options: Iterable[str], help_command: str = _HELP) -> UsageError:
    """Return jsonargparse's message, which has several lines and Python types, as one line.

    Args:
        message: jsonargparse's message.
        options: the names of all options, such as ``trainer.max_epochs``.
        help_command: prints the options.
    """
    see_help = f"see {help_command}"
    key = _key_in(message)
    if match := _UNKNOWN.search(message):
        return _unknown(match[1].lstrip("-").partition("=")[0], options, see_help)
    if match := _NOT_ACCEPTED.search(message):
        group = f"{key}." if key else ""
        owner = _CLASS.search(message)
        return _unknown(f"{group}{match[1]}", options, see_help, owner[1] if owner else None)
    if match := _LINKED.search(message):
        return UsageError(
            match[1],
            expected=f"no value of its own, for it is that of {match[2]}",
            found="one",
            remedy=f"set {match[2]} instead",
        )
    if match := _MISSING.search(message):
        name = f"{key}.{match[1]}" if key else match[1]
        return UsageError(name, expected="a value", found="none", remedy=f"add {name}=VALUE")
    return _wrong_value(message, key, see_help)


def _key_in(message: str) -> str:
    """Return the full name of the option that a message is about; "" if it names none."""
    key = ""
    for part in _KEY.findall(message):
        # Nested parsers repeat the name of an option.
        if part not in {"config", key} and not key.endswith(f".{part}"):
            key = f"{key}.{part}" if key else part
    return key


def _wrong_value(message: str, key: str, see_help: str) -> UsageError:
    if match := _NO_FILE.search(message):
        return UsageError(
            "--config",
            expected="a YAML file",
            found=f"{match[1]}, which does not exist",
            remedy=see_help,
        )
    if match := _NO_CLASS.search(message):
        return UsageError(
            key,
            expected="a class that can be imported, or a YAML file",
            found=match[1],
            remedy="give a class name, its full path as in torch.optim.SGD, or the file's path",
        )
    # The inner message of nested ones is about the value. It ends before the outer one does.
    expected = list(dict.fromkeys(_plain_type(kind) for kind in _inner(message, _EXPECTED)))
    value = _GOT.search(message)
    if key and expected and value:
        brackets = "write " + quoting.shell(f"{key}=[{value[1].strip('()')}]")
        # A tuple has a fixed length, so brackets around one value would be wrong, too.
        takes_several = "list" in expected or ("tuple" in expected and "," in value[1])
        return UsageError(
            key,
            expected=" or ".join(expected),
            found=value[1] or "nothing",
            remedy=brackets if takes_several and value[1] and "[" not in value[1] else see_help,
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
    close = suggest(name, options)
    remedy = f"did you mean {close}?" if close else see_help
    return UsageError(
        name,
        expected=f"an option of {owner}" if owner else "an option that exists",
        found="one that does not",
        remedy=_of_another_class(name, owner) or remedy,
    )


def _of_another_class(name: str, owner: str | None) -> str | None:
    """Return the remedy for an option that a data set, optimizer or schedule has, but not this."""
    group, _, option = name.partition(".")
    if owner is not None and owner.startswith(_DATA_SETS):
        others = [f"data={data_set}" for data_set in data_sets_with(option)]
        more = " or another" if len(others) > _NAMED else ""
        return f"add {' or '.join(others[:_NAMED])}{more}, which has it" if others else None
    if owner in _BASES:
        return f"name the class first, such as {group}={_BASES[owner]}"
    return None


def _inner(message: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the matches in the innermost message about a value, up to that value."""
    start = max((match.end() for match in _KEY.finditer(message)), default=0)
    end = _GOT.search(message, start)
    return pattern.findall(message[start : end.end() if end else len(message)])


def _plain_type(kind: str) -> str:
    """Return a type as YAML names it: ``<class 'int'>`` is int, NoneType is null."""
    kind = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", kind)
    kind = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", kind).replace("'", "")
    return {"NoneType": "null"}.get(kind, kind)
