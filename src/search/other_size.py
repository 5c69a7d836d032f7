"""Conclusions on a candidate from the forecast of another image size of its network and width.

Latency and memory grow with the image size, and the size of the files does not depend on it. So a
size that is clearly ruled out rules out the larger ones, and one with a file that keeps all limits
leaves the smaller ones possible: their forecasts could not rule them out. Nothing is concluded from
one width on another: a narrower network may be slower, because its channels are aligned worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from src.forecast.records import Candidate, FileCost, Timing
from src.search.limits import BATCH_SIZE
from src.search.records import Evidence, Limits

# Two forecasts of one file differ by their noise, so a figure at the limit says nothing about
# another size.
CLEAR_MARGIN: Final = 1.1


def deciding_size(
    image_size: int | None, forecasts: Mapping[int | None, Candidate], limits: Limits
) -> int | None:
    """Return the image size whose forecast decides a candidate; None if it has to be forecast.

    A smaller size rules the candidate out, a larger one leaves it possible. The nearest one
    decides. If a smaller and a larger one contradict each other, one of them was
    disturbed, and nothing is concluded.

    Args:
        image_size: of the candidate; None for the default of the data.
        forecasts: of other image sizes of the same network and width.
        limits: of the search.
    """
    if image_size is None:
        return None
    smaller, larger = [], []
    for size, forecast in forecasts.items():
        if size is None:
            continue
        if size < image_size and _rules_out_clearly(forecast, limits):
            smaller.append(size)
        if size > image_size and _has_possible(forecast, limits):
            larger.append(size)
    if smaller and larger:
        return None
    return max(smaller, default=None) or min(larger, default=None)


def without_figures(evidence: Sequence[Evidence], image_size: int) -> list[Evidence]:
    """Return the evidence of another size without its figures, which are not the candidate's own.

    A format that is ruled out at a larger size may keep the limits at a smaller one, so all are
    possible unless all are ruled out.

    Args:
        evidence: of the other size.
        image_size: the other size, which each reason names.
    """
    is_ruled_out = all(entry.reason for entry in evidence)
    return [
        Evidence(
            format=entry.format,
            device=entry.device,
            reason=f"at {image_size} px: {entry.reason}" if is_ruled_out else None,
        )
        for entry in evidence
    ]


def ruled_out_because(image_size: int) -> str:
    """Return why a candidate is ruled out by the forecast of a smaller size."""
    return (
        f"not forecast: at {image_size} px every format is ruled out by at least "
        f"{100 * (CLEAR_MARGIN - 1):.0f} %, and a larger image is never faster"
    )


def possible_because(image_size: int) -> str:
    """Return why a candidate is possible by the forecast of a larger size."""
    return (
        f"not forecast: at {image_size} px a format keeps the limits, and a smaller image is never "
        "slower"
    )


def first_to_forecast(sizes: Sequence[int | None], limits: Limits) -> int | None:
    """Return the image size whose forecast may spare the most forecasts of the others.

    The middle one bisects. Of two in the middle it is the larger one: one format that keeps the
    limits spares the smaller size, and all have to be ruled out to spare the larger one. Without a
    limit that a forecast can break, the forecast of the largest size is enough for all.

    Args:
        sizes: of the same network, not decided yet; at least one.
        limits: of the search.
    """
    ascending = sorted(sizes, key=lambda size: size or 0)
    return ascending[len(ascending) // 2] if may_rule_out(limits) else ascending[-1]


def may_rule_out(limits: Limits) -> bool:
    """Return True if there is a limit that the figures of a forecast can break."""
    return (limits.latency_s, limits.size_bytes, limits.memory_bytes) != (None, None, None)


def _rules_out_clearly(forecast: Candidate, limits: Limits) -> bool:
    timed = _timed(forecast)
    return bool(timed) and all(
        any(
            amount is not None and amount >= CLEAR_MARGIN * limit
            for amount, limit in _limited(file, timing, limits)
        )
        for file, timing in timed
    )


def _has_possible(forecast: Candidate, limits: Limits) -> bool:
    """Return True if a file has no figure that breaks a limit or is missing."""
    return any(
        all(
            amount is not None and amount <= limit
            for amount, limit in _limited(file, timing, limits)
        )
        for file, timing in _timed(forecast)
    )


def _timed(forecast: Candidate) -> list[tuple[FileCost, Timing]]:
    """Return the files with their timings; none if the forecast says nothing about other sizes.

    A format that failed, or that has no timing with one image, may work at another size: memory
    was short, or its runtime takes that size only. One such format is enough to leave the other
    sizes open. A row that was skipped says nothing either, but no size brings the device that it
    lacks, so it is left out if its format was timed on another device.
    """
    timed = [
        (file, timing)
        for file in forecast.files
        if file.status == "ok" and (timing := file.timing(BATCH_SIZE))
    ]
    formats = {file.format for file, _ in timed}
    rows = {(file.format, file.device) for file, _ in timed}
    is_open = forecast.status != "ok" or any(
        (file.format, file.device) not in rows
        and (file.status != "skipped" or file.format not in formats)
        for file in forecast.files
    )
    return [] if is_open else timed


def _limited(
    file: FileCost, timing: Timing, limits: Limits
) -> Iterator[tuple[float | None, float]]:
    """Yield the figures that have a limit, each with it. The latency is the first quartile."""
    for amount, limit in (
        (timing.low_s, limits.latency_s),
        (file.size_bytes, limits.size_bytes),
        (timing.peak_rss_bytes, limits.memory_bytes),
    ):
        if limit is not None:
            yield amount, limit
