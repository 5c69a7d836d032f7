"""Regressions from one measurement to the next: losses by more than is allowed.

Two measurements are two sessions on a machine whose speed changes from hour to hour by more than
any regression worth catching, and alike for all that runs on it. So a row's slowdown by the clock
decides nothing alone. Three yardsticks are put beside each other, each with a 95 % interval:

- **peers**: the row's slowdown over that of the median of the others. What slows the machine
  slows the median as well, and neither one row that regressed nor a restless baseline
  moves a median. It is blind where half of the rows regress alike.
- **baseline**: over the baseline's slowdown. It sees that, but takes the baseline's own luck in a
  session for everybody's.
- **clock**: in milliseconds, as they were. It takes the machine's hour for the file's.

A row has regressed where the slowdown by its peers is shown to be more than is allowed, or those
by the baseline and by the clock both are. An interval comes from the processes of the two
measurements (see :mod:`src.compare.throughput`); of a row that had one process it is assumed, so
wide that only a gross regression is shown. With fewer than three rows in common there is no
median to speak of, and the baseline alone decides; of the baseline alone, the clock.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Literal

from src.compare.comparability import assumed, test_sets_of, testbed_of
from src.compare.throughput import is_interrupted, rates
from src.errors import UsageError
from src.run.accuracy import Accuracy
from src.run.latency import Cell, Interval
from src.run.results import Results
from src.run.row import Row

Outcome = Literal["regressed", "inconclusive", "ok"]

LEAST_PEERS = 3  # rows in common, for a median of which one may regress
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and what it says."""

    outcome: Outcome
    format: str
    device: str
    what: str  # "batch 1" or "top-1", or why there is nothing to compare
    text: str

    def __str__(self) -> str:
        return f"{self.outcome}: {self.format} on {self.device}, {self.what}: {self.text}"


@dataclass(frozen=True)
class Slowdown:
    """The logarithm of how many times slower, with its 95 % interval."""

    value: float
    low: float
    high: float

    def over(self, other: Slowdown) -> Slowdown:
        """Return it relative to another slowdown, which is independent of it."""
        value = self.value - other.value
        return Slowdown(
            value,
            value - math.hypot(self.value - self.low, other.high - other.value),
            value + math.hypot(self.high - self.value, other.value - other.low),
        )

    def __str__(self) -> str:
        value, low, high = (100 * math.expm1(bound) for bound in (self.value, self.low, self.high))
        return f"{value:+.1f} % [{low:+.1f}, {high:+.1f}]"


def compare(
    old: Results,
    new: Results,
    *,
    max_slowdown: float | None,
    max_drop: float | None,
    clock: bool = False,
) -> list[Finding]:
    """Return all that was looked at, the worst first.

    Args:
        old: a measurement.
        new: a later one.
        max_slowdown: the time that a call may take longer, a share of 1; None to look at none.
        max_drop: the top-1 accuracy that may be lost, a share of 1; None to look at none.
        clock: let milliseconds decide as well, on a machine whose speed does not change.

    Raises:
        UsageError: latencies are of two testbeds, or accuracies of two test sets.
    """
    findings = [*_gone(old, new)]
    if max_slowdown is not None:
        for device in dict.fromkeys(row.device for row in old.rows if row.is_ok):
            findings += _slower(old, new, device, math.log1p(max_slowdown), clock=clock)
    if max_drop is not None:
        findings += _worse(old, new, max_drop)
    order = ("regressed", "inconclusive", "ok")
    return sorted(findings, key=lambda finding: order.index(finding.outcome))


def _gone(old: Results, new: Results) -> list[Finding]:
    """Return the rows that had figures and have none any more."""
    findings = []
    for row in old.rows:
        present = new.row(row.format, row.device)
        if row.is_ok and (present is None or not present.is_ok):
            text = "it is not in NEW" if present is None else f"{present.status}: {present.reason}"
            findings.append(Finding("regressed", *row.key, "no longer measured", text))
    return findings


def _slower(
    old: Results, new: Results, device: str, allowed: float, *, clock: bool
) -> list[Finding]:
    before, after = _cells(old, device), _cells(new, device)
    if not any(before[size].keys() & after.get(size, {}).keys() for size in before):
        return []
    testbeds = [testbed_of(results, device) for results in (old, new)]
    if testbeds[0] != testbeds[1]:
        raise UsageError(
            "--max-slowdown",
            expected=f"two measurements of {device} rows in one place",
            found=f"OLD on {testbeds[0]}; NEW on {testbeds[1]}",
            remedy="measure both on one machine with the same threads, or leave it out",
        )
    findings = []
    for size in before:
        names = [name for name in before[size] if name in after.get(size, {})]
        slowdowns = _slowdowns(
            {name: before[size][name] for name in names},
            {name: after[size][name] for name in names},
        )
        for name in names:
            what = f"batch {size}"
            if name not in slowdowns:
                text = "fewer than two rounds, which have no interval: raise max_seconds"
                findings.append(Finding("inconclusive", name, device, what, text))
                continue
            outcome, text = _judged(name, slowdowns, old.baseline, allowed, clock=clock)
            findings.append(Finding(outcome, name, device, what, text))
    return findings


