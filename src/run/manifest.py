"""The record of ``exports/manifest.json``: what was exported, from what."""

from __future__ import annotations

from typing import Literal

from src.run.facts import (
    Calibration,
    ExportDetails,
    ExportedFile,
    HealthFacts,
    Network,
    Origin,
    PreprocessingFacts,
)
from src.run.record import (
    Count,
    Record,
    Seconds,
    Status,
    Text,
    Word,
    empty_list,
    null,
)

VERSIONS = (1,)  # that are read; the last one is written


class Embedded(Record, frozen=True, kw_only=True):
    """A format's file once more, with its preprocessing inside."""

    folder: Word
    status: Status
    reason: Text | None  # null for ok
    files: list[ExportedFile]


class Export(Record, frozen=True, kw_only=True):
    """One exported format."""

    precision: Word
    status: Status
    reason: Text | None  # null for ok
    files: list[ExportedFile]
    details: ExportDetails | None = null()
    usage: Text | None = null()  # lines of Python that classify a picture
    runs_with: list[Text] = empty_list()  # packages, by import name
    varies: Text | None = null()  # why the files are not the same bytes each time
    embedded: Embedded | None = null()
    export_seconds: Seconds | None = None  # None where nothing was exported
    made_from: Text | None = None  # SHA-256 of all that decides what the files hold


class ExportCalibration(Calibration, frozen=True, kw_only=True):
    """The calibration images, by which a measurement can see that it scores others."""

    split: Word
    images_sha256: list[Text]


class Judging(Record, frozen=True, kw_only=True):
    """The training images by which an int8 recipe was chosen."""

    split: Word
    images: Count


class Manifest(Network, frozen=True, kw_only=True):
    """The content of ``exports/manifest.json``."""

    schema_version: Literal[1]
    preprocessing: PreprocessingFacts
    origin: Origin | None = null()
    calibration: ExportCalibration
    judging: Judging | None = None
    health: HealthFacts | None = null()  # null where nobody looked
    formats: dict[Word, Export]
    probe: Text | None = null()  # SHA-256 of all that decides about the reference outputs
    probe_files: list[ExportedFile] = empty_list()

    @property
    def exported(self) -> list[str]:
        """Names of the formats whose files are there."""
        return [name for name, export in self.formats.items() if export.status == "ok"]
