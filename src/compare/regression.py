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

A file with its preprocessing inside is checked by its time from the image file to the label; its
peers are the other such files and the pipelines of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from src.compare import embedded
from src.compare.accuracy_drop import check_accuracy
from src.compare.comparability import testbed_of
from src.compare.finding import Finding, Outcome
from src.compare.throughput import is_interrupted, rates
from src.errors import UsageError
from src.run.latency import Cell, Interval
from src.run.results import Results

_MISSING = "no longer measured"
_WHOLE = "from the image file to the label"
LEAST_PEERS = 3  # rows in common, so that one regressed row does not decide the median


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
        findings += check_accuracy(old, new, max_drop)
    order = ("regressed", "inconclusive", "ok")
    return sorted(findings, key=lambda finding: order.index(finding.outcome))


def _missing_rows(old: Results, new: Results) -> list[Finding]:
    """Return findings of the rows that had figures in the old measurement only."""
    findings = []
    for row in old.rows:
        present = new.row(row.format, row.device)
        if row.is_ok and (present is None or not present.is_ok):
            text = "it is not in NEW" if present is None else f"{present.status}: {present.reason}"
            findings.append(Finding("regressed", *row.key, _MISSING, text))
    if new.image_sample is None:
        return findings  # no pipeline was asked for, with which embedded files are measured
    present_files = {file.key for file in embedded.files(new)}
    reasons: dict[tuple[str, str], str] = {
        (row.embedded.folder, row.device): f"{row.embedded.status}: {row.embedded.reason}"
        for row in new.rows
        if row.embedded
    }
    for file in embedded.files(old):
        if file.key not in present_files:
            text = reasons.get(file.key, "it is not in NEW")
            findings.append(Finding("regressed", *file.key, _MISSING, text))
    return findings


def _check_latency(
    old: Results, new: Results, device: str, allowed: float, *, clock: bool
) -> list[Finding]:
    """Check the latencies of one device; ``allowed`` is the logarithm of a ratio.

    Raises:
        UsageError: the measurements are of two testbeds.
    """
    before, after = _cells(old, device), _cells(new, device)
    if not any(cells.keys() & after.get(figure, {}).keys() for figure, cells in before.items()):
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
    peers_only = {row.format for row in old.rows}  # their own calls are checked
    for figure, cells in before.items():
        names = [name for name in cells if name in after.get(figure, {})]
        slowdowns = _slowdowns(
            {name: cells[name] for name in names},
            {name: after[figure][name] for name in names},
        )
        for name in names:
            if figure == _WHOLE and name in peers_only:
                continue
            if name not in slowdowns:
                text = "fewer than two rounds, which have no interval: raise max_seconds"
                findings.append(Finding("inconclusive", name, device, figure, text))
                continue
            outcome, text = _outcome(name, slowdowns, old.baseline, allowed, clock=clock)
            findings.append(Finding(outcome, name, device, figure, text))
    return findings


def _cells(results: Results, device: str) -> dict[str, dict[str, Cell]]:
    """Return the cells of one device, by the figure and by format, or folder of an embedded file.

    The pipelines are cells only beside an embedded file.
    """
    cells: dict[str, dict[str, Cell]] = {}
    for row in results.rows:
        if row.device == device:
            for cell in row.latency:
                cells.setdefault(f"batch {cell.batch_size}", {})[row.format] = cell
    if any(file.device == device for file in embedded.files(results)):
        cells[_WHOLE] = embedded.whole_times(results, device)
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
