"""Slowdowns by the clock of pipelines, over the image files that both measurements timed.

Each round of the pipelines has image files of its own, so the files of a measurement depend on its
number of rounds. Rows are compared with each other inside a measurement, where all have the same
files. By the clock two measurements are compared, so only rounds with the same files count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from src.benchmark.statistics.latency import rounds_of
from src.compare.slowdown import Slowdown
from src.compare.throughput import Throughput, is_interrupted
from src.run.latency import Cell, Turn
from src.run.pipeline import ImageSample, Pipeline
from src.run.results import Results

UNKNOWN = "not by the clock: their image files are not known, and the rounds are not the same"
TOO_FEW = "not by the clock: fewer than two rounds have the same image files in both"

Pipelines = Mapping[str, Pipeline]  # by name of the row or embedded file
RoundPairs = list[tuple[int, int]]  # numbers of an old and a new round with the same files


class ByClock(NamedTuple):
    """Slowdowns by the clock over the same files, and why other rows have none."""

    slowdowns: dict[str, Slowdown]
    reasons: dict[str, str]


def other_images(old: Results, new: Results) -> str | None:
    """Return why the pipelines of two measurements have other samples of image files, or None.

    Rows spend other shares of their time on decoding. So with other files their speeds relative to
    each other change too. A measurement with fewer rounds times fewer files of the same sample.
    """
    if old.image_sample is None or new.image_sample is None:
        return None
    before, after = _sample_of(old, old.image_sample), _sample_of(new, new.image_sample)
    if _timed_files(old) == _timed_files(new) != set():
        before |= _facts(old.image_sample)
        after |= _facts(new.image_sample)
    differing = [
        name
        for name, value in before.items()
        if value != after[name] and None not in {value, after[name]}
    ]
    if differing == ["images of the test set"]:
        return "OLD and NEW timed image files of two test sets"
    shown = "; ".join(f"{name} {before[name]} and {after[name]}" for name in differing)
    return f"OLD and NEW timed other image files ({shown})" if differing else None


def by_clock(old: Pipelines, new: Pipelines) -> ByClock:
    """Return the slowdowns by the clock, over the rounds with the same files in both.

    The rounds with the same files are paired, so the difference between files cancels. What the
    ratios of all rows have in common is treated as the drift of one measurement is.

    Args:
        old: the pipelines of a measurement.
        new: those of a later one, of the same rows.
    """
    ratios: dict[str, Cell] = {}
    reasons = {}
    pipelines = [*old.values(), *new.values()]
    middle = np.mean if any(is_interrupted(it.whole) for it in pipelines) else np.median
    numbers: dict[tuple[int, int], int] = {}  # of the pairs, which rows share
    for name in old:
        pairs = _same_rounds(old[name], new[name])
        before, after = rounds_of(old[name].whole), rounds_of(new[name].whole)
        kept = _of_partners(before, after, pairs or [])
        if len(kept) < 2:  # noqa: PLR2004  # a single round has no spread
            reasons[name] = UNKNOWN if pairs is None else TOO_FEW
            continue
        keys = {pair: str(numbers.setdefault(pair, len(numbers))) for pair in kept}
        ratios[name] = msgspec.structs.replace(
            old[name].whole,
            seconds={
                key: [float(middle(after[late].seconds) / middle(before[early].seconds))]
                for (early, late), key in keys.items()
            },
            process_of_round={key: before[early].process for (early, _), key in keys.items()},
            disturbance=None,
        )
    throughput = Throughput(ratios, means=False)
    slowdowns = {}
    for name in ratios:
        rate = throughput.rate(name)
        if rate is not None:
            slowdowns[name] = Slowdown.of_rate(rate).widened(*throughput.drift_reach(name))
    return ByClock(slowdowns, reasons)


def _sample_of(results: Results, sample: ImageSample) -> dict[str, str | bool | int | None]:
    """Return what decides the files of a sample; None where an earlier version did not store it."""
    return {
        "split": sample.split,
        "are_files": sample.are_files,
        "benchmark.pipeline_images": results.options.pipeline_images,
        "images of the test set": results.dataset.sha256 or None,
    }


def _timed_files(results: Results) -> set[int]:
    """Return the positions of the files that were timed; none if they are not known."""
    return {
        file
        for row in results.rows
        for pipeline in row.pipeline
        for files in (pipeline.files_of_round or {}).values()
        for file in files
    }


def _facts(sample: ImageSample) -> dict[str, str | bool | int | None]:
    """Return what is known of the files that were timed.

    Another version of Pillow may encode the images of a data set without files in other bytes.
    """
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(sample.kinds.items()))
    return {
        "images": sample.images,
        "kinds": kinds,
        "width_p50": sample.width_p50,
        "height_p50": sample.height_p50,
        "bytes_p50": sample.bytes_p50 if sample.are_files else None,
    }


def _same_rounds(old: Pipeline, new: Pipeline) -> RoundPairs | None:
    """Return the rounds with the same files in both, each round once; None if it is not known.

    Where the files are not known, rounds of the same number have the same, if all numbers are.
    """
    if old.files_of_round is None or new.files_of_round is None:
        same = old.whole.seconds.keys() == new.whole.seconds.keys()
        return [(int(number), int(number)) for number in old.whole.seconds] if same else None
    with_files: dict[tuple[int, ...], list[int]] = {}
    for number, files in new.files_of_round.items():
        with_files.setdefault(tuple(files), []).append(int(number))
    pairs = []
    for number, files in old.files_of_round.items():
        same_files = with_files.get(tuple(files))
        if same_files:
            pairs.append((int(number), same_files.pop(0)))
    return pairs


def _of_partners(old: Mapping[int, Turn], new: Mapping[int, Turn], pairs: RoundPairs) -> RoundPairs:
    """Return the pairs of rounds of processes that are partners.

    A process with files of several processes of the other measurement would make one observation of
    all of them. So each process has one partner, the one with most files in common, and the other
    pairs are left out.
    """
    common = Counter((old[early].process, new[late].process) for early, late in pairs)
    partners: dict[int, int] = {}
    for (one, other), _ in common.most_common():
        if one not in partners and other not in partners.values():
            partners[one] = other
    return [
        (early, late)
        for early, late in pairs
        if partners.get(old[early].process) == new[late].process
    ]
