"""Which file to ship on a device: a decision that can be followed from the measurements alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from src.benchmark.latency import rounds_of, speedup
from src.benchmark.options import Objective

Figures = dict[str, Any]


def recommend(results: Figures, device: str, objective: Objective) -> Figures:
    """The row to ship on ``device`` among those that keep the accuracy budget.

    The best by the objective; where its lead over others cannot be measured, the smallest file
    of these. The baseline always keeps the budget.

    Args:
        results: the measurements, as in ``benchmark.json``.
        device: whose rows compete.
        objective: ``latency`` at the smallest batch, ``throughput`` at the largest, ``size`` of
            the files, or ``memory`` at the peak.

    Returns:
        ``format``; ``objective``; ``batch_size`` that decided, None for size and memory;
        ``equals``, rows whose distance could not be measured; ``inconclusive``, rows that are
        better but not shown to keep the budget, each with the images that would settle it.
    """
    rows = [row for row in results["rows"] if row["status"] == "ok" and row["device"] == device]
    baseline = results["baseline"]
    sizes = {cell["batch_size"] for row in rows for cell in row["latency"]}
    size = {"latency": min, "throughput": max}.get(objective, lambda _: None)(sizes)
    figure = _figure(objective, size)
    ranked = sorted(rows, key=figure)
    passing = [row for row in ranked if row["verdict"] == "pass" or row["format"] == baseline]
    if not passing:
        # Without a baseline no verdict is possible.
        return {
            "format": None,
            "objective": objective,
            "batch_size": size,
            "equals": [],
            "inconclusive": [],
        }
    equals = [row for row in passing[1:] if not _leads(passing[0], row, size)]
    chosen = min([passing[0], *equals], key=lambda row: row["size_bytes"])
    better = [
        row
        for row in ranked
        if row["verdict"] == "inconclusive"
        and row["format"] != baseline
        and figure(row) < figure(chosen)
        and _leads(row, chosen, size)
    ]
    return {
        "format": chosen["format"],
        "objective": objective,
        "batch_size": size,
        "equals": [row["format"] for row in [passing[0], *equals] if row is not chosen],
        "inconclusive": [
            {"format": row["format"], "images_needed": row["accuracy"]["images_needed"]}
            for row in better
        ],
    }


def _figure(objective: Objective, size: int | None) -> Callable[[Figures], float]:
    """What is best when it is smallest."""
    figures: dict[str, Callable[[Figures], float]] = {
        "latency": lambda row: float(_cell(row, size)["p50_s"]),
        "throughput": lambda row: -float(_cell(row, size)["images_per_second"]),
        "size": lambda row: float(row["size_bytes"]),
        "memory": lambda row: float(row["peak_rss_bytes"]),
    }
    return figures[objective]


def _leads(row: Figures, other: Figures, size: int | None) -> bool:
    """Whether ``row`` is measurably faster; size and memory need no interval."""
    if size is None:
        return True
    found = speedup(rounds_of(_cell(other, size)), rounds_of(_cell(row, size)))
    return found is not None and found.low > 1


def _cell(row: Figures, size: int | None) -> Figures:
    return next(cell for cell in row["latency"] if cell["batch_size"] == size)
