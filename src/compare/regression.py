"""Regressions from one measurement to the next: slowdowns and drops beyond a limit.

The speed of a machine changes from hour to hour by more than a relevant regression, and all rows
change alike. So the slowdown of a row in milliseconds is not decisive alone. A row is compared with
three references, each with a 95 % interval:

- **peers**: the row's slowdown relative to the median slowdown of the other rows. A slow machine
  slows the median too. A single row that regressed, or an unstable baseline, does not move the
  median. This misses a regression of half of the rows.
- **baseline**: the row's slowdown relative to the baseline's. This detects such a regression, but
  a random change of the baseline appears in all rows.
- **clock**: the slowdown in milliseconds. A change of the machine appears in all rows.

A row has regressed if its slowdown relative to its peers is shown to exceed the limit, or if those
relative to the baseline and by the clock both are. The interval comes from the processes of the two
measurements (see :mod:`src.compare.throughput`). For a row with one process it is assumed, and so
wide that only a large regression is detected. With fewer than three rows in common there is no
useful median, and the baseline decides. For the baseline itself, the clock decides then.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from src.benchmark.statistics.shares import wilson
from src.compare.comparability import assumed_same, test_sets_of, testbed_of
from src.compare.throughput import is_interrupted, rates
from src.errors import UsageError
from src.run.accuracy import Accuracy
from src.run.latency import Cell, Interval
from src.run.results import Results
from src.run.row import Row

Outcome = Literal["regressed", "inconclusive", "ok"]

LEAST_PEERS = 3  # rows in common, so that one regressed row does not decide the median


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    outcome: Outcome
    format: str
    device: str
    figure: str  # "batch 1", "top-1", or the reason why there is nothing to compare
    text: str

    def __str__(self) -> str:
        return f"{self.outcome}: {self.format} on {self.device}, {self.figure}: {self.text}"


@dataclass(frozen=True)
class Slowdown:
    """The logarithm of the ratio new / old of the times, with its 95 % interval."""

    value: float
    low: float
    high: float

    def over(self, other: Slowdown) -> Slowdown:
        """Return the slowdown relative to another, independent slowdown."""
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
    """Return the results of all checks, the worst first.

    Args:
        old: a measurement.
        new: a later measurement.
        max_slowdown: allowed increase of the time of a call, a share of 1; None to skip this check.
        max_drop: allowed drop of top-1 accuracy, a share of 1; None to skip this check.
        clock: the slowdown in milliseconds alone is decisive too, on a machine of constant speed.

    Raises:
        UsageError: latencies are of two testbeds, or accuracies of two test sets.
    """
    findings = [*_missing_rows(old, new)]
    if max_slowdown is not None:
        for device in dict.fromkeys(row.device for row in old.rows if row.is_ok):
            findings += _check_latency(old, new, device, math.log1p(max_slowdown), clock=clock)
    if max_drop is not None:
        findings += _check_accuracy(old, new, max_drop)
    order = ("regressed", "inconclusive", "ok")
    return sorted(findings, key=lambda finding: order.index(finding.outcome))


def _missing_rows(old: Results, new: Results) -> list[Finding]:
    """Return findings of the rows that had figures in the old measurement only."""
    findings = []
    for row in old.rows:
        present = new.row(row.format, row.device)
        if row.is_ok and (present is None or not present.is_ok):
            text = "it is not in NEW" if present is None else f"{present.status}: {present.reason}"
            findings.append(Finding("regressed", *row.key, "no longer measured", text))
    return findings


def _check_latency(
    old: Results, new: Results, device: str, allowed: float, *, clock: bool
) -> list[Finding]:
    """Check the latencies of one device; ``allowed`` is the logarithm of a ratio.

    Raises:
        UsageError: the measurements are of two testbeds.
    """
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
            figure = f"batch {size}"
            if name not in slowdowns:
                text = "fewer than two rounds, which have no interval: raise max_seconds"
                findings.append(Finding("inconclusive", name, device, figure, text))
                continue
            outcome, text = _outcome(name, slowdowns, old.baseline, allowed, clock=clock)
            findings.append(Finding(outcome, name, device, figure, text))
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


def _outcome(
    name: str, slowdowns: Mapping[str, Slowdown], baseline: str, allowed: float, *, clock: bool
) -> tuple[Outcome, str]:
    """Return the outcome for a row, and its slowdowns in words."""
    own = slowdowns[name]
    relative = {"by the clock": own}
    if baseline in slowdowns and name != baseline:
        relative = {f"over {baseline}": own.over(slowdowns[baseline]), **relative}
    if len(slowdowns) >= LEAST_PEERS:
        relative = {"over its peers": own.over(_median_of_peers(name, slowdowns)), **relative}
    decisive, *supporting = relative.values()
    text = ", ".join(f"{slowdown} {reference}" for reference, slowdown in relative.items())
    # Baseline and clock decide together only beside the peers.
    has_all = len(relative) == len(("peers", "baseline", "clock"))

    def exceed(values: Sequence[float]) -> bool:
        return all(value > allowed for value in values)

    is_shown = exceed([decisive.low]) or (has_all and exceed([other.low for other in supporting]))
    if is_shown or (clock and exceed([own.low])):
        return "regressed", text
    is_suspected = exceed([decisive.value]) or (
        has_all and exceed([other.value for other in supporting])
    )
    if is_suspected or (clock and exceed([own.value])):
        return "inconclusive", f"{text}; too uncertain to tell, measure with benchmark=thorough"
    return "ok", text


def _median_of_peers(name: str, slowdowns: Mapping[str, Slowdown]) -> Slowdown:
    """Return the median slowdown of the peers, with its 95 % interval."""
    # The row itself would pull the median towards its own slowdown, so it is left out. With only
    # two other rows it stays in: otherwise one row that became faster would move the median.
    leaves_out = len(slowdowns) > LEAST_PEERS
    peers = [
        slowdown for other, slowdown in slowdowns.items() if not (leaves_out and other == name)
    ]
    value = median(slowdown.value for slowdown in peers)
    # The standard error of a median of n equal normal values is sqrt(pi / 2n) times theirs.
    share = math.sqrt(math.pi / 2 / len(peers))
    down = median(slowdown.value - slowdown.low for slowdown in peers) * share
    up = median(slowdown.high - slowdown.value for slowdown in peers) * share
    return Slowdown(value, value - down, value + up)


def _check_accuracy(old: Results, new: Results, allowed: float) -> list[Finding]:
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
            finding = _check_drop(row, before.accuracy, row.accuracy, allowed)
            if assumed_same([old, new]):
                finding = dataclasses.replace(finding, text=finding.text + remark)
            findings.append(finding)
    return findings


def _check_drop(row: Row, old: Accuracy, new: Accuracy, allowed: float) -> Finding:
    """Check a drop by Newcombe's hybrid score interval (1998, method 10) for independent shares.

    The images are the same, but it is not stored which of them were right, so a paired interval is
    not possible. This interval is wider if the two are right on mostly the same images.
    """
    images = new.images
    before, after = old.top1, new.top1
    (low_before, high_before), (low_after, high_after) = (
        wilson(share, images) for share in (before, after)
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
