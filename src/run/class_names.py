"""Check of class names, which are used in folders, tables, pages, tags and foreign files."""

from __future__ import annotations

from collections.abc import Iterable

from src.errors import is_harmful

MOST_CHARACTERS = 255  # limit of a folder's name: most class names come from folders

_SEPARATORS = frozenset("/\\")


def problem(name: object) -> str | None:
    """Describe why a class name is not allowed; return None if it is."""
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
    """Describe the first name that is not allowed or not unique; return None if all are."""
    seen = set()
    for name in names:
        if description := problem(name):
            return description
        if name in seen:
            return f"two classes of the name {name!r}"
        seen.add(name)
    return None


EXPECTED = f"class names of up to {MOST_CHARACTERS} printable characters without path separators"
