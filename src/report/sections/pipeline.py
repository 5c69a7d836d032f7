"""The time from an image file to its label: a table by stage, and its meaning in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from src.report.document import MISSING, Cell, Column, Section, number, tabulate, text_column
from src.report.sections import pipeline_notes, speedups, stages
from src.report.sections.rows import measured, name_of
from src.report.sections.speedups import Evidence, at_least, at_most, factor
from src.report.sections.verdicts import delta_of_answers, verdict_of_answers
from src.run.latency import Cell as Timing
from src.run.pipeline import REFERENCE, STAGES, DecoderAnswers, Pipeline, Stage
from src.run.results import Results
from src.run.row import Row

TITLE = "From the image file to the label"
_IMAGES = 1_000_000  # of the costs in words
_SECONDS_PER_HOUR = 3600
_BY_CHANCE = "one may look faster by chance, so it is not shown to be (Holm's correction)"
_KEEPS_BUDGET = {
    "pass": "it keeps the budget",
    "same": "it keeps the budget",
    "fail": "it does not keep the budget",
    "inconclusive": "whether it keeps the budget is open",
}


class Timed(NamedTuple):
    """One decoder of one row."""

    row: Row
    pipeline: Pipeline


def timed(results: Results) -> list[Timed]:
    """Return the timed pipelines of all rows."""
    return [Timed(row, pipeline) for row in measured(results) for pipeline in row.pipeline]


def section(results: Results) -> Section | None:
    """Return the section; None if no pipeline was timed."""
    entries, sample = timed(results), results.image_sample
    if not entries or sample is None:
        return None
    recommended = {(name, device) for device, name in results.recommended.items()}
    table = tabulate(
        "Milliseconds from the bytes of an image file to its label",
        _columns(results, entries),
        entries,
        lambda entry: f"{entry.row.format} {entry.row.device} {entry.pipeline.decoder}",
        lambda entry: entry.row.key in recommended and entry.pipeline.decoder == REFERENCE,
    )
    return Section(TITLE, [*sentences(results)], table, [*pipeline_notes.notes(results, sample)])


def sentences(results: Results) -> Iterator[str]:
    """Yield what the recommended file of each device spends its time on, and its cost."""
    for device, name in results.recommended.items():
        row = results.row(name, device) if name else None
        pipeline = row.pipeline_of() if row else None
        if row is None or pipeline is None:
            continue
        advice = results.recommendation.get(row.device)
        is_advised = advice is not None and advice.objective == "pipeline"
        yield _by_stage(row, pipeline, is_advised=is_advised)
        yield from _faster_decoder(row, results.baseline)
        yield _cost(row, next(iter(row.faster_pipelines()), pipeline))


def cause_of(whole: Timing) -> str | None:
    """Return the likeliest cause of an unstable timing, but for the spread of the images."""
    return next((cause for cause in whole.unstable if cause != "spread"), None)


def cell(row: Row) -> Cell:
    """Return the cell of the main table: the median with the evaluation's decoder."""
    pipeline = row.pipeline_of()
    return _whole(lambda whole: whole.p50_s)(Timed(row, pipeline)) if pipeline else Cell(MISSING)


def _by_stage(row: Row, pipeline: Pipeline, *, is_advised: bool) -> str:
    """Return the stages in words.

    Args:
        row: the row.
        pipeline: the row's.
        is_advised: the recommendation says what helps against the dominant stage.
    """
    stage, share = stages.dominant(pipeline)
    remedy = "" if is_advised else f": {stages.remedy(stage, row)}"
    parts = ", ".join(f"{name} {number(pipeline.stages[name].mean_s, 1e3, 2)}" for name in STAGES)
    return (
        f"From the bytes of an image file to its label, {name_of(row)} takes "
        f"{number(pipeline.whole.mean_s, 1e3, 2)} ms in the mean ({parts}). {share:.0%} of it is "
        f"{stages.NAMES[stage]}{remedy}."
    )


def _faster_decoder(row: Row, baseline: str) -> Iterator[str]:
    """Yield the gain of each other decoder, and whether it keeps the accuracy budget."""
    shown = row.faster_pipelines()
    for pipeline in row.pipeline:
        gain, answers = pipeline.over_reference, pipeline.answers
        if gain is None or answers is None:
            continue
        interval = f"[{100 * answers.delta_low:+.1f}, {100 * answers.delta_high:+.1f}]"
        changed = (
            f"{answers.flips} of {answers.images:,} answers change{_share_of_flips(answers)}, "
            f"{100 * answers.delta_top1:+.1f} points {interval}"
        )
        bounds = speedups.interval_of(gain)
        speed = {
            Evidence.FASTER: f"{factor(gain.value, 2)} {bounds} times as fast",
            Evidence.SLOWER: f"slower, {factor(gain.value, 2)} {bounds} times as fast",
            Evidence.AT_LEAST: f"at least {at_least(gain.low)} times as fast {bounds}",
            Evidence.AT_MOST: f"slower, at most {at_most(gain.high)} times as fast {bounds}",
            Evidence.NONE: f"of a speed that too few rounds tell {bounds}",
        }.get(speedups.evidence(gain), f"not measurably faster {bounds}")
        advice = _KEEPS_BUDGET[answers.verdict]
        in_all = pipeline.against_baseline
        if answers.verdict == "pass" and in_all is not None and not pipeline.keeps_budget:
            advice += (
                f"; with the file's own losses, {100 * in_all.delta_top1:+.1f} points "
                f"[{100 * in_all.delta_low:+.1f}, {100 * in_all.delta_high:+.1f}] beside "
                f"{baseline}, {_KEEPS_BUDGET[in_all.verdict]}"
            )
        if pipeline.keeps_budget and gain.low > 1 and pipeline not in shown:
            advice += f", but among the decoders that were timed {_BY_CHANCE}"
        yield f"Decoded by {pipeline.decoder}, it is {speed}; {changed}: {advice}."


