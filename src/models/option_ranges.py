"""Check of the numeric options that all architectures share."""

from __future__ import annotations

from src.errors import UsageError


def require_range(argument: str, value: float, low: float, high: float) -> None:
    """Refuse a number below ``low``, or not below ``high``.

    Raises:
        UsageError: naming ``argument``.
    """
    if not low <= value < high:
        raise UsageError(
            argument,
            expected=f"a number from {low} up to {high}, not included",
            found=str(value),
            remedy=f"leave out {argument} for its default",
        )
