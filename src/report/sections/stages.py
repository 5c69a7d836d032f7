"""The stage of a pipeline that takes the most time, and what helps against it."""

from __future__ import annotations

from src.run.pipeline import STAGES, Pipeline, Stage
from src.run.row import Row

NAMES: dict[Stage, str] = {
    "decode": "decoding",
    "resize": "resizing",
    "convert": "the conversion to the input",
    "infer": "the network",
    "label": "the labelling",
}
REMEDIES: dict[Stage, str] = {
    "decode": "smaller or less compressed image files, or a faster decoder, help more than a "
    "faster network",
    "resize": "images stored nearer to the network's size help more than a faster network",
    "convert": "a smaller image size helps",
    "infer": "a faster file or a smaller network helps the most",
    "label": "the number of classes decides it",
}
_PIXELS = "a file that takes pixels saves it, in formats that can (export.input=uint8)"


def dominant(pipeline: Pipeline) -> tuple[Stage, float]:
    """Return the stage that takes the most time, and its share of all stages."""
    means = {stage: pipeline.stages[stage].mean_s for stage in STAGES}
    stage = max(STAGES, key=lambda name: means[name])
    total = sum(means.values())
    return stage, means[stage] / total if total else 0.0


def remedy(stage: Stage, row: Row) -> str:
    """Return what helps against a stage that takes the most time of a row."""
    return _PIXELS if stage == "convert" and row.input is None else REMEDIES[stage]
