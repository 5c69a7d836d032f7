"""Output of a search: console, Markdown, and a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from src.forecast.records import own_width_line
from src.report.document import MISSING, Cell, Column, Head, Table, number, tabulate, text_column
from src.report.sections.speedups import is_of_one
from src.report.writers import html
from src.report.writers.console import rich_table, show_lines
from src.report.writers.markdown import bold, items, table_lines
from src.search.budget import in_words
from src.search.limits import (
    accuracy_interval,
    accuracy_verdict,
    assumption,
    breaches,
    in_brackets,
    latency_verdict,
    milliseconds,
)
from src.search.page_notes import forecast_says, not_forecast_lines, notes_of, reason_of
from src.search.records import JudgedFile, Limits, Measured, Outcome, Rung, SearchRecord

TITLE = "Search"


@dataclass(frozen=True)
class _File:
    candidate: Measured
    file: JudgedFile


def sentence(record: SearchRecord) -> str:
    """Return the answer in words."""
    if record.answer is not None:
        return record.answer.sentence
    kinds = [outcome.kind for outcome in record.outcomes]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return f"No file was measured. Of {len(kinds)} candidates: {counts}."


def show(record: SearchRecord, console: Console) -> None:
    """Print the candidates, the measured files, and last the answer if there is a file to ship."""
    console.print(rich_table(_candidates(record), narrow=console.is_terminal))
    if files := _files(record):
        console.print(
            rich_table(_judged(record, files), narrow=console.is_terminal, bold_chosen=True)
        )
    show_lines([*not_forecast_lines(record), _spent(record)], console)
    if record.answer is not None and record.answer.satisfied:
        show_lines([sentence(record)], console, style="bold")


def markdown_page(record: SearchRecord) -> str:
    """Return the certificate in GitHub's Markdown."""
    files = _files(record)
    lines = [
        f"# {TITLE}",
        "",
        bold(sentence(record)),
        "",
        *items([*_asked(record), _spent(record)]),
        "",
        "## Candidates",
        "",
        *table_lines(_candidates(record)),
        *(["", "## Measured files", "", *table_lines(_judged(record, files))] if files else []),
        "",
        "## Forecast of each format",
        "",
        *table_lines(_evidence(record)),
        "",
        *items(notes_of(row.file for row in files)),
        "",
        f"    {record.command}",
    ]
    return "\n".join(lines) + "\n"


def html_page(record: SearchRecord) -> str:
    """Return the certificate as HTML."""
    files = _files(record)
    return (
        html.environment()
        .get_template("search.html")
        .render(
            title=TITLE,
            about=f"{record.environment.processor}, {record.environment.threads} threads, "
            f"{record.made_at}",
            answer=sentence(record),
            asked=[*_asked(record), _spent(record)],
            candidates=_candidates(record),
            judged=_judged(record, files) if files else None,
            evidence=_evidence(record),
            notes=notes_of(row.file for row in files),
            command=record.command,
        )
    )


def _asked(record: SearchRecord) -> Iterator[str]:
    """Yield the limits and the settings."""
    limits = record.limits
    wanted = [
        f"latency under {milliseconds(limits.latency_s)} ms" if limits.latency_s else "",
        f"at least {100 * limits.top1:g} % of the test images" if limits.top1 else "",
        f"files under {limits.size_bytes / 1e6:g} MB" if limits.size_bytes else "",
        f"peak memory under {limits.memory_bytes / 1e6:g} MB" if limits.memory_bytes else "",
    ]
    yield f"Limits: {', '.join(text for text in wanted if text) or 'none'}"
    bound = record.budget_s
    budget = "no bound of time" if bound is None else f"budget {in_words(bound)}"
    rungs = f"1 of {record.reduction} goes on" if record.rungs else "no rung, so all go on"
    if record.rungs:
        rungs += f" at each rung, and there {'is' if record.rungs == 1 else 'are'} {record.rungs}"
    yield f"{len(record.outcomes)} candidates; {rungs}; {budget}; seed {record.seed}"
    yield from not_forecast_lines(record)
    if record.own_width_only:
        yield own_width_line(record.own_width_only)
    if machines := _machines(record):
        yield (
            f"Trainings by Ray on {', '.join(machines)}. Forecasts and measurements on one machine "
            f"({record.environment.processor}), with nothing of this search beside them"
        )


def _machines(record: SearchRecord) -> list[str]:
    """Return the names of the machines that trained candidates of this command for an engine."""
    return sorted({rung.machine for rung in _rungs(record) if rung.machine})


def _rungs(record: SearchRecord) -> list[Rung]:
    """Return all trainings of the candidates of this command."""
    keys = {outcome.key for outcome in record.outcomes}
    return [rung for entry in record.measured if entry.key in keys for rung in entry.rungs]


def _spent(record: SearchRecord) -> str:
    spent = record.spent
    training = in_words(spent.training_s)
    if _machines(record):
        own = in_words(sum(rung.seconds for rung in _rungs(record)))
        training += f" (sum of the trainings {own})"
    return (
        f"Time: {in_words(spent.total)}, of which forecasts {in_words(spent.forecast_s)}, training "
        f"{training}, export and measurement {in_words(spent.judging_s)}"
    )


