"""Base class of all formats: how a file is exported, loaded and described."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from src.backends.base import ExportSource, PictureClassifier, Runtime
from src.backends.own_environment import OwnEnvironment
from src.run.facts import ExportDetails, PreprocessingFacts
from src.run.file_input import NORMALISED, Batch, FileInput


@dataclass(frozen=True)
class TensorSensitivity:
    """Quantization error of one tensor, compared with the same tensor in fp32."""

    tensor: str
    kind: Literal["activation", "weight"]
    sqnr_db: float  # signal to quantization noise ratio


@dataclass(frozen=True)
class Bundling:
    """The way in which a bundle runs the files of a format on a CPU, without this project.

    Args:
        runtime: module of ``src/shipped`` that opens them, a ``runtime_*.py`` without its ending.
        files: the files to ship, by their names in the format's folder. The runtime opens the
            first one.
        packages: the packages that the runtime needs besides numpy and Pillow, as pip calls them.
        executes: sentence on the code in the files that loading them executes. ``predict.py``
            compares such files with their SHA-256 first. None for files of data.
        same_minor: the files run with this minor version of the packages only.
        imports: further modules ``runtime_*`` of ``src/shipped`` that the runtime imports.
        remark: sentence on the packages for the README of the bundle.
    """

    runtime: str
    files: tuple[str, ...]
    packages: tuple[str, ...]
    executes: str | None = None
    same_minor: bool = False
    imports: tuple[str, ...] = ()
    remark: str | None = None


class Format(ABC):
    """A kind of file to deploy.

    Each module of this package defines one subclass, and the module's name is the format's name.
    The command line imports all modules to list their options, so heavy and optional packages are
    imported inside the methods.

    Attributes:
        requires: packages that exporting needs, by import name.
        runs_with: packages that loading and running the exported files need, by import name.
        devices: the devices that it runs on, "cpu", "cuda" and "browser", which is a web page on
            the CPU with one thread.
        precision: type of the weights and products: "fp32", "int8", ...
        tolerance: largest difference between a logit and eager's that the arithmetic of this format
            can cause, as a share of eager's largest logit. A row with a larger one fails. None for
            a format that changes the numbers on purpose (quantization): its accuracy is measured
            instead. Rounding in fp32 causes far less: see
            :mod:`src.benchmark.statistics.rounding`.
        environment: the environment of its own that its packages are in, where they conflict with
            those of this project; None for a format that runs with this project's. Then
            ``requires`` are packages here, and ``runs_with`` those in the environment; :meth:`load`
            is called there. :meth:`export` runs here, and hands a file over to a program there.
        embeds: True if :meth:`embed` is implemented.
        takes_pixels: True if the file is made from ``source.fp32_graph``, so that it takes pixels
            with ``export.input=uint8``. Such a format implements :meth:`pixel_usage`.
        bundling: the way in which ``python -m src.bundle`` ships the file; None for a format whose
            files run with this project only. A format without "cpu" in ``devices`` is not shipped.
        compiles: True if exporting or loading calls a C++ compiler, which takes half a minute to
            minutes. The default tests run such a format with one architecture only.
        mixes_batch: True if the logits of an image depend on the other images of its batch. Such
            a format is scored, and predicts, one image at a time.
        varies: the reason why two exports of the same weights on one machine give different bytes,
            as a part of a sentence. None if they give the same bytes.
        of_twin: True if the file holds the int8 twin, another network than the trained one.
        Options: a dataclass of options that belong to this format alone. Each field is an option
            ``export.<format>.<field>`` of the command line, with the help text of its docstring.
            :meth:`export` reads them with ``source.options_of(self.name, ...)``.
    """

    requires: ClassVar[tuple[str, ...]]
    runs_with: ClassVar[tuple[str, ...]]
    devices: ClassVar[tuple[str, ...]]
    precision: ClassVar[str]
    tolerance: ClassVar[float | None]
    environment: ClassVar[OwnEnvironment | None] = None
    embeds: ClassVar[bool] = False
    takes_pixels: ClassVar[bool] = False
    bundling: ClassVar[Bundling | None] = None
    compiles: ClassVar[bool] = False
    mixes_batch: ClassVar[bool] = False
    varies: ClassVar[str | None] = None
    of_twin: ClassVar[bool] = False
    Options: ClassVar[type[Any] | None] = None

    @property
    def name(self) -> str:
        """The name of the module that defines the format."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def can_be_bundled(self) -> bool:
        """True if a bundle can run its files on a CPU."""
        return self.bundling is not None and "cpu" in self.devices

    def python(self) -> Path:
        """Return the interpreter that :meth:`load` runs with.

        Raises:
            Unavailable: its environment cannot be made.
        """
        return Path(sys.executable) if self.environment is None else self.environment.python()

    @abstractmethod
    def export(self, source: ExportSource, folder: Path) -> ExportDetails | None:
        """Write everything that is needed to run into the empty ``folder``.

        Returns:
            An account of how the file was made, or None. The report shows its ``summary``,
            ``within_budget`` and ``table``; ``more`` takes any further plain values, in base units.

        Raises:
            Unavailable: the format cannot be exported here.
        """

    @abstractmethod
    def load(self, folder: Path, device: str, threads: int) -> Runtime:
        """Load an exported folder. No file outside of it is read.

        Args:
            folder: as :meth:`export` wrote it.
            device: one of ``devices``.
            threads: intra-op threads.

        Raises:
            Unavailable: the file cannot run on ``device`` here.
        """

    def usage(self, preprocessing: PreprocessingFacts) -> str | None:
        """Return a Python program that classifies ``picture.png`` without this project.

        ``{folder}`` stands for the folder of the exported files; see :mod:`src.run.usage_code`.
        None if there is no such program.
        """
        return None

    def usage_of(self, builder: str, preprocessing: PreprocessingFacts) -> str | None:
        """Return :meth:`usage` for a file of the network ``builder``.

        It differs for formats whose file names the network: see :mod:`src.models.builders`.
        """
        return self.usage(preprocessing)

    def pixel_usage(self, preprocessing: PreprocessingFacts) -> str | None:
        """Return :meth:`usage` for a file that takes pixels."""
        return None

    def input_of(self, source: ExportSource) -> FileInput:
        """Return the input of the file that :meth:`export` makes of ``source``."""
        return source.fp32_graph.batch.takes if self.takes_pixels else NORMALISED

    def packages_of(self, builder: str) -> list[str]:
        """Return ``runs_with`` for a file of the network ``builder``."""
        return list(self.runs_with)

    def read_by(self, folder: Path) -> str | None:
        """Return a phrase on the oldest runtime that reads the exported file; None if unknown."""
        return None

    def embed(self, folder: Path, target: Path) -> None:
        """Write a file with the preprocessing and the softmax inside into the folder ``target``.

        It is made from the file in ``folder``. Its input is one uint8 image (height, width, 3) of
        any size, its output probabilities (K,). Only formats with ``embeds`` implement it.
        """
        raise NotImplementedError(f"{self.name} cannot hold its preprocessing")

    def load_embedded(self, folder: Path, threads: int) -> PictureClassifier:
        """Load what :meth:`embed` wrote into ``folder``, on the CPU.

        Only formats with ``embeds`` implement it.
        """
        raise NotImplementedError(f"{self.name} cannot hold its preprocessing")

    def sensitivity(self, folder: Path, exports: Path, images: Batch) -> list[TensorSensitivity]:
        """Return the quantization errors of the file's tensors, the largest error first.

        Args:
            folder: as :meth:`export` wrote it.
            exports: the folder that holds the folders of all formats.
            images: as the file takes them, on which activations are compared.

        Returns:
            The tensors that the file and the fp32 file both have; empty for a format without
            this comparison.
        """
        return []
