"""Records used in several files of a run: network, checkpoint, images, exported files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from src.run import class_names
from src.run.record import (
    MOST_TEXT,
    Count,
    Index,
    InvalidValueError,
    Record,
    Share,
    ShortText,
    Side,
    Text,
    null,
    require_inside,
    require_same_length,
)

Channels = Annotated[
    list[Annotated[float, Meta(ge=-1e6, le=1e6)]], Meta(min_length=3, max_length=3)
]
Deviations = Annotated[
    list[Annotated[float, Meta(ge=1e-6, le=1e6)]], Meta(min_length=3, max_length=3)
]
Magnitude = Annotated[float, Meta(ge=0, le=1e39)]  # absolute value in a float32 tensor


class Checkpoint(Record, frozen=True, kw_only=True):
    """The checkpoint that was exported."""

    path: Text  # relative to the run
    sha256: Text
    epoch: Annotated[int, Meta(ge=0, le=10**9)]

    def __post_init__(self) -> None:
        require_inside(self.path, "path")


class Origin(Record, frozen=True, kw_only=True):
    """The data that the weights were trained on; unknown values are None."""

    dataset: Text | None = None
    images: Count | None = None
    licence: Text | None = None
    pretrained: bool | None = null()


class PreprocessingFacts(Record, frozen=True, kw_only=True):
    """The evaluation preprocessing, as it is stored in every exported file.

    :mod:`src.run.preprocessing_steps` defines the values.
    """

    image_size: Side
    resize: Literal["squash", "crop"]
    mean: Channels  # R, G and B, after scaling
    std: Deviations
    interpolation: Literal["bilinear", "bicubic"] | None = None  # None: bilinear
    crop_share: Annotated[float, Meta(ge=0.01, le=1)] | None = null()  # null without a crop
    color: Text | None = None
    scale: Annotated[float, Meta(ge=1e-6, le=1)] | None = None  # None: 1 / 255
    layout: Text | None = None


class LayerHealth(Record, frozen=True, kw_only=True):
    """Statistics of the outputs of one layer over some images."""

    name: Text
    kind: Text  # the module's class
    ratio: Annotated[
        float, Meta(ge=0, le=1e30)
    ]  # of each image's largest absolute value: maximum / median
    largest: Magnitude
    dead: Share | None = null()  # share of constant channels; null for a layer without activation


class HealthFacts(Record, frozen=True, kw_only=True):
    """Outliers and dead channels of the trained network: see :mod:`src.models.health`."""

    images: Count
    logit_median: Magnitude  # of each image's largest absolute logit
    logit_largest: Magnitude  # likewise, the maximum
    vanishing: Share | None  # share of BatchNorm channels; null without BatchNorm
    dead: Share | None  # share of the activations' channels; null without activations
    layers: list[LayerHealth]
    problems: list[Text]


class ExportedFile(Record, frozen=True, kw_only=True):
    """A file that an export wrote."""

    path: Text  # relative to the format's folder
    bytes: Count
    sha256: Text | None = null()  # null if unknown

    def __post_init__(self) -> None:
        require_inside(self.path, "path")


TrialCell = str | int | float | bool | None
MOST_IMAGES = "most_images"  # key of the most images of a call, among the details of a format


class TrialTable(Record, frozen=True, kw_only=True):
    """A table of the trials of an export."""

    head: Annotated[
        list[Annotated[list[Text], Meta(min_length=2, max_length=2)]],
        Meta(min_length=1, max_length=100),
    ]  # name and unit of each column: "text", "share", "seconds" or "truth"
    rows: list[list[TrialCell]]  # null where a cell says nothing
    chosen: Index | None  # the row that was taken; null for none

    def __post_init__(self) -> None:
        for name, unit in self.head:
            if unit not in _CELL_KINDS:
                expected = f"one of {', '.join(_CELL_KINDS)}"
                raise InvalidValueError(f"head of {name!r}", expected, unit)
        for row in self.rows:
            require_same_length([row, self.head], "rows")
            for cell, (name, unit) in zip(row, self.head, strict=True):
                if cell is not None and not _CELL_KINDS[unit](cell):
                    raise InvalidValueError(f"rows, {name!r}", f"a value of the unit {unit}", cell)


class ExportDetails(Record, frozen=True, kw_only=True):
    """A description of how a format's files were made."""

    summary: list[Text] | None = None  # sentences
    within_budget: bool | None = null()  # kept max_accuracy_drop; null if not evaluated
    table: TrialTable | None = None
    of_twin: bool | None = None  # True: the file holds the int8 twin, another network
    # Further values of the format. In the file they are on the level of the above.
    more: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def needs_dot_product(self) -> bool:
        """True for an int8 file whose sums are in range with an int8 dot product only.

        Without one, x86 adds pairs of products in 16 bits, where weights in the full range may
        saturate: see :mod:`src.quantization.target`.
        """
        return self.more.get("reduce_range") is False

    @property
    def most_images(self) -> int | None:
        """The most images of a call; None for any number, or if it was not recorded."""
        most = self.more.get(MOST_IMAGES)
        return most if type(most) is int and most > 0 else None


class Network(Record, frozen=True, kw_only=True):
    """The trained network: the first part of the manifest and of a measurement."""

    schema_version: Literal[1, 2, 3, 4, 5, 6]
    run: Text  # name at the time of writing; the folder may have been renamed
    model: ShortText
    parameters: Count
    macs: Count  # multiply-accumulates of one image
    input_shape: Annotated[list[Side], Meta(min_length=3, max_length=3)]  # (3, H, W), pixels
    num_classes: Annotated[int, Meta(ge=1, le=10**7)]
    class_names: list[Text]  # in label order
    checkpoint: Checkpoint

    def __post_init__(self) -> None:
        if problem := class_names.first_problem(self.class_names):
            raise InvalidValueError("class_names", class_names.EXPECTED, problem)
        if self.num_classes != len(self.class_names):
            expected = f"{len(self.class_names)}, the number of names,"
            raise InvalidValueError("num_classes", expected, self.num_classes)


class Calibration(Record, frozen=True, kw_only=True):
    """The training images that static quantization calibrated on."""

    split: Text
    images: Count
    images_sha256: list[Text] | None = None  # null or missing in a measurement of an early version


class ScoredDataset(Record, frozen=True, kw_only=True):
    """The images that accuracy was measured on."""

    name: Text
    split: Text
    images: Count
    sha256: Text | None = null()  # of images and labels; null if unknown
    also_in_calibration: Count | None = None  # number of calibration images among them


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) <= _LARGEST


_LARGEST = sys.float_info.max
_CELL_KINDS: dict[str, Callable[[object], bool]] = {
    "text": lambda cell: isinstance(cell, str) and len(cell) <= MOST_TEXT,
    "share": _is_number,
    "seconds": _is_number,
    "truth": lambda cell: isinstance(cell, bool),
}
