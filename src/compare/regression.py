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
measurements (see :mod:`src.compare.slowdown`). For a row with one process it is assumed, and so
wide that only a large regression is detected. With fewer than three rows in common there is no
useful median, and the baseline decides. For the baseline itself, the clock decides then, or for a
time from the image file to the label the clock and the calls.

A file with its preprocessing inside is checked by its time from the image file to the label, and so
is the pipeline of a row where the recommendation is meant to be about it; they are peers of each
other. Such a time has also regressed if its slowdown by the clock and that relative to the calls of
the rows are both shown to exceed the limit: see :mod:`src.compare.whole_time`. By the clock, only
rounds with the same image files are compared: see :mod:`src.compare.same_files`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from src.compare import embedded, same_files, whole_time
from src.compare.accuracy_drop import check_accuracy
from src.compare.comparability import testbed_of
from src.compare.finding import Finding, Outcome
from src.compare.slowdown import Slowdown, Slowdowns
from src.compare.whole_time import MISSING, WHOLE
from src.errors import UsageError
from src.run.latency import Cell
from src.run.record import Device
from src.run.results import Results
from src.run.row import Row


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
        UsageError: latencies are of two testbeds or have no batch size in common, or accuracies are
            of two test sets.
    """
    findings = [*_missing_rows(old, new)]
    if max_slowdown is not None:
        devices = list(dict.fromkeys(row.device for row in old.rows if row.is_ok))
        _require_common_times(old, new, devices)
        for device in devices:
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
            findings.append(Finding("regressed", *row.key, MISSING, text))
    return [*findings, *whole_time.missing(old, new)]


def _require_common_times(old: Results, new: Results, devices: Sequence[Device]) -> None:
    """Refuse two measurements with rows in common of which none was timed alike.

    Raises:
        UsageError: there is nothing to compare.
    """
    pipelines = whole_time.checks_pipelines(old, new)
    has_rows = any(row.is_ok and _is_ok(new, row) for row in old.rows)
    before, after = (
        {(device, *key) for device in devices for key in _checked(results, device, pipelines)}
        for results in (old, new)
    )
    if not has_rows or before & after:
        return
    timed = [", ".join(sorted({figure for _, figure, _ in keys})) for keys in (before, after)]
    raise UsageError(
        "--max-slowdown",
        expected="two measurements that timed a file at the same batch size",
        found=f"OLD with {timed[0] or 'no times'}; NEW with {timed[1] or 'no times'}",
        remedy="measure both with the same benchmark.batch_sizes, or leave it out",
    )


def _not_timed(old: Results, new: Results, device: Device) -> Iterator[Finding]:
    """Yield findings of the times in OLD that NEW lacks, of the rows that have figures in it.

    The rows without figures in NEW have findings of their own: see :func:`_missing_rows`.
    """
    pipelines = whole_time.checks_pipelines(old, new)
    timed = _checked(new, device, pipelines)
    rows = {row.format: row for row in old.rows if row.device == device}
    rows |= {row.embedded.folder: row for row in rows.values() if row.embedded}
    for figure, name in _checked(old, device, pipelines):
        is_missing = figure == WHOLE and new.image_sample is not None
        if (figure, name) not in timed and not is_missing and _is_ok(new, rows[name]):
            text = "not timed in NEW: measure both with the same options"
            yield Finding("inconclusive", name, device, figure, text)


def _is_ok(results: Results, row: Row) -> bool:
    """Return True if a measurement has figures of the format and device of a row."""
    same = results.row(row.format, row.device)
    return same is not None and same.is_ok


def _check_latency(
    old: Results, new: Results, device: Device, allowed: float, *, clock: bool
) -> list[Finding]:
    """Check the latencies of one device; ``allowed`` is the logarithm of a ratio.

    Raises:
        UsageError: the measurements are of two testbeds.
    """
    findings = [*_not_timed(old, new, device)]
    pipelines = whole_time.checks_pipelines(old, new)
    timed = _checked(new, device, pipelines)
    checked = [key for key in _checked(old, device, pipelines) if key in timed]
    if not checked:
        return findings
    testbeds = [testbed_of(results, device) for results in (old, new)]
    if testbeds[0] != testbeds[1]:
        raise UsageError(
            "--max-slowdown",
            expected=f"two measurements of {device} rows in one place",
            found=f"OLD on {testbeds[0]}; NEW on {testbeds[1]}",
            remedy="measure both on one machine with the same threads, or leave it out",
        )
    before, after = _cells(old, device, pipelines), _cells(new, device, pipelines)
    for figure in dict.fromkeys(figure for figure, _ in checked):
        names = [name for name in before[figure] if name in after[figure]]
        slowdowns = Slowdowns(
            {name: before[figure][name] for name in names},
            {name: after[figure][name] for name in names},
        )
        by_clock, calls = same_files.ByClock(slowdowns.by_clock, {}), None
        other_images = same_files.other_images(old, new) if figure == WHOLE else None
        if figure == WHOLE and not other_images:
            by_clock, calls = whole_time.by_clock(old, new, device), whole_time.of_calls(old, new)
        for name in names:
            if (figure, name) not in checked:
                continue
            if other_images:
                findings.append(Finding("inconclusive", name, device, figure, other_images))
                continue
            if name not in slowdowns.by_clock:
                text = "fewer than two rounds, which have no interval: raise max_seconds"
                findings.append(Finding("inconclusive", name, device, figure, text))
                continue
            references = {
                "over its peers": slowdowns.over_peers(name),
                f"over {old.baseline}": slowdowns.over(name, old.baseline),
                "by the clock": by_clock.slowdowns.get(name),
            }
            outcome, text = _outcome(references, calls, allowed, clock=clock)
            if name in by_clock.reasons:
                text = ", ".join(filter(None, (text, by_clock.reasons[name])))
            findings.append(Finding(outcome, name, device, figure, text))
    return findings


def _checked(results: Results, device: Device, pipelines: bool) -> list[tuple[str, str]]:
    """Return the figures and names that are checked.

    Args:
        results: a measurement.
        device: the device.
        pipelines: check the pipelines of the rows too; otherwise they are only peers.
    """
    rows = {row.format for row in results.rows}
    return [
        (figure, name)
        for figure, cells in _cells(results, device, pipelines).items()
        for name in cells
        if pipelines or figure != WHOLE or name not in rows
    ]


def _cells(results: Results, device: str, pipelines: bool) -> dict[str, dict[str, Cell]]:
    """Return the cells of one device, by the figure and by format, or folder of an embedded file.

    The pipelines are cells if they are checked, or beside an embedded file.
    """
    cells: dict[str, dict[str, Cell]] = {}
    for row in results.rows:
        if row.device == device:
            for cell in row.latency:
                cells.setdefault(f"batch {cell.batch_size}", {})[row.format] = cell
    if pipelines or any(file.device == device for file in embedded.files(results)):
        cells[WHOLE] = embedded.whole_times(results, device)
    return cells


def _outcome(
    references: Mapping[str, Slowdown | None],
    calls: Slowdown | None,
    allowed: float,
    *,
    clock: bool,
) -> tuple[Outcome, str]:
    """Return the outcome for a row, and its slowdowns in words.

    Args:
        references: the row's slowdowns relative to its peers, to the baseline and by the clock, in
            words; None where one is not known.
        calls: the median slowdown of the calls, for a time from the image file to the label.
        allowed: the logarithm of the ratio that is allowed.
        clock: the clock alone decides too.
    """
    *_, own = references.values()
    known = [slowdown for slowdown in references.values() if slowdown is not None]
    text = ", ".join(f"{slowdown} {words}" for words, slowdown in references.items() if slowdown)
    # Any of these groups of slowdowns shows a regression, if all of its slowdowns exceed the limit.
    groups = [known[:1]] if known else []
    if calls is not None and known[:1] == [own]:
        groups = []  # the calls tell the machine's hour, which the clock alone does not
    if len(known) == len(references):
        groups.append(known[1:])
    if calls is not None and own is not None:
        over_calls = own.over(calls)
        groups.append([over_calls, own])
        text += f", {over_calls} over the calls"
    if clock and own is not None:
        groups.append([own])
    if not groups:
        return "inconclusive", text
    if any(all(slowdown.low > allowed for slowdown in group) for group in groups):
        return "regressed", text
    if any(all(slowdown.value > allowed for slowdown in group) for group in groups):
        return "inconclusive", f"{text}; too uncertain to tell, measure with benchmark=thorough"
    return "ok", text