def _by_key(record: SearchRecord) -> dict[str, Measured]:
    return {entry.key: entry for entry in record.measured}


def _candidates(record: SearchRecord) -> Table:
    """Return the table of candidates in the order of the grid."""
    measured = _by_key(record)

    def epoch(outcome: Outcome) -> Cell:
        rungs = measured[outcome.key].rungs if outcome.key in measured else []
        return Cell(str(rungs[-1].epoch) if rungs else MISSING)

    def top1(outcome: Outcome) -> Cell:
        rungs = measured[outcome.key].rungs if outcome.key in measured else []
        value = rungs[-1].top1 if rungs else None
        return Cell(number(value, 100, 2), value=value)

    def seconds(outcome: Outcome) -> Cell:
        value = measured[outcome.key].seconds if outcome.key in measured else None
        return Cell(number(value, 1 / 60, 1), value=value)

    columns: list[Column[Outcome]] = [
        text_column("network", lambda outcome: outcome.network),
        Column("px", lambda outcome: Cell(str(outcome.image_size or MISSING))),
        Column("epochs\ntrained", epoch),
        Column("validation\ntop-1 %", top1, best=max),
        Column("minutes", seconds),
        text_column("outcome", lambda outcome: outcome.kind),
        text_column("evidence", reason_of),
    ]
    chosen = record.answer.key if record.answer else None
    return tabulate(
        "Candidates",
        columns,
        record.outcomes,
        name=lambda outcome: outcome.name,
        is_chosen=lambda outcome: outcome.key == chosen,
    )


def _files(record: SearchRecord) -> list[_File]:
    """Return the files of the judged candidates, the fastest first."""
    measured = _by_key(record)
    files = [
        _File(measured[outcome.key], file)
        for outcome in record.outcomes
        if outcome.kind == "judged"
        for file in measured[outcome.key].files
    ]
    return sorted(
        files,
        key=lambda row: row.file.latency.value if row.file.latency else float("inf"),
    )


def _judged(record: SearchRecord, files: list[_File]) -> Table:
    """Return the table of the measured files."""
    limits = record.limits

    def latency(row: _File) -> Cell:
        interval = row.file.latency
        if interval is None:
            return Cell(MISSING)
        return Cell(milliseconds(interval.value), in_brackets(interval), value=interval.value)

    def accuracy(row: _File) -> Cell:
        if row.file.top1 is None:
            return Cell(MISSING)
        low, high = accuracy_interval(row.file)
        bounds = f"[{100 * low:.2f}, {100 * high:.2f}]"
        return Cell(number(row.file.top1, 100, 2), bounds, value=row.file.top1)

    def verdict(row: _File) -> Cell:
        value = accuracy_verdict(row.file, limits) if row.file.top1 is not None else None
        return Cell(value or MISSING, verdict=value)

    answer = record.answer
    chosen = (answer.key, answer.format, answer.device) if answer else None
    columns: list[Column[_File]] = [
        text_column("network", lambda row: row.candidate.network),
        Column("px", lambda row: Cell(str(row.candidate.image_size or MISSING))),
        text_column("format", lambda row: row.file.format),
        Column("ms", latency),
        text_column("latency", lambda row: _latency_word(row.file, record)),
        Column(
            "size\nMB",
            lambda row: Cell(number(row.file.size_bytes, 1e-6, 1), value=row.file.size_bytes),
        ),
        Column("test\ntop-1 %", accuracy),
        Column("accuracy", verdict, is_text=True),
        text_column("not shipped because", lambda row: _doubts(row.file, limits) or MISSING),
    ]
    if len({row.file.device for row in files}) > 1:
        columns.insert(3, text_column("device", lambda row: row.file.device))
    return tabulate(
        "Measured files",
        columns,
        files,
        name=lambda row: f"{row.candidate.name} {row.file.format} {row.file.device}",
        is_chosen=lambda row: (row.candidate.key, row.file.format, row.file.device) == chosen,
    )


def _latency_word(file: JudgedFile, record: SearchRecord) -> str:
    if file.status != "ok":
        return file.status
    verdict = latency_verdict(file.latency, record.limits)
    if verdict and file.latency and is_of_one(file.latency):
        return f"{verdict}, assumed"
    return verdict or MISSING


def _doubts(file: JudgedFile, limits: Limits) -> str:
    """Return why a file is not shown to keep the limits that are no accuracy."""
    assumed = assumption(file, limits)
    return "; ".join([*breaches(file, limits), *([assumed] if assumed else [])])


def _evidence(record: SearchRecord) -> Table:
    """Return the table of what the forecast says of each format."""
    rows = [
        [
            outcome.network,
            str(outcome.image_size or MISSING),
            entry.format,
            entry.device,
            number(entry.p50_s, 1e3, 2),
            forecast_says(outcome, entry),
        ]
        for outcome in record.outcomes
        for entry in outcome.formats
    ]
    heads = [
        Head("network", is_text=True),
        Head("px"),
        Head("format", is_text=True),
        Head("device", is_text=True),
        Head("forecast ms"),
        Head("forecast says", is_text=True),
    ]
    return Table.of_text("Forecast of each format", heads, rows)
