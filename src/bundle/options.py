"""Options of the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.errors import UsageError
from src.run.pipeline import REFERENCE, Decoder


@dataclass(frozen=True)
class BundleOptions:
    """Content of the zip file.

    Args:
        output: zip file to write, as in ``-o model.zip``.
        format: exported format to ship; by default the one that the run's report recommends for a
            CPU.
        embedded: ship the file that has its preprocessing inside, which
            ``export.embed_preprocessing=true`` writes.
        decoder: decoder of the image files. pillow is the evaluation's. pillow_draft is faster for
            large JPEGs; it is shipped if the run's measurement shows that it keeps the accuracy
            budget with this file.
        test_image: image file to check the model with on another machine; by default the run's
            first test image. It is in the bundle: set another one if the data are private.
        licence: text file with the licence of the model, which is packed with it.
        sbom: write a bill of materials, sbom.cdx.json, in CycloneDX's format. By default it is
            written if the package cyclonedx-python-lib is installed.
        sign: private key in PEM, on the curve P-256, P-384 or P-521, that signs all files.
    """

    output: str
    format: str | None = None
    embedded: bool = False
    decoder: Decoder = REFERENCE
    test_image: str | None = None
    licence: str | None = None
    sbom: bool | None = None
    sign: str | None = None

    def __post_init__(self) -> None:
        if self.embedded and self.decoder != REFERENCE:
            raise UsageError(
                "decoder",
                expected=f"{REFERENCE} with embedded=true, for which no other was scored",
                found=self.decoder,
                remedy="leave out one of the two",
            )
        path = Path(self.output)
        if path.suffix != ".zip" or not path.parent.is_dir():
            raise UsageError(
                "output",
                expected="a .zip file in a folder that exists",
                found=self.output,
                remedy="name it for example -o model.zip",
            )
