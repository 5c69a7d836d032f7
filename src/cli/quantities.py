"""Quantities with a unit on a command line, such as ``10ms``, ``5%`` and ``2h``."""

from __future__ import annotations

import re

from src.errors import UsageError

_LATENCY = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_DURATION = {"s": 1.0, "min": 60.0, "h": 3600.0}
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
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if not match:
        raise UsageError(name, expected="a percentage as 5%", found=text, remedy="add the % sign")
    return float(match[1]) / 100


def _quantity(name: str, text: str, units: dict[str, float], expected: str) -> float:
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)\s*({'|'.join(units)})", text.strip())
    if not match or not float(match[1]):
        raise UsageError(name, expected=expected, found=text, remedy="give it a unit")
    return float(match[1]) * units[match[2]]
