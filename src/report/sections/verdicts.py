"""Verdicts on the accuracy of a file, and notes on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from src.report.document import MISSING, UNSTABLE, Cell, number
from src.report.sections.rows import accuracy_of, measured, name_of, paired_of
from src.run.accuracy import FunctionFigure, PairedAccuracy
from src.run.pipeline import DecoderAnswers
from src.run.results import Results
from src.run.row import Row

_OTHER_FUNCTION = "function"
_FIGURES: dict[FunctionFigure, Callable[[PairedAccuracy], str]] = {
    "logit_sqnr_db": lambda paired: f"logit SQNR {number(paired.logit_sqnr_db, 1, 1)} dB",
    "kl": lambda paired: f"KL {number(paired.kl, 1, 2)} nats",
    "delta_ece": lambda paired: f"ECE {100 * paired.delta_ece:+.1f} points",
}


def delta_of_answers(answers: DecoderAnswers | None) -> Cell:
    """Return the cell of a table that shows the change of the top-1, in points."""
    if answers is None:
        return Cell(MISSING)
    delta, low, high = (
        number(value, 100, 2, sign=True)
        for value in (answers.delta_top1, answers.delta_low, answers.delta_high)
    )
    return Cell(delta, f"[{low}, {high}]", value=answers.delta_top1)


def verdict_of_answers(answers: DecoderAnswers | None) -> Cell:
    """Return the cell of a table that shows the verdict on answers."""
    if answers is None:
        return Cell(MISSING)
    return Cell(answers.verdict, verdict="pass" if answers.verdict == "same" else answers.verdict)


def cell(row: Row) -> Cell:
    """Return the cell of a table that shows the verdict of a row."""
    if row.verdict is None:
        return Cell(MISSING)
    mark = _OTHER_FUNCTION if departures(row) else ""
    if row.verdict == "same":
        return Cell("same network", mark=mark, verdict="pass")
    return Cell(row.verdict, mark=mark, verdict=row.verdict)


def departures(row: Row) -> str:
    """Return the figures by which a file computes another function than the network; "" if none."""
    paired = paired_of(row)
    return ", ".join(_FIGURES[name](paired) for name in paired.departures) if paired else ""


def other_function(results: Results) -> Iterator[str]:
    """Yield a note on each file that does not keep the network's probabilities."""
    bounds = results.function_bounds
    mark = f"{UNSTABLE}{_OTHER_FUNCTION}"
    for row in results.rows:
        if figures := departures(row):
            yield (
                f"{name_of(row)}: {mark}, its probabilities are not "
                f"{results.baseline}'s ({figures})"
            )
    if bounds and any(departures(row) for row in results.rows):
        yield (
            f"{mark}: logit SQNR below {bounds.logit_sqnr_db:g} dB, KL above "
            f"{bounds.kl:g} nats, or ECE over {100 * bounds.delta_ece:g} points worse"
        )


def beyond_rounding(results: Results) -> Iterator[str]:
    """Yield a note on each fp32 file that is not shown to be the same network."""
    rows = measured(results)
    devices = {row.device for row in rows if row.format == results.baseline}
    devices |= {"browser"} if "cpu" in devices else set()
    for row in rows:
        paired = paired_of(row)
        images = paired.beyond_rounding if paired else None
        is_trained = row.precision == "fp32" and not row.is_of_twin
        if images and is_trained and row.device in devices:
            yield (
                f"{name_of(row)}: more than rounding is between its logits and "
                f"those of {results.baseline} for {images} of {accuracy_of(row).images} "
                "images, so its accuracy is tested"
            )
