"""Verdicts on the accuracy of a file in words, and the files that need a note beside theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from src.report.document import MISSING, UNSTABLE, Cell
from src.report.sections.rows import Results, Row, measured, name_of

_OTHER_FUNCTION = "function"
_FIGURES: dict[str, Callable[[float], str]] = {
    "logit_sqnr_db": lambda value: f"logit SQNR {value:.1f} dB",
    "kl": lambda value: f"KL {value:.2f} nats",
    "delta_ece": lambda value: f"ECE {100 * value:+.1f} points",
}


def cell(row: Row) -> Cell:
    """Return the cell of a table that shows the verdict of a row."""
    verdict: str | None = row["verdict"]
    if verdict is None:
        return Cell(MISSING)
    mark = _OTHER_FUNCTION if (row["accuracy"] or {}).get("departures") else ""
    if verdict == "same":
        return Cell("same network", mark=mark, verdict="pass")
    return Cell(verdict, mark=mark, verdict=verdict)


def departures(row: Row) -> str:
    """Return the figures that show another function than the network's; "" if none do."""
    accuracy: dict[str, Any] = row["accuracy"] or {}
    return ", ".join(_FIGURES[name](accuracy[name]) for name in accuracy.get("departures", ()))


def other_function(results: Results) -> Iterator[str]:
    """Yield a note on each file that does not keep the network's probabilities."""
    bounds = results.get("function_bounds") or {}
    mark = f"{UNSTABLE}{_OTHER_FUNCTION}"
    for row in results["rows"]:
        if figures := departures(row):
            yield (
                f"{name_of(row)}: {mark}, its probabilities are not "
                f"{results['baseline']}'s ({figures})"
            )
    if bounds and any(departures(row) for row in results["rows"]):
        yield (
            f"{mark}: logit SQNR below {bounds['logit_sqnr_db']:g} dB, KL above "
            f"{bounds['kl']:g} nats, or ECE over {100 * bounds['delta_ece']:g} points worse"
        )


def beyond_rounding(results: Results) -> Iterator[str]:
    """Yield a note on each fp32 file that is not shown to be the same network."""
    rows = measured(results)
    devices = {row["device"] for row in rows if row["format"] == results["baseline"]}
    for row in rows:
        images = (row["accuracy"] or {}).get("beyond_rounding")
        if images and row["precision"] == "fp32" and row["device"] in devices:
            yield (
                f"{name_of(row)}: more than rounding is between its logits and "
                f"those of {results['baseline']} for {images} of {row['accuracy']['images']} "
                "images, so its accuracy is tested"
            )
