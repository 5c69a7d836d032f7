"""The recommended file for a device, decided from the measurements only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from src.benchmark.statistics.latency import rounds_of, speedup
from src.benchmark.statistics.verdict import TESTED, fails_on, keeps_budget, keeps_budget_here
from src.run import peak_memory
from src.run.latency import Cell
from src.run.pipeline import ImageSample
from src.run.results import HoldsHereOnly, Objective, Recommendation, Undecided
from src.run.row import RowFigures
from src.worker.memory_peak import STEADY

Rows = Sequence[RowFigures]
_Leads = Callable[[RowFigures, RowFigures], bool]


def recommend(
    rows: Rows,
    baseline: str,
    device: str,
    chosen_objective: Objective | None,
    images: ImageSample | None,
) -> Recommendation:
    """Return the row to ship on ``device`` among those that keep the accuracy budget.

    A row qualifies if no row that keeps the budget is measurably better. The smallest file of those
    is returned. The baseline always keeps the budget.

    Args:
        rows: rows of a measurement.
        baseline: the format that accuracy is compared with.
        device: the device; rows of other devices are ignored.
        chosen_objective: ``latency`` or ``memory`` at the smallest batch, ``throughput`` at the
            largest, ``size`` of the files, or ``pipeline`` from an image file to its label with the
            evaluation's decoder. The memory is the peak of a separate process; peaks that are
            closer than a steady one may grow are even. On a GPU it is the peak on the GPU if that
            is known for all rows, else the resident memory. None for the default: see
            :func:`resolved`.
        images: the image files that pipelines were timed on; None without pipelines.

    Returns:
        ``objective`` is the one that the rows were compared by;
        ``equals`` are the rows whose difference from the chosen one was not measurable;
        ``inconclusive`` are rows that are better but not shown to keep the budget, each with the
        number of images that would settle it; ``holds_here_only`` are better rows that keep the
        budget here, and not on an older instruction set that was tried. If no row keeps the budget,
        none is chosen, and all such rows are in these two lists. ``chosen_from`` counts the
        rows that keep the budget, with the baseline; ``tested`` counts the rows except the baseline
        whose accuracy was tested, at 5 % each; ``with_function`` is the row that the same rule
        chooses among those that also keep the probabilities, if the chosen one does not: see
        :mod:`src.benchmark.statistics.departure`.
    """
    rows = [row for row in rows if row.is_ok and row.device == device]
    objective = resolved(chosen_objective, rows, baseline, images)
    sizes = {cell.batch_size for row in rows for cell in row.latency}
    size = {"latency": min, "throughput": max, "memory": min}.get(objective, lambda _: None)(sizes)
    figure = _figure(objective, size, rows)
    # Ties go to the baseline: a figure that is unknown for all rows must not decide.
    ranked = sorted(rows, key=lambda row: (figure(row), row.format != baseline))
    passing = [row for row in ranked if keeps_budget(row, baseline)]
    compared = [row for row in rows if row.format != baseline]
    empty = Recommendation(
        format=None,
        objective=objective,
        batch_size=size,
        equals=[],
        inconclusive=[],
        chosen_from=len(passing),
        tested=sum(row.verdict in TESTED for row in compared),
        with_function=None,
    )
    if not passing:
        return _with_better(empty, ranked)

    # Sizes have no noise to allow for, and a figure that is unknown for all rows to choose from
    # tells nothing.
    is_exact = objective == "size" or all(math.isinf(figure(row)) for row in passing)

    def leads(row: RowFigures, other: RowFigures) -> bool:
        """Return True if ``row`` is measurably better; speeds are compared by their interval."""
        if is_exact:
            return figure(row) < figure(other)
        if objective == "memory":
            # The peak of one process counts as steady while it grows by no more than this.
            return figure(row) + STEADY * abs(figure(row)) < figure(other)
        if objective == "pipeline":
            mine, others = _whole(row), _whole(other)
            return mine is not None and (others is None or _leads(mine, others))
        return _leads(_cell(row, size), _cell(other, size))

    chosen = _chosen(passing, leads, is_exact=is_exact)
    others = [row for row in passing if row is not chosen]
    faithful = [row for row in passing if not _departs(row)]
    with_function = (
        _chosen(faithful, leads, is_exact=is_exact) if faithful and _departs(chosen) else None
    )
    better = [row for row in ranked if row not in passing and leads(row, chosen)]
    advice = msgspec.structs.replace(
        empty,
        format=chosen.format,
        with_function=with_function.format if with_function else None,
        equals=[
            row.format
            for row in ([] if is_exact else others)
            if not leads(row, chosen) and not leads(chosen, row)
        ],
    )
    return _with_better(advice, better)


def _with_better(advice: Recommendation, rows: Rows) -> Recommendation:
    """Return the recommendation with the reasons why better rows are not the chosen one."""
    return msgspec.structs.replace(
        advice,
        inconclusive=[
            Undecided(format=row.format, images_needed=_images_needed(row))
            for row in rows
            if row.verdict == "inconclusive"
        ],
        holds_here_only=[
            HoldsHereOnly(format=row.format, instruction_sets=fails_on(row))
            for row in rows
            if keeps_budget_here(row)
        ],
    )


def intended(objective: Objective | None, images: ImageSample | None) -> Objective:
    """Return the objective of a measurement: the user's, or else the one of its data set.

    The default is the pipeline if the images of the data set are files, else the latency.
    """
    return objective or ("pipeline" if is_about_pipelines(objective, images) else "latency")


def is_about_pipelines(objective: str | None, images: ImageSample | None) -> bool:
    """Return True if the objective of a measurement is the pipeline: see :func:`intended`.

    Args:
        objective: the user's, as a measurement stores it.
        images: the image files that pipelines were timed on; None without pipelines.
    """
    if objective is None:
        return images is not None and images.are_files
    return objective == "pipeline"


def resolved(
    objective: Objective | None, rows: Rows, baseline: str, images: ImageSample | None
) -> Objective:
    """Return the objective to compare the rows of a device by.

    It is the one of :func:`intended`, but the latency takes the place of the pipeline where a row
    that keeps the budget has none. A pipeline that the user chose stays if any row has one. In a
    web page none has.
    """
    meant = intended(objective, images)
    if meant != "pipeline":
        return meant
    if objective is None:
        compared = [row for row in rows if keeps_budget(row, baseline)]
        have_one = bool(compared) and all(map(_whole, compared))
    else:
        have_one = any(map(_whole, rows))
    return "pipeline" if have_one else "latency"


def _chosen(ranked: Rows, leads: _Leads, *, is_exact: bool) -> RowFigures:
    """Return the smallest file among the rows that no other row leads; ``ranked`` is not empty.

    Being even is not transitive: of three files in a row, each may be even with the next while the
    first leads the third. So it is not enough to compare all rows with the first. The relation may
    even be a cycle, because two rows are compared by the rounds that they have in common. Then the
    rows with the fewest leaders qualify.
    """
    if is_exact:
        return ranked[0]
    leaders = {row.key: sum(leads(other, row) for other in ranked) for row in ranked}
    fewest = min(leaders.values())
    unbeaten = [row for row in ranked if leaders[row.key] == fewest]
    return min(unbeaten, key=lambda row: row.size_bytes or 0)


def _figure(objective: Objective, size: int | None, rows: Rows) -> Callable[[RowFigures], float]:
    """Return the figure of the objective as a function of a row; smaller is better."""
    on_gpu = peak_memory.is_on_gpu(rows, size)

    def memory(row: RowFigures) -> float:
        value = peak_memory.compared(row, size, on_gpu=on_gpu)
        return math.inf if value is None else float(value)  # an unknown peak ranks last

    figures: dict[Objective, Callable[[RowFigures], float]] = {
        "latency": lambda row: _cell(row, size).p50_s,
        "throughput": lambda row: -_cell(row, size).images_per_second,
        "size": lambda row: float(row.size_bytes or 0),
        "memory": memory,
        "pipeline": lambda row: whole.p50_s if (whole := _whole(row)) else math.inf,
    }
    return figures[objective]


def _departs(row: RowFigures) -> bool:
    paired = row.accuracy.paired if row.accuracy else None
    return paired is not None and bool(paired.departures)


def _images_needed(row: RowFigures) -> int | None:
    paired = row.accuracy.paired if row.accuracy else None
    return paired.images_needed if paired else None


def _leads(cell: Cell, other: Cell) -> bool:
    """Return True if ``cell`` is measurably faster."""
    gain = speedup(rounds_of(other), rounds_of(cell))
    return gain is not None and gain.low > 1


def _whole(row: RowFigures) -> Cell | None:
    """Return the time of a row's pipeline with the evaluation's decoder; None if not timed."""
    pipeline = row.pipeline_of()
    return pipeline.whole if pipeline else None


def _cell(row: RowFigures, size: int | None) -> Cell:
    cell = row.cell(size)
    if cell is None:
        raise ValueError(f"{row.format} on {row.device} was not timed at batch {size}")
    return cell
