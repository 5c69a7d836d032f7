"""The warning about an unhealthy network: one line, and a table of its layers."""

from __future__ import annotations

from src.report.document import MISSING, Head, Section, Table
from src.run.facts import HealthFacts

_HEADS = (
    Head("layer", is_text=True),
    Head("kind", is_text=True),
    Head("largest value"),
    Head("times the median image's"),
    Head("constant channels"),
)


def warning(facts: HealthFacts | None) -> str | None:
    """Return the problems of the network in one line; None if there are none, or no check."""
    if facts is None or not facts.problems:
        return None
    return (
        f"The trained network is not healthy: {'; '.join(facts.problems)}. Its quantized files may "
        "lose their function; docs/training.md says what helps."
    )


def outliers(facts: HealthFacts | None) -> Section | None:
    """Return the layers with the largest outliers; None as for :func:`warning`."""
    if facts is None or not facts.problems:
        return None
    layers = [
        [
            layer.name,
            layer.kind,
            f"{layer.largest:.3g}",
            f"{layer.ratio:.3g}",
            MISSING if layer.dead is None else f"{layer.dead:.0%}",
        ]
        for layer in facts.layers
    ]
    table = Table.of_text("Outliers of each layer's outputs", _HEADS, layers)
    return Section("The layers with the largest outliers", table=table)
