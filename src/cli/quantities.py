"""Quantities with a unit on a command line, such as ``10ms``, ``5%`` and ``2h``."""

from __future__ import annotations

import re
from decimal import Decimal

from src.errors import UsageError

_LATENCY = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_DURATION = {"s": 1.0, "min": 60.0, "h": 3600.0}
_LARGEST = 1e12  # seconds or bytes: more than any machine has
_SHOWN = 40  # characters in a message
_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


def latency(name: str, text: str) -> float:
    """Return ``10ms`` as 0.01."""
    return _quantity(name, text, _LATENCY, "a time as 10ms or 0.5s")


def duration(name: str, text: str) -> float:
    """Return ``2h`` as 7200.0."""
    return _quantity(name, text, _DURATION, "a time as 90s, 45min or 2h")


def size(name: str, text: str) -> int:
    """Return ``10MB`` as 10,000,000."""
    return round(_quantity(name, text, _BYTES, "a size as 500kB or 10MB"))


def fraction(name: str, text: str) -> float:
    """Return ``5%`` as 0.05."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*%", text.strip())
    if not match or float(match[1]) > _LARGEST:
        raise UsageError(
            name,
            expected="a percentage as 5%",
            found=text[:_SHOWN] or "nothing",
            remedy=_as_percentage(text),
        )
    return percent(match[1])


def percent(text: str) -> float:
    """Return a decimal number of percent as a share: ``0.7`` as 0.007, the nearest to it.

    ``float(text) / 100`` rounds twice: a measured share could differ from a limit that it equals.
    """
    return float(Decimal(text) / 100)


def _as_percentage(text: str) -> str:
    """Return the remedy for a number without the sign: up to 1 it is meant as a share."""
    if not re.fullmatch(r"\d{0,3}\.?\d{0,6}", text.strip()) or not any(map(str.isdigit, text)):
        return "add the % sign"
    value = float(text)
    return f"write {100 * value if value <= 1 else value:g}%"


def _quantity(name: str, text: str, units: dict[str, float], expected: str) -> float:
    match = re.fullmatch(rf"(\d+(?:\.\d+)?|\.\d+)\s*({'|'.join(units)})", text.strip())
    value = float(match[1]) * units[match[2]] if match else 0.0
    if not 0 < value <= _LARGEST:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise UsageError(
            name,
            expected=f"{expected}, above 0",
            found=shown or "nothing",
            remedy=f"give it a number and a unit: {', '.join(units)}",
        )
    return value
