"""The card of an exported file: its origin, its input and output, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.report.document import Fact
from src.report.sections.environment import threads
from src.report.sections.measurements import columns
from src.report.sections.rows import measured
from src.run.facts import Origin
from src.run.file_input import FileInput
from src.run.manifest import Export, Manifest
from src.run.preprocessing_steps import (
    CropMiddle,
    Normalise,
    ResizeBoth,
    ResizeShorter,
    Scale,
    Step,
    ToRgb,
    Upright,
    WithoutEnds,
    steps_before,
    steps_of,
)
from src.run.results import Results
from src.run.row import Row

MOST_CLASSES = 50  # names in a card; the exported file holds all
_KEYS = 2  # columns that name a row


@dataclass(frozen=True)
class File:
    """A file of an export.

    Args:
        path: relative to the folder of the export.
        bytes: its size; None if it was not recorded.
        sha256: empty if it was not recorded.
    """

    path: str
    bytes: int | None
    sha256: str


@dataclass(frozen=True)
class Figures:
    """The figures of a file on one device.

    Args:
        device: ``cpu`` or ``cuda``.
        machine: the name of the processor and its threads.
        measured_at: date and time in ISO 8601.
        images: the test images that the accuracy was measured on, in words.
        facts: the columns of the main table.
    """

    device: str
    machine: str
    measured_at: str
    images: str
    facts: Sequence[Fact]


@dataclass(frozen=True)
class Card:
    """The contents of the card of one format.

    Args:
        format: its name.
        model: the network.
        twin: what the file computes if it holds the int8 twin of the network; empty otherwise.
        run: the name of the run.
        epoch: of the checkpoint that was exported, from 0.
        precision: such as ``int8``.
        num_classes: number of classes.
        parameters: number of parameters of the network.
        input: the shape and the type of a batch; inline Markdown.
        output: the shape of the logits; inline Markdown.
        preprocessing: the steps from an image file to the input; inline Markdown.
        class_names: the first ``MOST_CLASSES`` names.
        more_classes: number of classes that are not named.
        training_images: the data set that it was trained on; None if it was not recorded.
        pretrained: True if the training started from published weights; None if it was not
            recorded.
        licence: licence of the images; None if it is not known.
        usage: a program that classifies an image; empty if there is none.
        needs: the packages that the program imports.
        read_by: the programs that read the file; inline Markdown, None if it was not recorded.
        processors: on which its answers are right; None for any.
        files: the files of the export.
        figures: one per device, of this very file only.
    """

    format: str
    model: str
    twin: Sequence[str]
    run: str
    epoch: int
    precision: str
    num_classes: int
    parameters: int
    input: str
    output: str
    preprocessing: str
    class_names: Sequence[str]
    more_classes: int
    training_images: str | None
    pretrained: bool | None
    licence: str | None
    usage: str
    needs: str
    read_by: str | None
    processors: str | None
    files: Sequence[File]
    figures: Sequence[Figures]

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(file.bytes or 0 for file in self.files)


def card_of(name: str, manifest: Manifest, files: Sequence[File], results: Results | None) -> Card:
    """Return the card of one format.

    Args:
        name: the format.
        manifest: the record of the export.
        files: the present files of the format.
        results: the measurement; None if there is none yet.
    """
    export = manifest.formats[name]
    details = export.details
    origin = manifest.origin or Origin()
    names = manifest.class_names
    rows = _rows(name, files, results) if results else []
    most_images = details.most_images if details else None
    return Card(
        format=name,
        model=manifest.model,
        twin=(details.summary or ()) if details and details.of_twin else (),
        run=manifest.run,
        epoch=manifest.checkpoint.epoch,
        precision=export.precision,
        num_classes=manifest.num_classes,
        parameters=manifest.parameters,
        input=_input_in_words(export.takes, manifest.input_shape, most_images),
        output=f"`({_batch(most_images)}, {manifest.num_classes})`",
        preprocessing=", ".join(map(_in_words, _steps_before(manifest, export.takes))),
        class_names=names[:MOST_CLASSES],
        more_classes=max(0, len(names) - MOST_CLASSES),
        training_images=f"{origin.dataset}, {origin.images} images" if origin.dataset else None,
        pretrained=origin.pretrained,
        licence=origin.licence,
        usage=(export.usage or "").replace("{folder}/", ""),
        needs=", ".join([*export.runs_with, "numpy", "pillow"]),
        read_by=export.read_by,
        processors=_processors(export, rows),
        files=files,
        figures=[_figures(row, results) for row in rows] if results else [],
    )


def _rows(name: str, files: Sequence[File], results: Results) -> list[Row]:
    """Return the rows of this very file, not of an earlier export of the same format."""
    hashes = {file.path: file.sha256 for file in files}
    if not all(hashes.values()):
        return []
    return [row for row in measured(results) if row.format == name and row.sha256 == hashes]


def _figures(row: Row, results: Results) -> Figures:
    dataset = results.dataset
    return Figures(
        device=row.device,
        machine=_machine(row, results),
        measured_at=results.measured_at,
        images=f"{dataset.images} images of the {dataset.split} split of {dataset.name}",
        facts=[
            Fact(column.head.replace("\n", " "), column.cell(row).text)
            for column in columns(results)[_KEYS:]
        ],
    )


def _processors(export: Export, rows: Sequence[Row]) -> str | None:
    """Return the processors that an int8 file was quantized for; None if any has its answers."""
    details = export.details
    if details is None or not details.needs_dot_product:
        return None
    if any(row.keeps_budget_on_avx2 for row in rows):
        return None
    remedy = "; ONNX Runtime has right ones by the session option `session.x64quantprecision=1`"
    return (
        "those with an int8 dot product (AVX-512 VNNI, AVX-VNNI, AMX, ARM). On x86 without one, "
        "sums may saturate and answers be wrong"
        + (remedy if "onnxruntime" in export.runs_with else "")
    )


def _machine(row: Row, results: Results) -> str:
    """Return the processor of a row and its threads."""
    environment = results.environment
    if row.device == "browser":
        return f"{environment.cpu}, in a web page of {row.setting('browser')}, 1 thread"
    processor = environment.processor if row.device == "cuda" else environment.cpu
    return f"{processor}, {threads(results)}"


def _input_in_words(takes: FileInput, input_shape: Sequence[int], most_images: int | None) -> str:
    """Return the shape and the type of a batch as inline Markdown."""
    channels, height, width = input_shape
    first = _batch(most_images)
    number = "any N" if most_images is None else f"N up to {most_images}"
    if most_images == 1:
        number = "one image a call"
    if takes.is_pixels:
        return f"`({first}, {height}, {width}, {channels})` uint8 pixels, {number}"
    return f"`({first}, {channels}, {height}, {width})` float32, {number}"


def _batch(most_images: int | None) -> str:
    """Return the size of a batch in a shape."""
    return "1" if most_images == 1 else "N"


def _steps_before(manifest: Manifest, takes: FileInput) -> Sequence[Step]:
    """Return the steps from an image file to the input: a file of pixels does the last ones."""
    steps = steps_of(manifest.preprocessing)
    return steps_before(steps, takes_pixels=takes.is_pixels)


def _in_words(step: Step) -> str:  # noqa: PLR0911  # one per kind of step
    """Return a step as inline Markdown: numbers and names of filters, which need no escaping."""
    match step:
        case Upright():
            return "turned upright by its EXIF orientation"
        case ToRgb():
            deep = f"16 bits are divided by {step.deep_divisor} and rounded"
            return f"in RGB of 8 bits ({deep}, transparency is dropped)"
        case WithoutEnds():
            return f"without the ends if it is over {step.longest_ratio} times as long as wide"
        case ResizeBoth():
            sides = f"both sides to {step.size} pixels, whatever the aspect ratio"
            return f"resized ({step.filter}, antialiased) with {sides}"
        case ResizeShorter():
            side = f"the shorter side to {step.size} pixels"
            return f"resized ({step.filter}, antialiased) with {side}"
        case CropMiddle():
            return f"then the middle {step.size}x{step.size}"
        case Scale():
            return "scaled to 0 to 1" if step.factor == 1 / 255 else f"times {step.factor:g}"
        case Normalise():
            mean = ", ".join(f"{value:g}" for value in step.mean)
            std = ", ".join(f"{value:g}" for value in step.std)
            return f"then `(value - mean) / std` by channel, mean {mean}, std {std}"
