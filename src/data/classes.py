"""Check of class names."""

from __future__ import annotations

from collections.abc import Sequence

from src.errors import UsageError
from src.run import class_names


def require_classes(argument: str, names: Sequence[str]) -> list[str]:
    """Return the class names, at least two of them.

    Raises:
        UsageError: there are fewer than two, or a name is not valid.
    """
    if len(names) < 2:  # noqa: PLR2004
        raise UsageError(
            argument,
            expected="at least 2 classes",
            found=f"{len(names)}: {', '.join(names) or 'none'}",
            remedy="give each class a folder of its own",
        )
    if wrong := class_names.first_problem(names):
        raise UsageError(
            argument,
            expected=class_names.EXPECTED,
            found=wrong,
            remedy="rename that class",
        )
    return list(names)
