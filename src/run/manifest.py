"""The record of ``exports/manifest.json``: the exported files and their origin."""

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
from src.run.file_input import NORMALISED, FileInput
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
from src.run.twin import TwinAccount

VERSIONS = (1,)  # that can be read; the last one is written


class Embedded(Record, frozen=True, kw_only=True):
    """A second file of a format, with the preprocessing inside."""

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
    usage: Text | None = null()  # lines of Python that classify an image
    runs_with: list[Text] = empty_list()  # packages, by import name
    read_by: Text | None = null()  # the oldest runtime that reads the file; null if unknown
    input: FileInput | None = None  # None: the network's own, normalised float32
    varies: Text | None = null()  # reason why two exports give different bytes
    embedded: Embedded | None = null()
    export_seconds: Seconds | None = None  # None if nothing was exported
    made_from: Text | None = None  # SHA-256 of everything that the content of the files depends on

    @property
    def takes(self) -> FileInput:
        """The input of the file."""
        return self.input or NORMALISED


class ExportCalibration(Calibration, frozen=True, kw_only=True):
    """The calibration images; a measurement checks that it scores other images."""

    split: Word
    images_sha256: list[Text]


class SelectionImages(Record, frozen=True, kw_only=True):
    """The training images that an int8 recipe was selected on."""

    split: Word
    images: Count


class Manifest(Network, frozen=True, kw_only=True):
    """The content of ``exports/manifest.json``."""

    schema_version: Literal[1]
    preprocessing: PreprocessingFacts
    origin: Origin | None = null()
    calibration: ExportCalibration
    judging: SelectionImages | None = None
    health: HealthFacts | None = null()  # null if it was not examined
    twin: TwinAccount | None = null()  # null if none of this checkpoint was begun
    formats: dict[Word, Export]
    probe: Text | None = null()  # SHA-256 of everything that the reference outputs depend on
    probe_files: list[ExportedFile] = empty_list()

    @property
    def exported(self) -> list[str]:
        """Names of the formats that were exported."""
        return [name for name, export in self.formats.items() if export.status == "ok"]
