"""The measured figures as TensorBoard scalars, by tag."""

from __future__ import annotations

from src.report.sections.rows import accuracy_of, measured, memory_of
from src.run.embedded import EmbeddedFigures
from src.run.latency import Cell
from src.run.pipeline import Pipeline
from src.run.results import Results
from src.run.row import Row


def scalars(results: Results) -> dict[str, float]:
    """Return the figures of every measured row in SI base units."""
    figures: dict[str, float | None] = {}
    for row in measured(results):
        tag = f"benchmark/{row.format}/{row.device}"
        figures |= {f"{tag}/{name}": value for name, value in _of_row(row).items()}
        for cell in row.latency:
            of_cell = _of_cell(cell)
            size = f"{tag}/batch_{cell.batch_size}"
            figures |= {f"{size}/{name}": value for name, value in of_cell.items()}
        for pipeline in row.pipeline:
            of_pipeline = _of_pipeline(pipeline)
            decoder = f"{tag}/pipeline/{pipeline.decoder}"
            figures |= {f"{decoder}/{name}": value for name, value in of_pipeline.items()}
        if row.embedded and row.embedded.pipeline:
            tag = f"benchmark/{row.embedded.folder}/{row.device}"
            of_embedded = _of_embedded(row.embedded, row.embedded.pipeline)
            figures |= {f"{tag}/{name}": value for name, value in of_embedded.items()}
    return {tag: value for tag, value in figures.items() if value is not None}


def _of_row(row: Row) -> dict[str, float | None]:
    accuracy = accuracy_of(row)
    paired = accuracy.paired
    return {
        "size_bytes": row.size_bytes,
        "load_seconds": row.load_seconds,
        "top1": accuracy.top1,
        "top5": accuracy.top5,
        "delta_top1": paired.delta_top1 if paired else None,
        "agreement": paired.agreement if paired else None,
        "ece": accuracy.ece,
        "kl": paired.kl if paired else None,
    }


def _of_cell(cell: Cell) -> dict[str, float | None]:
    memory = memory_of(cell)
    return {
        "mean_s": cell.mean_s,
        "p50_s": cell.p50_s,
        "p90_s": cell.p90_s,
        "p99_s": cell.p99_s,
        "images_per_second": cell.images_per_second,
        "peak_rss_bytes": memory.peak_rss_bytes,
        "peak_device_bytes": memory.peak_device_bytes,
        "speedup": cell.speedup.value if cell.speedup else None,
    }


def _of_pipeline(pipeline: Pipeline) -> dict[str, float | None]:
    whole, answers = pipeline.whole, pipeline.answers
    return {
        "mean_s": whole.mean_s,
        "p50_s": whole.p50_s,
        "p90_s": whole.p90_s,
        "p99_s": whole.p99_s,
        "images_per_second": whole.images_per_second,
        "cpu_seconds_per_image": pipeline.cpu_seconds_per_image,
        "speedup": whole.speedup.value if whole.speedup else None,
        "delta_top1": answers.delta_top1 if answers else None,
        **{f"{stage}_s": time.mean_s for stage, time in pipeline.stages.items()},
    }


def _of_embedded(file: EmbeddedFigures, pipeline: Pipeline) -> dict[str, float | None]:
    """Return the figures of a file with its preprocessing inside.

    Its top-1 is compared with the baseline's, and its answers and its whole time with those of the
    file without.
    """
    answers, against = pipeline.answers, file.against_baseline
    whole = _of_pipeline(pipeline)
    del whole["delta_top1"]  # to the file without
    return {
        "size_bytes": file.size_bytes,
        "top1": answers.top1 if answers else None,
        "delta_top1": against.delta_top1 if against else None,
        "agreement_with_file": 1 - answers.flips / answers.images if answers else None,
        **{f"pipeline/{pipeline.decoder}/{name}": value for name, value in whole.items()},
    }
