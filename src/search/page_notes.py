"""Words of the certificate of a search: how it was decided, and how sure its figures are."""

from __future__ import annotations

from collections.abc import Iterable

from src.report.sections.speedups import ONE_PROCESS, is_of_one
from src.search.other_size import possible_because
from src.search.records import Evidence, JudgedFile, Outcome, SearchRecord

NOTES = (
    "Networks are dropped and chosen by their validation accuracy. Only the chosen file is judged "
    "by the test images: the test accuracy of the best of many is too high.",
    "An exception: a file that the test images do not show to keep the accuracy of its own network "
    "is not chosen. Another one: if they do not show the accuracy that is asked for, a file for "
    "which they do is chosen, of the same network first, then by validation accuracy.",
    "Networks within one standard error of the best validation accuracy count as equal; then the "
    "fastest file is chosen. Where an accuracy is asked for, this holds only for networks whose "
    "validation images show it.",
    "A forecast rules out and promises nothing: an int8 file of a trained network may be slower "
    "than in the forecast.",
    "A latency is of one call with one image on this machine, with its 95 % interval over "
    "processes. It holds if the whole interval is under the limit. Each interval misses the true "
    "value in one of twenty cases. Several files were measured, so one that lies at the limit may "
    "hold by luck: measure the chosen file once more with python -m src.benchmark RUN again=true.",
)
_ASSUMED = (
    f"{ONE_PROCESS}: the difference between processes was not measured; the interval assumes that "
    "it is at most a quarter. A file has one process with benchmark.processes=1, as in "
    "benchmark=quick, or where benchmark.max_seconds allowed no more. It does not show that a "
    "limit of latency holds: a file with a measured interval goes before it, and without one the "
    "answer is not settled. Measure the chosen file with more processes before you rely on its "
    "latency."
)


def notes_of(files: Iterable[JudgedFile]) -> list[str]:
    """Return the notes that the measured files need.

    Args:
        files: of the judged candidates.
    """
    is_assumed = any(file.latency and is_of_one(file.latency) for file in files)
    return [*NOTES, *([_ASSUMED] if is_assumed else [])]


def not_forecast_lines(record: SearchRecord) -> list[str]:
    """Return how many candidates were not forecast, and why; nothing if all were."""
    of_other_size = sum(outcome.forecast_size is not None for outcome in record.outcomes)
    never = sum(outcome.without_forecast for outcome in record.outcomes)
    return [
        f"{count} of {len(record.outcomes)} candidates {'was' if count == 1 else 'were'} not "
        f"forecast: {reason}"
        for count, reason in (
            (of_other_size, "the forecast of another image size of the same network decides"),
            (never, "no forecast was due until the decision"),
        )
        if count
    ]


def reason_of(outcome: Outcome) -> str:
    """Return the reason of a decision, which names the other image size that it is based on."""
    if outcome.without_forecast:
        return f"{outcome.reason}; not forecast"
    if outcome.forecast_size is None or outcome.kind == "ruled out":
        return outcome.reason
    return f"{outcome.reason}; {possible_because(outcome.forecast_size)}"


def forecast_says(outcome: Outcome, entry: Evidence) -> str:
    """Return what the forecast says of a format; the reason names another size that it is of."""
    is_forecast = outcome.forecast_size is None and not outcome.without_forecast
    return entry.reason or ("possible" if is_forecast else "not forecast")
