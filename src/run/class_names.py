"""Rules for class names, which end up in folders, tables, pages, tags and files of others."""

from __future__ import annotations

from collections.abc import Iterable

from src.errors import is_harmful

MOST_CHARACTERS = 255  # what a folder's name may have, which it is as a rule

_SEPARATORS = frozenset("/\\")


def problem(name: object) -> str | None:
    """Return why a class cannot have this name, or None if it can."""
    if not isinstance(name, str) or not name.strip():
        return f"a class without a name: {name!r}"[:MOST_CHARACTERS]
    if len(name) > MOST_CHARACTERS:
        return f"a class name of {len(name)} characters: {name[:40]!r}..."
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return f"a class name that is not UTF-8: {name!a}"
    for character in name:
        if is_harmful(character):
            return f"a class name with a control character: {name!r}"
        if character in _SEPARATORS:
            return f"a class name with a path separator: {name!r}"
    return f"a class name that is a path: {name!r}" if name in {".", ".."} else None


def first_problem(names: Iterable[object]) -> str | None:
    """Return what is wrong with the first unusable name, or None; names must differ."""
    seen = set()
    for name in names:
        if reason := problem(name):
            return reason
        if name in seen:
            return f"two classes of the name {name!r}"
        seen.add(name)
    return None


EXPECTED = f"class names of up to {MOST_CHARACTERS} printable characters without path separators"
