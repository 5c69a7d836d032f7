"""The measurements in TensorBoard: the table as text, a scalar a figure, the hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from src.errors import visible
from src.report import operators
from src.report.advice import sentences
from src.report.table import accuracy_columns, columns, more_columns
from src.report.writers.markdown_table import markdown_table
from src.system import quoting

_LARGEST = 2**1000  # of a whole number, which TensorBoard keeps as a floating-point one


def write(
    results: dict[str, Any],
    folder: Path,
    hyperparameters: dict[str, Any],
    drawn: dict[str, Figure],
) -> None:
    """Add one event file to the run's folder.

    Args:
        results: the content of ``benchmark.json``.
        folder: the run's.
        hyperparameters: nested values of the configuration; those that are numbers, texts or
            truth values become columns of the HParams tab.
        drawn: figures by name, for the Images tab.
    """
    from torch.utils.tensorboard import SummaryWriter

    figures = dict(_figures(results))
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("benchmark/table", markdown_table(results, columns(results)))
        writer.add_text(
            "benchmark/recommendation", "\n\n".join(map(quoting.markdown, sentences(results)))
        )
        writer.add_text("benchmark/answers", markdown_table(results, accuracy_columns(results)))
        if any(row.get("trace") for row in results["rows"]):
            writer.add_text("benchmark/operators", "\n".join(operators.sections(results)))
        writer.add_text("benchmark/more", markdown_table(results, more_columns(results)))
        for name, figure in drawn.items():
            writer.add_figure(f"benchmark/{name}", figure)
        for tag, value in figures.items():
            writer.add_scalar(tag, value)
        writer.add_hparams(dict(_flat(hyperparameters)), figures, run_name=".")


def _figures(results: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for row in results["rows"]:
        if row["status"] != "ok":
            continue
        tag = f"benchmark/{row['format']}/{row['device']}"
        yield f"{tag}/size_bytes", row["size_bytes"]
        yield f"{tag}/load_seconds", row["load_seconds"]
        for name in ("top1", "top5", "delta_top1", "agreement", "ece", "kl"):
            if row["accuracy"].get(name) is not None:
                yield f"{tag}/{name}", row["accuracy"][name]
        for cell in row["latency"]:
            yield from _of_cell(cell, f"{tag}/batch_{cell['batch_size']}")


def _of_cell(cell: dict[str, Any], tag: str) -> Iterator[tuple[str, float]]:
    times = ("mean_s", "p50_s", "p90_s", "p99_s", "images_per_second")
    for name in (*times, "peak_rss_bytes", "peak_device_bytes"):
        if cell.get(name) is not None:
            yield f"{tag}/{name}", cell[name]
    if cell["speedup"] is not None:
        yield f"{tag}/speedup", cell["speedup"]["value"]


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            yield visible(f"{prefix}{name}"), visible(value)
        elif isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _LARGEST):
            yield visible(f"{prefix}{name}"), value
