"""Explanations of quantized files that are not faster than the fp32 file of their runtime."""

from __future__ import annotations

from collections.abc import Iterator

from src.report.sections.rows import name_of, profile_of
from src.run.latency import RuntimeSpeedup
from src.run.results import Results
from src.run.row import Row

_QUANTIZED = "int8"
_WORDS = {"conversion": "converting between the two"}


def explanations(results: Results) -> Iterator[str]:
    """Yield a line for each int8 row that is not shown to be faster at its first batch size."""
    for row in results.rows:
        gain = row.latency[0].speedup_same_runtime if row.latency else None
        if row.precision == _QUANTIZED and gain is not None and gain.low <= 1:
            yield _explanation(row, gain, dot_product=results.environment.int8_dot_product)


def _explanation(row: Row, gain: RuntimeSpeedup, *, dot_product: bool) -> str:
    speed = "slower" if gain.high < 1 else "not measurably faster"
    conclusion = f"{name_of(row)} is {speed} than {gain.format}"
    profile = profile_of(row)
    reasons = []
    if profile.time:
        shares = sorted(profile.time.items(), key=lambda item: -item[1])
        time_by_precision = ", ".join(
            f"{share:.0%} {_WORDS.get(precision, f'in {precision}')}"
            + _nodes(profile.nodes.get(precision))
            for precision, share in shares
        )
        reasons.append(f"its time goes {time_by_precision}")
    if profile.operators:
        operator, share = next(iter(profile.operators.items()))
        reasons.append(f"most of it into {operator} ({share:.0%})")
    if not dot_product:
        reasons.append("this CPU has no instruction for int8 dot products")
    return f"{conclusion}: {', '.join(reasons)}" if reasons else conclusion


def _nodes(count: int | None) -> str:
    """Return the number of nodes in brackets; empty if it is not known."""
    return "" if count is None else f" ({count} node{'' if count == 1 else 's'})"