def _share_of_flips(answers: DecoderAnswers) -> str:
    """Return the interval of the share of changed answers; nothing if it was not computed."""
    low, high = answers.flips_low, answers.flips_high
    if low is None or high is None:
        return ""
    return f" [{number(low, 100, 2)}, {number(high, 100, 2)}] %"


def _cost(row: Row, pipeline: Pipeline) -> str:
    rate = pipeline.whole.images_per_second
    hours = _IMAGES / rate / _SECONDS_PER_HOUR
    core_hours = _IMAGES * pipeline.cpu_seconds_per_image / _SECONDS_PER_HOUR
    return (
        f"One process of {row.format} with {pipeline.decoder} classifies {rate:,.1f} images a "
        f"second, a million in {hours:,.1f} hours, which take {core_hours:,.1f} hours of a core."
    )


def _columns(results: Results, entries: list[Timed]) -> list[Column[Timed]]:
    one_device = len({entry.row.device for entry in entries}) == 1
    several_decoders = any(entry.pipeline.decoder != REFERENCE for entry in entries)
    shown = [
        text_column("format", lambda entry: str(entry.row.format)),
        text_column("device", lambda entry: str(entry.row.device), is_detail=one_device),
        text_column(
            "decoder", lambda entry: entry.pipeline.decoder, is_detail=not several_decoders
        ),
        *(Column(f"{stage} ms", _stage(stage)) for stage in STAGES),
        Column("whole mean ms", _whole(lambda whole: whole.mean_s)),
        Column("whole p50 ms", _whole(lambda whole: whole.p50_s), best=min),
        Column("whole p90 ms", _whole(lambda whole: whole.p90_s), best=min),
        Column("whole p99 ms", _whole(lambda whole: whole.p99_s), best=min),
        Column(
            f"times {results.baseline}",
            lambda entry: speedups.cell(entry.pipeline.whole.speedup),
            best=max,
        ),
        Column("images/s", _images_per_second, best=max),
        Column("CPU s a 1000 images", _cpu_seconds, best=min),
    ]
    if several_decoders:
        shown += [
            Column(
                f"times {REFERENCE}",
                lambda entry: speedups.cell(entry.pipeline.over_reference),
            ),
            Column("changed answers", _flips),
            Column("delta points", lambda entry: delta_of_answers(entry.pipeline.answers)),
            Column(
                "verdict", lambda entry: verdict_of_answers(entry.pipeline.answers), is_text=True
            ),
        ]
    if any(entry.pipeline.against_baseline for entry in entries):
        shown += [
            Column(
                f"delta to {results.baseline}",
                lambda entry: delta_of_answers(entry.pipeline.against_baseline),
            ),
            Column(
                f"verdict to {results.baseline}",
                lambda entry: verdict_of_answers(entry.pipeline.against_baseline),
                is_text=True,
            ),
        ]
    return shown


def _stage(stage: Stage) -> Callable[[Timed], Cell]:
    def cell_of(entry: Timed) -> Cell:
        seconds = entry.pipeline.stages[stage].mean_s
        return Cell(number(seconds, 1e3, 2), value=seconds)

    return cell_of


def _whole(figure: Callable[[Timing], float | None]) -> Callable[[Timed], Cell]:
    def cell_of(entry: Timed) -> Cell:
        whole = entry.pipeline.whole
        seconds = figure(whole)
        if seconds is None:
            return Cell(MISSING)
        return Cell(number(seconds, 1e3, 2), mark=cause_of(whole) or "", value=seconds)

    return cell_of


def _images_per_second(entry: Timed) -> Cell:
    rate = entry.pipeline.whole.images_per_second
    return Cell(number(rate, 1, 1), value=rate)


def _cpu_seconds(entry: Timed) -> Cell:
    seconds = entry.pipeline.cpu_seconds_per_image
    return Cell(number(seconds, 1000, 2), value=seconds)


def _flips(entry: Timed) -> Cell:
    answers = entry.pipeline.answers
    if answers is None:
        return Cell(MISSING)
    return Cell(str(answers.flips), _share_of_flips(answers).strip(), value=answers.flips)
