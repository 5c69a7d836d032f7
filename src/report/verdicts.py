"""How a verdict is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_SHOWN = {"same": "same network"}
_CLASSES = {"same network": "pass", **{name: name for name in ("pass", "fail", "inconclusive")}}


def shown(row: dict[str, Any]) -> str | None:
    """The verdict of a row of ``benchmark.json`` in words; None if it has none."""
    verdict: str | None = row["verdict"]
    return None if verdict is None else _SHOWN.get(verdict, verdict)


def page_class(text: str) -> str | None:
    """The class of a cell that shows a verdict, which colours it; None for other cells."""
    return _CLASSES.get(text)


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
