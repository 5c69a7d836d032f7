"""Check of class names, which are used in folders, tables, pages, tags and foreign files."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from src.errors import UsageError, is_harmful

MOST_CHARACTERS = 255  # limit of a folder's name: most class names come from folders

_MOST_SHOWN = 5  # names in a message
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


def require_same(trained: Sequence[str], present: Sequence[str]) -> None:
    """Refuse data whose classes are not those of the trained network: its outputs mean others.

    A copy of a folder from another system may spell a letter with an accent as two characters.

    Args:
        trained: class names of the network, in label order.
        present: class names of the data, in label order.

    Raises:
        UsageError: the classes or their order differ.
    """
    trained, present = _composed(trained), _composed(present)
    if trained == present:
        return
    before, after = set(trained), set(present)
    new = [name for name in present if name not in before]
    gone = [name for name in trained if name not in after]
    found = [f"{_shown(new)} in addition"] if new else []
    found += [f"no {_shown(gone)}"] if gone else []
    raise UsageError(
        "data",
        expected=f"the {len(trained)} classes of the training",
        found=" and ".join(found) or f"another order: {_shown(present)}",
        remedy="put the data set back as it was, or train again",
    )


def _composed(names: Iterable[str]) -> list[str]:
    return [unicodedata.normalize("NFC", name) for name in names]


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more


EXPECTED = f"class names of up to {MOST_CHARACTERS} printable characters without path separators"
