"""The figures of a candidate, read from the run of its short training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from src.forecast.records import Candidate, FileCost, Timing, TrainingCost
from src.report.charts.chart import samples_of
from src.run import scalars
from src.run.folder import Run
from src.run.latency import Cell
from src.run.results import Results
from src.run.row import Row


def candidate_of(model: str, key: str, run: Run, width: float | None = None) -> Candidate:
    """Return the record of a candidate.

    Args:
        model: as on the command line.
        key: of the candidate.
        run: of the short training, exported and measured.
        width: factor on the channels of the network; None for its own width.

    Raises:
        UsageError: the run has no measurement.
    """
    results = run.read_benchmark()
    return Candidate(
        model=model,
        width=width,
        image_size=results.input_shape[-1],
        key=key,
        status="ok",
        parameters=results.parameters,
        macs=results.macs,
        training=_training(run, results),
        files=[_file(row) for row in results.rows],
    )


def _file(row: Row) -> FileCost:
    pipeline = row.pipeline_of()
    return FileCost(
        format=row.format,
        device=row.device,
        status=row.status,
        reason=row.reason,
        size_bytes=row.size_bytes,
        timings=[_timing(cell) for cell in row.latency],
        pipeline_p50_s=pipeline.whole.p50_s if pipeline else None,
    )


def _timing(cell: Cell) -> Timing:
    low, high = np.percentile(samples_of(cell), [25, 75])
    return Timing(
        batch_size=cell.batch_size,
        p50_s=cell.p50_s,
        p90_s=cell.p90_s,
        low_s=min(float(low), cell.p50_s),
        high_s=max(float(high), cell.p50_s),
        speedup=cell.speedup,
        unstable=list(cell.unstable),
        peak_rss_bytes=cell.peak_memory.peak_rss_bytes if cell.peak_memory else None,
    )


def _training(run: Run, results: Results) -> TrainingCost | None:
    """Return the cost of a training; None if too few steps were logged."""
    figures = _last_scalars(run.folder)
    speed, step = (figures.get(name) for name in ("images_per_second", "step_seconds"))
    images = results.origin.images if results.origin else None
    if not speed or not step or images is None:
        return None
    config = run.read_config()
    epochs = epochs_of(config)
    if epochs is None:
        return None
    images = _images_of_epoch(images, config)
    return TrainingCost(
        images_per_second=speed,
        step_seconds=step,
        peak_rss_bytes=_whole(figures.get("peak_rss_bytes")),
        peak_device_bytes=_whole(figures.get("peak_device_bytes")),
        images=images,
        epochs=epochs,
    )


def epochs_of(config: Mapping[str, Any]) -> int | None:
    """Return the epochs that a run's configuration sets; None if it sets no end by them."""
    epochs = config.get("trainer", {}).get("max_epochs")
    return epochs if isinstance(epochs, int) and epochs >= 0 else None


def _images_of_epoch(images: int, config: Mapping[str, Any]) -> int:
    """Return the number of images that an epoch takes of those of the training split."""
    limit = config.get("trainer", {}).get("limit_train_batches")
    if isinstance(limit, float):
        return round(images * min(limit, 1.0))
    batch = config.get("data", {}).get("init_args", {}).get("batch_size")
    if isinstance(limit, int) and isinstance(batch, int):
        return min(images, limit * batch)
    return images


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _last_scalars(folder: Path) -> dict[str, float]:
    """Return the last value of each ``throughput/`` scalar."""
    prefix = "throughput/"
    return {
        tag.removeprefix(prefix): points[-1].value
        for tag, points in scalars.read(folder).items()
        if tag.startswith(prefix)
    }
