"""Conversion of JSON of unknown origin to records; errors name the position in the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from src.errors import UsageError, visible
from src.run.layout import GROUPS, as_dict, grouped
from src.run.record import (
    LINE_PATTERN,
    NUMERAL_PATTERN,
    ROUND_PATTERN,
    WORD_PATTERN,
    InvalidValueError,
    Record,
)

RecordType = TypeVar("RecordType", bound=Record)

_Token = str | int | None  # a name, an index, or None for a key that msgspec does not report
_TOKEN = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_MOST_SHOWN = 80  # characters of an invalid value in a message
_PATTERNS = {
    WORD_PATTERN: "a name of letters, digits and underscores",
    ROUND_PATTERN: "the number of a round",
    NUMERAL_PATTERN: "a number",
    LINE_PATTERN: "a text of one line",
}
_TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def read(path: Path, kind: type[RecordType], versions: Sequence[int]) -> RecordType:
    """Return the content of a JSON file that a stage wrote.

    Raises:
        UsageError: it is not such a file, is of another version, or has an invalid value.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        version = content.get("schema_version") if isinstance(content, dict) else content
        if type(version) is not int or version not in versions:
            expected = f"schema_version {' or '.join(map(str, versions))}"
            raise invalid_file(path, expected, repr(version)[:_MOST_SHOWN])
        record: RecordType = _shown(convert(content, kind))
    except InvalidValueError as error:
        raise invalid_file(path, error.expected, error.found) from error
    except (ValueError, OSError, RecursionError) as error:
        raise invalid_file(path, "a JSON file that Lightship wrote", str(error)) from error
    return record


def invalid_file(path: Path, expected: str, found: str) -> UsageError:
    """Return the error about a file of a run that is not as the stage writes it."""
    remedy = "run the stage that writes it again"
    return UsageError(str(path), expected=expected, found=found, remedy=remedy)


def convert(content: object, kind: type[RecordType]) -> RecordType:
    """Convert plain JSON values to a record.

    Raises:
        InvalidValueError: a value is not as expected.
    """
    values = grouped(content, kind)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _explained(error, values, kind) from error
    except UnicodeEncodeError as error:
        raise _unencodable(values) or InvalidValueError(
            "", "text in UTF-8", error.object
        ) from error


def require_readable(record: Record) -> None:
    """Refuse a record that could not be read again. Creating a record does not check bounds.

    Raises:
        InvalidValueError: a value is not as expected.
    """
    convert(as_dict(record), type(record))


def _unencodable(values: object) -> InvalidValueError | None:
    """Return the error about the first text that UTF-8 cannot encode; None if there is none."""
    match values:
        case str() if not _encodes(values):
            return InvalidValueError("", "a text", values)
        case dict():
            entries: Iterable[tuple[str, object]] = values.items()
            if name := next((name for name in values if not _encodes(name)), None):
                return InvalidValueError("", "names in UTF-8", name)
        case list():
            entries = ((f"[{index}]", entry) for index, entry in enumerate(values))
        case _:
            return None
    for name, entry in entries:
        if error := _unencodable(entry):
            return error.below(name)
    return None


def _explained(error: msgspec.ValidationError, values: object, kind: Any) -> InvalidValueError:
    """Return msgspec's error in everyday words, with the position and the value."""
    cause = error.__cause__
    message = str(error)
    if isinstance(cause, InvalidValueError):
        return cause.below(
            _text_of(_named(_tokens(message.removeprefix(str(cause))), values, kind))
        )
    what, _, where = message.rpartition(" - at ")
    if not what:
        what, where = message, ""
    tokens = _named(_tokens(where), values, kind)
    if where.startswith("`key`"):
        kind = get_args(_kind_at(kind, tokens))[0]
        entries: dict[str, Any] = _at(values, tokens)
        name = next((name for name in entries if not _fits(name, kind)), None)
        return InvalidValueError(f"a name in {_text_of(tokens)}", _expected(what, kind, []), name)
    if missing := _MISSING.match(what):
        return InvalidValueError(_text_of([*tokens, missing[1]]), "something", None)
    return InvalidValueError(_text_of(tokens), _expected(what, kind, tokens), _at(values, tokens))


