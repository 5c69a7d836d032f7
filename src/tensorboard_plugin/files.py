"""The Files view: exported files of a run, or of several runs side by side, as an HTML fragment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.compare.collection import Measured
from src.compare.comparison import Comparison
from src.compare.page import html_fragment
from src.errors import UsageError
from src.report.charts.measured import tradeoff_chart
from src.report.document import MISSING
from src.report.sections.measurements import shown_rows
from src.report.sections.report import report_of
from src.report.writers import html
from src.run.folder import Run
from src.run.results import Results

LARGEST_BYTES = 8_000_000  # of a benchmark.json; one of ten rows has less than a megabyte
MOST_ROWS = 200
MOST_COMPARED_ROWS = 400  # of all runs together; drawing them takes tens of seconds


@dataclass(frozen=True)
class Fragment:
    """A view of the files.

    Args:
        html: without scripts.
        is_whole: False if a file could not be read, which may pass, and is named in its place.
    """

    html: str
    is_whole: bool = True


class _UnreadableError(UsageError):
    """A file could not be read, which says nothing about its content."""


def fragment(runs: Sequence[Run], names: Sequence[str] | None = None) -> Fragment:
    """Return the measured files of one run, or the comparison of several, as HTML without scripts.

    Each row of the table has the attributes ``data-format`` and ``data-device``, and in a
    comparison ``data-run``. All text of a run is escaped. The fragment may stand in a page more
    than once.

    Args:
        runs: the runs to show. A run that is given twice is shown once.
        names: unique names of the runs; by default, their folder and the folder above it.

    Raises:
        UsageError: no run is given, none of them can be read, or they cannot be compared.
    """
    named = _by_name(runs, names)
    if not named:
        raise UsageError("run", expected="at least one run", found="none", remedy="choose a run")
    if len(named) == 1:
        [run] = named.values()
        return Fragment(_files(_results_of(run)))
    return _comparison(named)


def _by_name(runs: Sequence[Run], names: Sequence[str] | None) -> dict[str, Run]:
    """Return each run once, by name."""
    names = [run.name for run in runs] if names is None else names
    name_of = {run.folder: name for run, name in zip(runs, names, strict=True)}
    named = {name_of[run.folder]: run for run in runs}
    if len(named) == len(name_of):
        return named
    return {str(run.folder): run for run in runs}


def _results_of(run: Run) -> Results:
    """Read the measurement of a run.

    Raises:
        UsageError: there is none, it could not be read, or its file is damaged or too large.
    """
    try:
        _require_small(run)
        results = run.read_benchmark()
    except OSError as error:
        raise _unreadable(run.folder, "a folder", error) from error
    except UsageError as error:
        if isinstance(error.__cause__, OSError):
            raise _unreadable(run.benchmark, "a file", error.__cause__) from error
        raise
    if (count := len(results.rows)) > MOST_ROWS:
        raise UsageError(
            str(run.benchmark),
            expected=f"at most {MOST_ROWS} rows",
            found=str(count),
            remedy="measure fewer formats",
        )
    return results


def _unreadable(path: Path, kind: str, error: OSError) -> _UnreadableError:
    return _UnreadableError(
        str(path),
        expected=f"{kind} that can be read",
        found=error.strerror or str(error),
        remedy="try again, or change its permissions",
    )


def _require_small(run: Run) -> None:
    path = run.benchmark
    if path.is_file() and (size := path.stat().st_size) > LARGEST_BYTES:
        raise UsageError(
            str(path),
            expected=f"at most {LARGEST_BYTES / 1e6:.0f} MB",
            found=f"{size / 1e6:.0f} MB",
            remedy="measure the run again",
        )


def _files(results: Results) -> str:
    tradeoff = tradeoff_chart(results)
    return (
        html.environment()
        .get_template("files.html")
        .render(
            report=report_of(results),
            tradeoff=html.with_unique_ids([tradeoff])[0] if tradeoff else None,
            missing=MISSING,
            attributes=[html.file_attributes(row) for row in shown_rows(results)],
        )
    )


def _comparison(runs: Mapping[str, Run]) -> Fragment:
    """Return the comparison of the runs that can be read; it names the others."""
    measurements = []
    problems = []
    rows = 0
    unreadable: _UnreadableError | None = None
    for name, run in runs.items():
        try:
            results = _results_of(run)
        except UsageError as error:
            problems.append(f"{name} is not shown. {error}")
            if isinstance(error, _UnreadableError):
                unreadable = error
            continue
        if rows + len(results.rows) > MOST_COMPARED_ROWS:
            problems.append(
                f"{name} is not shown: the runs would have more than {MOST_COMPARED_ROWS} rows"
            )
            continue
        rows += len(results.rows)
        measurements.append(Measured(name, run.benchmark, results))
    if not measurements:
        raise UsageError(
            "run",
            expected="runs with a measurement that can be read",
            found=" ".join(problems),
            remedy="choose other runs",
        ) from unreadable
    comparison = Comparison.of(measurements, requested=None, seconds=None)
    return Fragment(html_fragment(comparison, problems), is_whole=unreadable is None)
