"""Verdicts on the figures of a file by the limits of a search."""

from __future__ import annotations

import math
from collections.abc import Iterator

from src.benchmark.statistics.shares import wilson
from src.forecast.records import FileCost, Timing
from src.report.sections.speedups import ONE_PROCESS, is_of_one
from src.run.latency import Interval
from src.search.records import AccuracyVerdict, Evidence, JudgedFile, LatencyVerdict, Limits

BATCH_SIZE = 1  # images per call that the limits are for


def evidence_of(file: FileCost, limits: Limits) -> Evidence:
    """Return whether the forecast of a file rules it out.

    An int8 file of a trained network may be slower and larger than in the forecast, never faster.
    So a forecast may rule a file out, and promises nothing.
    """
    timing = file.timing(BATCH_SIZE)
    reason = None
    if timing is None:
        reason = f"{file.status} in the forecast: {file.reason or 'not timed with one image'}"
    else:
        memory = timing.peak_rss_bytes
        reason = "; ".join(
            [
                *_over_latency(timing, limits),
                *_over(file.size_bytes, limits.size_bytes, "files"),
                *_over(memory, limits.memory_bytes, "peak memory"),
            ]
        )
    return Evidence(
        format=file.format,
        device=file.device,
        p50_s=timing.p50_s if timing else None,
        reason=reason or None,
    )


def _over_latency(timing: Timing, limits: Limits) -> Iterator[str]:
    limit = limits.latency_s
    if limit is not None and timing.low_s > limit:
        unstable = f" (unstable: {', '.join(timing.unstable)})" if timing.unstable else ""
        yield (
            f"forecast {milliseconds(timing.low_s)} to {milliseconds(timing.high_s)} ms, "
            f"wholly over {milliseconds(limit)} ms{unstable}"
        )


def _over(amount: int | None, limit: int | None, what: str) -> Iterator[str]:
    if amount is not None and limit is not None and amount > limit:
        yield f"forecast {amount / 1e6:.1f} MB of {what}, over {limit / 1e6:.1f} MB"


def latency_verdict(interval: Interval | None, limits: Limits) -> LatencyVerdict | None:
    """Return ``holds`` if the whole interval is below the limit; None without a limit."""
    limit = limits.latency_s
    if limit is None:
        return None
    if interval is None:
        return "inconclusive"
    if interval.high < limit:
        return "holds"
    return "exceeds" if interval.low > limit else "inconclusive"


def assumption(file: JudgedFile, limits: Limits) -> str | None:
    """Return why a file keeps the limit of latency by an assumption only; None if it does not.

    The interval of one process assumes the difference between processes and does not measure it.
    So it shows no limit to hold, but it is no reason to seek another candidate: a measurement with
    more processes costs less than a training.
    """
    interval = file.latency
    if interval is None or not is_of_one(interval) or latency_verdict(interval, limits) != "holds":
        return None
    return f"timed in {ONE_PROCESS}, so the interval of its latency is assumed and not measured"


def accuracy_interval(file: JudgedFile) -> tuple[float, float]:
    """Return the 95 % interval of a measured file's test top-1, by Wilson's score."""
    if file.top1 is None or file.images is None:
        raise ValueError(f"{file.format} on {file.device} has no accuracy")
    return wilson(file.top1, file.images)


def accuracy_verdict(file: JudgedFile, limits: Limits) -> AccuracyVerdict | None:
    """Return ``pass`` if the whole interval is at the limit or above; None without a limit."""
    if limits.top1 is None:
        return None
    low, high = accuracy_interval(file)
    if low >= limits.top1:
        return "pass"
    return "fail" if high < limits.top1 else "inconclusive"


def breaches(file: JudgedFile, limits: Limits) -> list[str]:
    """Return why a measured file is not shown to keep the limits that are no accuracy.

    Empty if it may be shipped as far as latency, size, memory and the accuracy that an export may
    lose are concerned. An interval that is assumed counts here as a measured one: see
    :func:`assumption`.
    """
    if file.status != "ok":
        return [f"{file.status}: {file.reason or 'no reason is known'}"]
    reasons = []
    verdict = latency_verdict(file.latency, limits)
    if limits.latency_s is not None and verdict in {"exceeds", "inconclusive"}:
        wholly = "wholly over" if verdict == "exceeds" else "not wholly under"
        reasons.append(f"{in_ms(file.latency)}, {wholly} {milliseconds(limits.latency_s)} ms")
    for amount, limit, what in (
        (file.size_bytes, limits.size_bytes, "files"),
        (file.peak_rss_bytes, limits.memory_bytes, "peak memory"),
    ):
        if limit is None:
            continue
        if amount is None:
            reasons.append(f"{what} not measured")
        elif amount > limit:
            reasons.append(f"{amount / 1e6:.1f} MB of {what}, over {limit / 1e6:.1f} MB")
    if not file.keeps_budget:
        reasons.append("not shown to keep the accuracy of its network")
    return reasons


def excess(file: JudgedFile, limits: Limits) -> float:
    """Return by which factor a measured file exceeds its worst limit; 1 or less if it keeps all.

    A figure that has a limit and was not measured exceeds it infinitely.
    """
    figures = (
        (file.latency.high if file.latency else None, limits.latency_s),
        (file.size_bytes, limits.size_bytes),
        (file.peak_rss_bytes, limits.memory_bytes),
    )
    return max(
        (math.inf if amount is None else amount / limit for amount, limit in figures if limit),
        default=0.0,
    )


def milliseconds(seconds: float) -> str:
    """Return a time as milliseconds with at least three digits, without a unit."""
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004  # not 1e+03


def in_brackets(interval: Interval) -> str:
    """Return the 95 % interval of a latency, marked as the report of a run does if it is assumed.

    See :func:`src.benchmark.statistics.latency.speedup`.
    """
    bounds = f"[{milliseconds(interval.low)}, {milliseconds(interval.high)}]"
    return f"{bounds} {ONE_PROCESS}" if is_of_one(interval) else bounds


def in_ms(interval: Interval | None) -> str:
    """Return a latency with its interval in words."""
    if interval is None:
        return "latency without an interval"
    low, high = milliseconds(interval.low), milliseconds(interval.high)
    is_assumed = f" (assumed: {ONE_PROCESS})" if is_of_one(interval) else ""
    return f"{milliseconds(interval.value)} ms [{low}, {high}]{is_assumed}"
