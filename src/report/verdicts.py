"""How a verdict is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

OTHER_FUNCTION = "~function"
_FIGURES: dict[str, Callable[[float], str]] = {
    "logit_sqnr_db": lambda value: f"logit SQNR {value:.1f} dB",
    "kl": lambda value: f"KL {value:.2f} nats",
    "delta_ece": lambda value: f"ECE {100 * value:+.1f} points",
}
_SHOWN = {"same": "same network"}
_CLASSES = {"same network": "pass", **{name: name for name in ("pass", "fail", "inconclusive")}}


def shown(row: dict[str, Any]) -> str | None:
    """The verdict of a row of ``benchmark.json`` in words; None if it has none."""
    verdict: str | None = row["verdict"]
    if verdict is None:
        return None
    mark = f" {OTHER_FUNCTION}" if (row["accuracy"] or {}).get("departures") else ""
    return _SHOWN.get(verdict, verdict) + mark


def page_class(text: str) -> str | None:
    """The class of a cell that shows a verdict, which colours it; None for other cells."""
    return _CLASSES.get(text.removesuffix(f" {OTHER_FUNCTION}"))


def departures(row: dict[str, Any]) -> str:
    """The figures that say that a row has another function than the network; "" if none do."""
    accuracy = row["accuracy"] or {}
    return ", ".join(_FIGURES[name](accuracy[name]) for name in accuracy.get("departures", ()))


def other_function(results: dict[str, Any]) -> Iterator[str]:
    """A word on each file that keeps top-1, perhaps, but not the network's probabilities."""
    bounds = results.get("function_bounds") or {}
    for row in results["rows"]:
        if figures := departures(row):
            yield (
                f"{row['format']} on {row['device']}: {OTHER_FUNCTION}, its probabilities are not "
                f"{results['baseline']}'s ({figures})"
            )
    if bounds and any(departures(row) for row in results["rows"]):
        yield (
            f"{OTHER_FUNCTION}: logit SQNR below {bounds['logit_sqnr_db']:g} dB, KL above "
            f"{bounds['kl']:g} nats, or ECE over {100 * bounds['delta_ece']:g} points worse"
        )


def beyond_rounding(results: dict[str, Any]) -> Iterator[str]:
    """A word on each fp32 file that is not shown to be the same network."""
    rows = [row for row in results["rows"] if row["status"] == "ok"]
    there = {row["device"] for row in rows if row["format"] == results["baseline"]}
    for row in rows:
        images = (row["accuracy"] or {}).get("beyond_rounding")
        if images and row["precision"] == "fp32" and row["device"] in there:
            yield (
                f"{row['format']} on {row['device']}: more than rounding is between its logits and "
                f"those of {results['baseline']} for {images} of {row['accuracy']['images']} "
                "images, so its accuracy is tested"
            )