def _expected(what: str, kind: Any, tokens: Sequence[_Token]) -> str:
    """Return msgspec's expectation in everyday words."""
    if what.startswith("Invalid enum value"):
        values = get_args(_kind_at(kind, tokens))
        return f"one of {', '.join(map(str, values))}" if values else "a known name"
    for pattern, words in _PATTERNS.items():
        if what.endswith(f"matching regex {pattern!r}"):
            return words
    what = what.removeprefix("Expected ").partition(", got ")[0]
    for name, words in _TYPES.items():
        what = re.sub(rf"\b{name}\b", words, what)
    return what.replace("`", "").replace(" | null", " or null")


def _tokens(where: str) -> list[_Token]:
    """Split msgspec's path, such as ``$.rows[0].seconds[...]``, into parts."""
    return [
        match["name"] or (None if match["index"] is None else int(match["index"]))
        for match in _TOKEN.finditer(where[where.find("$") + 1 :] if "$" in where else "")
    ]


def _named(tokens: list[_Token], values: object, kind: Any) -> list[_Token]:
    """Fill in keys of mappings, which msgspec does not report, by converting each entry alone."""
    while None in tokens:
        position = tokens.index(None)
        before = tokens[:position]
        entries = _at(values, before)
        if not isinstance(entries, dict):
            return before
        inner = get_args(_kind_at(kind, before))[1]
        name = next((name for name, entry in entries.items() if not _fits(entry, inner)), None)
        if name is None:
            return before
        tokens = [*before, name, *tokens[position + 1 :]]
    return tokens


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _at(values: Any, tokens: Sequence[_Token]) -> Any:
    for token in tokens:
        values = values[token]
    return values


def _kind_at(kind: Any, tokens: Sequence[_Token]) -> Any:
    """Return the type of the value at a position in a record."""
    for token in tokens:
        plain = _plain(kind)
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
            kind = get_type_hints(plain, include_extras=True)[str(token)]
        else:
            kind = get_args(plain)[-1]  # of a list or a mapping
    return _plain(kind)


def _plain(kind: Any) -> Any:
    """Return a type without its bounds and without None."""
    while get_origin(kind) in {Annotated, Union, _UNION}:
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind


_UNION = type(int | None)


def _text_of(tokens: Sequence[_Token]) -> str:
    parts = (
        f"[{token}]" if isinstance(token, int) else f".{token}"
        for token in tokens
        if token not in GROUPS
    )
    return "".join(parts).removeprefix(".")


def _shown(value: Any) -> Any:
    """Return the value with its control characters made visible, so that a terminal ignores them.

    Raises:
        InvalidValueError: a text has lone surrogates, which cannot be written again.
    """
    match value:
        case str():
            if not _encodes(value):
                raise InvalidValueError("", "a text", value)
            return visible(value)
        case list() if not all(isinstance(entry, int | float) for entry in value):
            entries = [_below(f"[{index}]", entry) for index, entry in enumerate(value)]
            return entries if _is_other(entries, value) else value
        case dict():
            named = {_shown(name): _below(name, entry) for name, entry in value.items()}
            is_other = _is_other(named, value) or _is_other(named.values(), value.values())
            return named if is_other else value
        case Record():
            before = {name: getattr(value, name) for name in value.__struct_fields__}
            after = {name: _below(name, entry) for name, entry in before.items()}
            is_other = _is_other(after.values(), before.values())
            return msgspec.structs.replace(value, **after) if is_other else value
        case _:
            return value


def _is_other(after: Iterable[object], before: Iterable[object]) -> bool:
    return any(one is not other for one, other in zip(after, before, strict=False))


def _below(name: str, value: Any) -> Any:
    try:
        return _shown(value)
    except InvalidValueError as error:
        raise error.below(name) from error


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is not JSON")
