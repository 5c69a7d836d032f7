"""Which file to ship on a device: a decision that can be followed from the measurements alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from src.benchmark.options import Objective
from src.benchmark.statistics.latency import rounds_of, speedup
from src.benchmark.statistics.verdict import TESTED, keeps_budget

Figures = dict[str, Any]


def recommend(results: Figures, device: str, objective: Objective) -> Figures:
    """The row to ship on ``device`` among those that keep the accuracy budget.

    The best by the objective; where its lead over others cannot be measured, the smallest file
    of these. The baseline always keeps the budget.

    Args:
        results: the measurements, as in ``benchmark.json``.
        device: whose rows compete.
        objective: ``latency`` or ``memory`` at the smallest batch, ``throughput`` at the largest,
            or ``size`` of the files. The memory is the peak of a process of its own, on a GPU that
            of the GPU where it is known of all rows.

    Returns:
        ``format``; ``objective``; ``batch_size`` that decided, None for size;
        ``equals``, rows whose distance could not be measured; ``inconclusive``, rows that are
        better but not shown to keep the budget, each with the images that would settle it;
        ``chosen_from``, how many rows keep the budget, the baseline among them; ``tested``, how
        many rows beside the baseline had their accuracy tested, at 5 % each; ``with_function``, the
        best row that keeps the probabilities too, where the chosen one does not: see
        :mod:`src.benchmark.statistics.departure`.
    """
    rows = [row for row in results["rows"] if row["status"] == "ok" and row["device"] == device]
    baseline = results["baseline"]
    sizes = {cell["batch_size"] for row in rows for cell in row["latency"]}
    size = {"latency": min, "throughput": max, "memory": min}.get(objective, lambda _: None)(sizes)
    figure = _figure(objective, size, rows)
    # Of equal ones the baseline first: what could not be measured of any row decides nothing.
    ranked = sorted(rows, key=lambda row: (figure(row), row["format"] != baseline))
    passing = [row for row in ranked if keeps_budget(row, baseline)]
    others = [row for row in rows if row["format"] != baseline]
    advice: Figures = {
        "format": None,
        "objective": objective,
        "batch_size": size,
        "equals": [],
        "inconclusive": [],
        "chosen_from": len(passing),
        "tested": sum(row["verdict"] in TESTED for row in others),
        "with_function": None,
    }
    if not passing:
        return advice  # without a baseline no verdict is possible

    def leads(row: Figures, other: Figures) -> bool:
        # An interval of the speed decides; files and memory need none.
        return objective in {"size", "memory"} or _is_faster(row, other, size)

    equals = [row for row in passing[1:] if not leads(passing[0], row)]
    chosen = min([passing[0], *equals], key=lambda row: row["size_bytes"])
    faithful = [row["format"] for row in passing if not row["accuracy"].get("departures")]
    better = [
        row
        for row in ranked
        if row["verdict"] == "inconclusive"
        and row["format"] != baseline
        and figure(row) < figure(chosen)
        and leads(row, chosen)
    ]
    return advice | {
        "format": chosen["format"],
        "with_function": (next(iter(faithful), None) if chosen["format"] not in faithful else None),
        "equals": [row["format"] for row in [passing[0], *equals] if row is not chosen],
        "inconclusive": [
            {"format": row["format"], "images_needed": row["accuracy"]["images_needed"]}
            for row in better
        ],
    }


def _figure(
    objective: Objective, size: int | None, rows: Sequence[Figures]
) -> Callable[[Figures], float]:
    """What is best when it is smallest."""
    on_gpu = [_cell(row, size).get("peak_device_bytes") for row in rows if size is not None]
    memory = "peak_rss_bytes" if None in on_gpu else "peak_device_bytes"
    figures: dict[str, Callable[[Figures], float]] = {
        "latency": lambda row: float(_cell(row, size)["p50_s"]),
        "throughput": lambda row: -float(_cell(row, size)["images_per_second"]),
        "size": lambda row: float(row["size_bytes"]),
        "memory": lambda row: _known(_cell(row, size).get(memory)),
    }
    return figures[objective]


def _known(value: float | None) -> float:
    """A figure, of which what was not measured is the worst."""
    return math.inf if value is None else float(value)


def _is_faster(row: Figures, other: Figures, size: int | None) -> bool:
    """Whether ``row`` is measurably faster."""
    found = speedup(rounds_of(_cell(other, size)), rounds_of(_cell(row, size)))
    return found is not None and found.low > 1


def _cell(row: Figures, size: int | None) -> Figures:
    return next(cell for cell in row["latency"] if cell["batch_size"] == size)
