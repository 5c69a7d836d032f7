"""The warning about an unhealthy network: one line, and a table of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from src.report.writers.markdown_table import line, rule

HEADS = (
    ("layer", True),
    ("kind", True),
    ("largest value", False),
    ("times the median image's", False),
    ("constant channels", False),
)


def warning(record: Mapping[str, Any]) -> str | None:
    """Return what is off in one line; None if nothing is, or nobody looked.

    Args:
        record: of a manifest or a ``benchmark.json``, which has ``health``.
    """
    problems = (record.get("health") or {}).get("problems")
    if not problems:
        return None
    return (
        f"The trained network is not healthy: {'; '.join(problems)}. Its quantized files may lose "
        "their function; docs/training.md says what helps."
    )


def rows(record: Mapping[str, Any]) -> list[list[str]]:
    """The layers with the largest outliers, as text; none for a healthy network."""
    if warning(record) is None:
        return []
    return [
        [
            layer["name"],
            layer["kind"],
            f"{layer['largest']:.3g}",
            f"{layer['ratio']:.3g}",
            "-" if layer.get("dead") is None else f"{layer['dead']:.0%}",
        ]
        for layer in record["health"]["layers"]
    ]


def section(record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a section of ``report.md``; none for a healthy network."""
    layers = rows(record)
    if not layers:
        return
    yield from ("", "## The layers with the largest outliers", "")
    yield line(head for head, _ in HEADS)
    yield rule(is_text for _, is_text in HEADS)
    yield from (line(cells) for cells in layers)
