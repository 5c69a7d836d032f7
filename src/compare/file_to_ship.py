"""The file to ship below a latency, in words, and how far its figures are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from src.benchmark.statistics.latency import call_seconds
from src.compare.candidate import Candidate, best_within, within
from src.compare.comparability import Testbed, TestSet
from src.report.sections import verdicts
from src.report.sections.recommendation import points


def sentences(
    groups: Mapping[tuple[Testbed, TestSet], Sequence[Candidate]],
    size: int,
    seconds: float,
    *,
    has_one_budget: bool,
) -> Iterator[str]:
    """Yield a sentence with the file to ship for each place and set of images.

    Args:
        groups: the candidates of each place and set.
        size: images per call.
        seconds: the limit of the latency.
        has_one_budget: all candidates are judged by one accuracy budget, which need not be named.
    """
    for (testbed, test_set), group in groups.items():
        below = f"Under {1e3 * seconds:g} ms at batch {size} on {testbed}"
        comparable = [candidate for candidate in group if not candidate.embedded]
        if not comparable:
            continue
        best = best_within(group, seconds)
        if best is None:
            fastest = min(comparable, key=lambda candidate: candidate.cell.p50_s)
            verdict = f"verdict {verdicts.cell(fastest.row).text}"
            yield (
                f"{below}: nothing that keeps its accuracy budget; the fastest is "
                f"{fastest.name}, {_figures(fastest)}, "
                f"{verdict if fastest.holds else 'which does not hold there'}."
            )
        else:
            budget = "" if has_one_budget else f", within {points(best.budget)} of accuracy"
            yield (
                f"{below}: {best.name}, {_figures(best)}{budget}, on {test_set} ({best.run})."
                f"{_doubt(best, seconds)}{_selection(within(group, seconds))}"
            )


def _figures(candidate: Candidate) -> str:
    return (
        f"p50 {1e3 * candidate.cell.p50_s:.2f} ms, top-1 {100 * candidate.accuracy.top1:.2f} %, "
        f"{(candidate.row.size_bytes or 0) / 1e6:.1f} MB"
    )


def _doubt(best: Candidate, seconds: float) -> str:
    """Return a sentence if the interval of a file's latency is not wholly below the limit."""
    interval = call_seconds(best.cell)
    if interval is None:
        return " With fewer than two rounds, nothing shows that it is under the limit."
    if interval.high < seconds:
        return ""
    bounds = f"[{1e3 * interval.low:.2f}, {1e3 * interval.high:.2f}] ms"
    assumed = ", assumed for one process," if interval.processes == 1 else ""
    if interval.low >= seconds:
        # The median counts all calls alike, and the interval is of the mean over the processes.
        return (
            f" Its 95 % interval {bounds}{assumed} is above the limit, though the median of all "
            "its calls is below: do not count on it."
        )
    # An exam has as many processes as it has.
    remedy = "an exam tells no more" if best.of_exam else "more processes would tell"
    return f" Its 95 % interval {bounds}{assumed} reaches the limit: {remedy}."


def _selection(allowed: Sequence[Candidate]) -> str:
    """Return a sentence on the accuracy of a network that was chosen by the test images."""
    networks = {candidate.network for candidate in allowed}
    if len(networks) < 2:  # noqa: PLR2004  # one network was not chosen
        return ""
    return (
        f" It is the most accurate of {len(networks)} runs on the test images, so expect a little "
        "less than its top-1 of other images."
    )