def _cells(results: Results, device: str) -> dict[int, dict[str, Cell]]:
    """Return the cells of one device's rows, by batch size and format."""
    cells: dict[int, dict[str, Cell]] = {}
    for row in results.rows:
        if row.device == device:
            for cell in row.latency:
                cells.setdefault(cell.batch_size, {})[row.format] = cell
    return cells


def _slowdowns(old: Mapping[str, Cell], new: Mapping[str, Cell]) -> dict[str, Slowdown]:
    means = any(is_interrupted(cell) for cells in (old, new) for cell in cells.values())
    before, after = rates(old, means=means), rates(new, means=means)
    return {
        name: _log(before[name]).over(_log(after[name])) for name in before.keys() & after.keys()
    }


def _log(rate: Interval) -> Slowdown:
    return Slowdown(math.log(rate.value), math.log(rate.low), math.log(rate.high))


def _judged(
    name: str, slowdowns: Mapping[str, Slowdown], baseline: str, allowed: float, *, clock: bool
) -> tuple[Outcome, str]:
    own = slowdowns[name]
    yardsticks = {"by the clock": own}
    if baseline in slowdowns and name != baseline:
        yardsticks = {f"over {baseline}": own.over(slowdowns[baseline]), **yardsticks}
    if len(slowdowns) >= LEAST_PEERS:
        yardsticks = {"over its peers": own.over(_middle(name, slowdowns)), **yardsticks}
    kinds = list(yardsticks.values())
    decisive, others = kinds[0], kinds[1:]
    text = ", ".join(f"{value} {kind}" for kind, value in yardsticks.items())
    both = len(kinds) == len(("peers", "baseline", "clock"))

    def beyond(values: Sequence[float]) -> bool:
        return all(value > allowed for value in values)

    shown = beyond([decisive.low]) or (both and beyond([each.low for each in others]))
    if shown or (clock and beyond([own.low])):
        return "regressed", text
    suspected = beyond([decisive.value]) or (both and beyond([each.value for each in others]))
    if suspected or (clock and beyond([own.value])):
        return "inconclusive", f"{text}; too uncertain to tell, measure with benchmark=thorough"
    return "ok", text


def _middle(name: str, slowdowns: Mapping[str, Slowdown]) -> Slowdown:
    """Return the median slowdown of the other rows, with the interval of a median of so many."""
    # Its own would draw the median to itself; but of two others one that became faster would.
    alone = len(slowdowns) > LEAST_PEERS
    peers = [each for other, each in slowdowns.items() if not (alone and other == name)]
    value = median(each.value for each in peers)
    # A median of n is sqrt(pi / 2n) as uncertain as one, where they are alike.
    share = math.sqrt(math.pi / 2 / len(peers))
    down = median(each.value - each.low for each in peers) * share
    up = median(each.high - each.value for each in peers) * share
    return Slowdown(value, value - down, value + up)


def _worse(old: Results, new: Results, allowed: float) -> list[Finding]:
    test_sets = test_sets_of([old, new])
    if test_sets[0] != test_sets[1]:
        raise UsageError(
            "--max-drop",
            expected="two measurements on the same images",
            found=f"OLD on {test_sets[0]}; NEW on {test_sets[1]}",
            remedy="score both on one split of one data set, or leave it out",
        )
    remark = "; that the images are the same is taken from their name and number"
    findings = []
    for row in new.rows:
        before = old.row(row.format, row.device)
        if before and before.accuracy and row.accuracy:
            finding = _drop(row, before.accuracy, row.accuracy, allowed)
            if assumed([old, new]):
                finding = dataclasses.replace(finding, text=finding.text + remark)
            findings.append(finding)
    return findings


def _drop(row: Row, old: Accuracy, new: Accuracy, allowed: float) -> Finding:
    """Judge a drop by Newcombe's hybrid score interval (1998, method 10) of independent shares.

    The images are the same, but which of them each answers right is not kept, so the interval is
    wider than a paired one would be, never narrower where the answers agree more often than not.
    """
    images = new.images
    before, after = old.top1, new.top1
    (low_before, high_before), (low_after, high_after) = (
        _wilson(share, images) for share in (before, after)
    )
    drop = before - after
    low = drop - math.hypot(before - low_before, high_after - after)
    high = drop + math.hypot(high_before - before, after - low_after)
    text = (
        f"{100 * before:.2f} % to {100 * after:.2f} %, a drop of {100 * drop:.2f} points "
        f"[{100 * low:+.2f}, {100 * high:+.2f}]"
    )
    if low > allowed:
        outcome: Outcome = "regressed"
    elif drop > allowed:
        outcome = "inconclusive"
        text += f"; {images} images are too few to tell"
    else:
        outcome = "ok"
    return Finding(outcome, *row.key, "top-1", text)


def _wilson(share: float, images: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share, 95 %."""
    square = _Z * _Z / images
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / images + square / images / 4) / (1 + square)
    return middle - reach, middle + reach
