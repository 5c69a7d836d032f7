"""The bundle's README: what the model is, how good, how it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from src.system import quoting

_MOST_CLASSES = 20  # that are named; a file beside names all


def card(
    manifest: Mapping[str, Any],
    name: str,
    row: Mapping[str, Any] | None,
    dataset: Mapping[str, Any] | None,
    image: str,
    *,
    embedded: bool = False,
) -> str:
    """The card in Markdown.

    Args:
        manifest: of the run's exports.
        name: the format.
        row: what was measured of it on a CPU, if it was.
        dataset: what it was measured on.
        image: the test image's name.
        embedded: the file has its preprocessing inside, which was not measured with it.
    """
    side = manifest["input_shape"][1]
    checkpoint = manifest["checkpoint"]
    return f"""# {quoting.markdown(manifest["model"])} for {manifest["num_classes"]} classes

An image classifier, {manifest["parameters"] / 1e6:.1f} million parameters, as `model.onnx` \
({name}). It sees a picture as {side}x{side} pixels. Its classes: {_named(manifest["class_names"])}.

    pip install -r requirements.txt
    python predict.py --check        # on {image}: as where it was made?
    python predict.py photo.jpg

`predict.py` turns a picture upright, converts it to RGB, resizes and normalises it as the
evaluation did; the rule stands in the model's own metadata, with the class names. Import `Model`
from it to use it in a program.

## How good it is

{_accuracy(row, dataset, embedded=embedded)}

It knows no other classes than these: a picture of something else gets one of them too.

## Where it comes from

Run {quoting.markdown_code(manifest["run"])}, epoch {checkpoint["epoch"]}, checkpoint with SHA-256
{quoting.markdown_code(checkpoint["sha256"])}.
"""


def _named(class_names: Sequence[str]) -> str:
    text = quoting.markdown(", ".join(class_names[:_MOST_CLASSES]))
    rest = len(class_names) - _MOST_CLASSES
    return f"{text} and {rest} more, in `class_names.json`" if rest > 0 else text


def _accuracy(
    row: Mapping[str, Any] | None, dataset: Mapping[str, Any] | None, *, embedded: bool
) -> str:
    if not row or not row["accuracy"] or not dataset:
        return "This file was not measured."
    accuracy = row["accuracy"]
    this = "This file without its preprocessing inside" if embedded else "This very file"
    lines = [
        f"{this} has the right class for {accuracy['top1']:.2%} of the "
        f"{dataset['images']} images of the {quoting.markdown(dataset['split'])} split of "
        f"{quoting.markdown_code(dataset['name'])}, "
        "which it was not trained on."
    ]
    if row["latency"]:
        cell = row["latency"][0]
        lines.append(
            f"A batch of {cell['batch_size']} took {cell['p50_s'] * 1e3:.1f} ms "
            f"({row['effective'].get('threads', 'all')} threads) where it was measured."
        )
    return "\n".join(lines)
