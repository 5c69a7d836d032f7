"""The measured figures as scalars by tag, as TensorBoard has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from src.report.sections.rows import Results, measured

_ACCURACY = ("top1", "top5", "delta_top1", "agreement", "ece", "kl")
_TIMING = (
    *("mean_s", "p50_s", "p90_s", "p99_s", "images_per_second"),
    *("peak_rss_bytes", "peak_device_bytes"),
)


def scalars(results: Results) -> dict[str, float]:
    """Return the figures of every measured row in SI base units."""
    return dict(_scalars(results))


def _scalars(results: Results) -> Iterator[tuple[str, float]]:
    for row in measured(results):
        tag = f"benchmark/{row['format']}/{row['device']}"
        yield f"{tag}/size_bytes", row["size_bytes"]
        yield f"{tag}/load_seconds", row["load_seconds"]
        for name in _ACCURACY:
            if row["accuracy"].get(name) is not None:
                yield f"{tag}/{name}", row["accuracy"][name]
        for cell in row["latency"]:
            yield from _of_cell(cell, f"{tag}/batch_{cell['batch_size']}")


def _of_cell(cell: dict[str, Any], tag: str) -> Iterator[tuple[str, float]]:
    for name in _TIMING:
        if cell.get(name) is not None:
            yield f"{tag}/{name}", cell[name]
    if cell["speedup"] is not None:
        yield f"{tag}/speedup", cell["speedup"]["value"]
