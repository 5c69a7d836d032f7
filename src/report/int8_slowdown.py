"""Why a quantized file is not faster than the fp32 file of the same runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_QUANTIZED = "int8"
_WORDS = {"conversion": "converting between the two"}


def explanations(results: dict[str, Any]) -> Iterator[str]:
    """A line for each int8 row that is not shown to be faster at its first batch size."""
    for row in results["rows"]:
        gain = row["latency"][0]["speedup_same_runtime"] if row["latency"] else None
        if row["precision"] == _QUANTIZED and gain is not None and gain["low"] <= 1:
            yield _line(row, gain, dot_product=results["environment"]["int8_dot_product"])


def _line(row: dict[str, Any], gain: dict[str, Any], *, dot_product: bool) -> str:
    speed = "slower" if gain["high"] < 1 else "not measurably faster"
    parts = [f"{row['format']} on {row['device']} is {speed} than {gain['format']}"]
    profile = row["profile"]
    if profile["time"]:
        shares = sorted(profile["time"].items(), key=lambda item: -item[1])
        spent = ", ".join(
            f"{share:.0%} {_WORDS.get(precision, f'in {precision}')}"
            + _nodes(profile["nodes"].get(precision))
            for precision, share in shares
        )
        parts.append(f"its time goes {spent}")
    if profile["operators"]:
        operator, share = next(iter(profile["operators"].items()))
        parts.append(f"most of it into {operator} ({share:.0%})")
    if not dot_product:
        parts.append("this CPU has no instruction for int8 dot products")
    return f"{parts[0]}: {', '.join(parts[1:])}" if parts[1:] else parts[0]


def _nodes(count: int | None) -> str:
    return "" if count is None else f" ({count} node{'' if count == 1 else 's'})"
