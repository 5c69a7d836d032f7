"""The bundle's README: the model, its accuracy and its use."""

from __future__ import annotations

from collections.abc import Sequence

from src.run.facts import ScoredDataset
from src.run.manifest import Manifest
from src.run.row import Row
from src.system import quoting

_EXAM = "\n    python predict.py --exam         # on the test images in exam/, with the speed here"
_MOST_CLASSES = 20  # in the card; class_names.json has all


def card(
    manifest: Manifest,
    name: str,
    row: Row | None,
    dataset: ScoredDataset | None,
    image: str,
    *,
    embedded: bool = False,
    exam: bool = False,
) -> str:
    """Return the card in Markdown.

    Args:
        manifest: record of the run's exports.
        name: the format.
        row: its figures on a CPU, if it was measured.
        dataset: the data that it was scored on.
        image: file name of the test image.
        embedded: the file has its preprocessing inside; its figures are those of the file without.
        exam: the bundle has an exam.
    """
    side = manifest.input_shape[1]
    checkpoint = manifest.checkpoint
    return f"""# {quoting.markdown(manifest.model)} for {manifest.num_classes} classes

An image classifier, {manifest.parameters / 1e6:.1f} million parameters, as `model.onnx` \
({name}). It sees an image as {side}x{side} pixels. Its classes: {_named(manifest.class_names)}.

    pip install -r requirements.txt
    python predict.py --check        # on {image}: as where it was made?{_EXAM if exam else ""}
    python predict.py photo.jpg

`predict.py` turns an image upright, converts it to RGB{_prepared(manifest, name)} as the
evaluation did; the rule stands in the model's own metadata, with the class names. Import `Model`
from it to use it in a program.

## How good it is

{_accuracy(row, dataset, embedded=embedded)}

It knows no other classes than these: an image of something else gets one of them too.

## Where it comes from

Run {quoting.markdown_code(manifest.run)}, epoch {checkpoint.epoch}, checkpoint with SHA-256
{quoting.markdown_code(checkpoint.sha256)}.
"""


def _prepared(manifest: Manifest, name: str) -> str:
    """Return what ``predict.py`` does before the model, which may normalise the pixels itself."""
    export = manifest.formats.get(name)
    if export is not None and export.takes.is_pixels:
        return " and resizes it; the model takes the pixels and normalises them"
    return ", resizes and normalises it"


def _named(class_names: Sequence[str]) -> str:
    text = quoting.markdown(", ".join(class_names[:_MOST_CLASSES]))
    rest = len(class_names) - _MOST_CLASSES
    return f"{text} and {rest} more, in `class_names.json`" if rest > 0 else text


def _accuracy(row: Row | None, dataset: ScoredDataset | None, *, embedded: bool) -> str:
    if not row or not row.accuracy or not dataset:
        return "This file was not measured."
    this = "This file without its preprocessing inside" if embedded else "This very file"
    lines = [
        f"{this} has the right class for {row.accuracy.top1:.2%} of the "
        f"{dataset.images} images of the {quoting.markdown(dataset.split)} split of "
        f"{quoting.markdown_code(dataset.name)}, "
        "which it was not trained on."
    ]
    if row.latency:
        cell = row.latency[0]
        lines.append(
            f"A batch of {cell.batch_size} took {cell.p50_s * 1e3:.1f} ms "
            f"({row.setting('threads') or 'all'} threads) where it was measured."
        )
    return "\n".join(lines)
