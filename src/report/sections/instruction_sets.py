"""Answers with the kernels for older instruction sets: a table, and its meaning in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from src.report.document import MISSING, Cell, Column, Section, number, tabulate, text_column
from src.report.sections.recommendation import points
from src.report.sections.rows import measured, name_of
from src.run.accuracy import Accuracy, PairedAccuracy
from src.run.instruction_sets import InstructionSetAnswers
from src.run.results import Results
from src.run.row import Row
from src.shipped.accuracy import LEAST_SAME

TITLE = "On older processors"


class Answered(NamedTuple):
    """One instruction set of one row."""

    row: Row
    answers: InstructionSetAnswers


def section(results: Results) -> Section | None:
    """Return the section; None if no row was tried with another instruction set."""
    entries = [
        Answered(row, answers) for row in measured(results) for answers in row.instruction_sets
    ]
    if not entries:
        return None
    shown = [entry for entry in entries if entry.answers.status == "ok"]
    recommended = set(results.recommended.values())
    columns = [
        text_column("format", lambda entry: str(entry.row.format)),
        text_column("instruction set", _instruction_set),
        Column("images", _images, is_detail=True),
        Column("top-1 %", _top1),
        Column("delta points", _delta),
        Column("changed answers", _changed),
        Column("logit SQNR dB", _sqnr, is_detail=True),
        Column("verdict", _verdict, is_text=True),
    ]
    table = tabulate(
        "Answers with the kernels for older instruction sets",
        columns,
        shown,
        lambda entry: f"{entry.row.format} {entry.answers.instruction_set}",
        lambda entry: entry.row.format in recommended,
    )
    return Section(TITLE, [*sentences(results)], table, [*_notes(results, entries)])


def sentences(results: Results) -> Iterator[str]:
    """Yield a sentence on each file that is recommended, or that fails on an older processor."""
    for row in measured(results):
        is_recommended = results.recommended.get(row.device) == row.format
        for answers in row.instruction_sets:
            if answers.keeps_budget is False or (is_recommended and answers.status == "ok"):
                yield _sentence(results, row, answers)


def _sentence(results: Results, row: Row, answers: InstructionSetAnswers) -> str:
    emulated = f", emulated by {answers.emulated}" if answers.emulated else ""
    name = f"{name_of(row)} with {answers.instruction_set}{emulated}"
    accuracy = answers.accuracy
    if accuracy is None or answers.verdict is None:
        return f"{name}: it does not run ({answers.reason})."
    paired = _paired(accuracy)
    changed = f"{answers.changed} of {accuracy.images:,} answers are others than here"
    budget = points(results.options.max_accuracy_drop)
    if answers.has_too_few_images:
        return (
            f"{name}: {changed}; they are too few to tell whether it keeps within {budget} of "
            f"{results.baseline} there."
        )
    if answers.verdict == "same":
        return f"{name}: {changed}; it is the same network there."
    loss = (
        f"{100 * paired.delta_top1:+.1f} points "
        f"[{100 * paired.delta_low:+.1f}, {100 * paired.delta_high:+.1f}]"
    )
    verdict = {
        "pass": f"it keeps within {budget} of {results.baseline}",
        "fail": f"it does not keep within {budget} of {results.baseline}: do not ship it there",
        "inconclusive": f"it is open whether it keeps within {budget} of {results.baseline}",
    }[answers.verdict]
    return f"{name}: {changed}, {loss}; {verdict}."


def _notes(results: Results, entries: list[Answered]) -> Iterator[str]:
    for entry in entries:
        if entry.answers.status != "ok":
            yield (
                f"{name_of(entry.row)} with {entry.answers.instruction_set}: "
                f"{entry.answers.status} ({entry.answers.reason})"
            )
    if emulators := {entry.answers.emulated for entry in entries} - {None}:
        yield (
            f"Emulated by {', '.join(map(str, emulators))}: instruction sets cannot be hidden from "
            "a process here, so an older processor is emulated. It is slow, so it answers "
            "only as many images as it can in a minute. Where they are too few to tell "
            "whether the budget is kept, the recommendation does not depend on them; the same "
            f"logits count as the same network from {LEAST_SAME} images on."
        )
    yield (
        "Where it is not emulated, the file runs on this processor, in a process from which newer "
        "instruction sets are hidden, so its runtime takes the kernels for the older ones. Answers "
        "are those of such a processor; speeds are not, and are not measured. avx2: no AVX-512 and "
        "no int8 dot products, so int8 sums of some kernels saturate at 16 bits. avx512: no int8 "
        "dot products. avx512_vnni: with them, without bfloat16 and AMX."
    )
    yield (
        f"Delta and verdict compare with {results.baseline} here, with a budget of "
        f"{points(results.options.max_accuracy_drop)}; {results.baseline} itself is compared with "
        "its own answers here. Changed answers: images with another class than from the same file "
        "here. A file is recommended only if it keeps the budget on all of them that can tell."
    )


def _paired(accuracy: Accuracy) -> PairedAccuracy:
    if accuracy.paired is None:
        raise ValueError("answers of an instruction set without a comparison")
    return accuracy.paired


def _accuracy(entry: Answered) -> Accuracy:
    if entry.answers.accuracy is None:
        raise ValueError(f"{entry.answers.instruction_set} has no accuracy")
    return entry.answers.accuracy


def _instruction_set(entry: Answered) -> str:
    answers = entry.answers
    return f"{answers.instruction_set}{' (emulated)' if answers.emulated else ''}"


def _images(entry: Answered) -> Cell:
    images = _accuracy(entry).images
    return Cell(f"{images:,}", value=images)


def _top1(entry: Answered) -> Cell:
    top1 = _accuracy(entry).top1
    return Cell(number(top1, 100, 2), value=top1)


def _delta(entry: Answered) -> Cell:
    paired = _paired(_accuracy(entry))
    delta, low, high = (
        number(value, 100, 2, sign=True)
        for value in (paired.delta_top1, paired.delta_low, paired.delta_high)
    )
    return Cell(delta, f"[{low}, {high}]", value=paired.delta_top1)


def _changed(entry: Answered) -> Cell:
    return Cell(f"{entry.answers.changed}", value=entry.answers.changed)


def _sqnr(entry: Answered) -> Cell:
    sqnr = _paired(_accuracy(entry)).logit_sqnr_db
    return Cell(MISSING) if sqnr is None else Cell(number(sqnr, 1, 1), value=sqnr)


def _verdict(entry: Answered) -> Cell:
    verdict = entry.answers.verdict
    if entry.answers.has_too_few_images:
        return Cell("too few images to tell", verdict="inconclusive", is_number=False)
    if verdict == "same":
        return Cell("same network", verdict="pass")
    return Cell(verdict or MISSING, verdict=verdict)
