"""Options of the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.bundle.archive import is_portable
from src.errors import UsageError
from src.run.pipeline import REFERENCE, Decoder
from src.shipped.exam_checks import MOST_IMAGES

Content = Literal["images", "tensors"]
DEFAULT_EXAM = 64  # images


@dataclass(frozen=True)
class BundleOptions:
    """Content of the zip file.

    Args:
        output: zip file to write, as in ``-o model.zip``.
        format: exported format to ship; by default the one that the run's report recommends for a
            CPU.
        embedded: ship the file that has its preprocessing inside, which
            ``export.embed_preprocessing=true`` writes.
        decoder: decoder of the image files; by default the fastest of those that the run's
            measurement shows to keep the accuracy budget with this file and to be faster than
            pillow, which is the evaluation's. One that is named has to keep the budget too. The
            requirements of the bundle have its package.
        test_image: image file to check the model with on another machine; by default the run's
            first test image. It is in the bundle: set another one if the data are private.
        exam: number of test images in the bundle, 0 to 512, on which python predict.py --exam
            compares another machine with this one; by default 64. With test_image=FILE the default
            is 0, so that no image of the data leaves unasked.
        exam_content: the image files of the exam, or arrays as the model takes them (tensors),
            which show an image only in the model's size.
        licence: text file with the licence of the model, which is packed with it.
        sbom: write a bill of materials, sbom.cdx.json, in CycloneDX's format. By default it is
            written if the package cyclonedx-python-lib is installed.
        sign: private key in PEM, on the curve P-256, P-384 or P-521, that signs all files.
    """

    output: str
    format: str | None = None
    embedded: bool = False
    decoder: Decoder | None = None
    test_image: str | None = None
    exam: int | None = None
    exam_content: Content = "images"
    licence: str | None = None
    sbom: bool | None = None
    sign: str | None = None

    @property
    def exam_images(self) -> int:
        """Number of images of the exam."""
        default = 0 if self.test_image else DEFAULT_EXAM
        return default if self.exam is None else self.exam

    def __post_init__(self) -> None:
        if self.embedded and self.decoder not in {None, REFERENCE}:
            raise UsageError(
                "decoder",
                expected=f"{REFERENCE} with embedded=true, for which no other was scored",
                found=str(self.decoder),
                remedy="leave out one of the two",
            )
        if not 0 <= self.exam_images <= MOST_IMAGES:
            raise UsageError(
                "exam",
                expected=f"a number of images from 0 to {MOST_IMAGES}",
                found=str(self.exam),
                remedy=f"set for example exam={DEFAULT_EXAM}",
            )
        if self.exam_content != "images" and (self.embedded or not self.exam_images):
            raise UsageError(
                "exam_content",
                expected="images with embedded=true, whose input is the image itself"
                if self.embedded
                else "an exam whose content it could be",
                found=self.exam_content,
                remedy="leave it out" if self.embedded else f"set for example exam={DEFAULT_EXAM}",
            )
        path = Path(self.output)
        if path.suffix != ".zip" or not path.parent.is_dir():
            raise UsageError(
                "output",
                expected="a .zip file in a folder that exists",
                found=self.output,
                remedy="name it for example -o model.zip",
            )
        if not is_portable(path.stem):
            raise UsageError(
                "output",
                expected="a name that a folder can have on every system, for the zip file holds a "
                "folder of this name",
                found=self.output,
                remedy="name it for example -o model.zip",
            )
