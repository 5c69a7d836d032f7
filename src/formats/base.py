"""The class that every format is a subclass of: how a file is exported, loaded and described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from src.backends.base import ExportSource, Runtime
from src.run.facts import ExportDetails, PreprocessingFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorSensitivity:
    """Distance of one tensor of a quantized file from the same tensor in fp32."""

    tensor: str
    kind: Literal["activation", "weight"]
    sqnr_db: float  # signal to quantization noise


class Format(ABC):
    """A kind of file to deploy.

    A module of this package defines one subclass; the module's name is the format's name. Heavy
    and optional packages are imported inside the methods: all modules are imported to list the
    options of the command line.

    Attributes:
        requires: packages to export, by import name.
        runs_with: packages to load and run the exported files, by import name.
        devices: devices it can run on, "cpu" and "cuda".
        precision: of the weights and products: "fp32", "int8", ...
        tolerance: largest difference of a logit from eager's that the arithmetic of this format
            explains, as a share of eager's largest logit. A row beyond it fails. None for a
            format that changes the numbers on purpose (quantization): its accuracy is measured
            instead. Rounding in fp32 explains far less: see
            :mod:`src.benchmark.statistics.rounding`.
        embeds: :meth:`embed` is implemented.
        compiles: exporting or loading calls a C++ compiler, which takes half a minute to minutes.
            The default tests run such a format with one architecture only.
        mixes_batch: the answer for an image depends on the other images of its batch. Such a
            format is scored, and predicts, one image at a time.
        varies: reason why two exports of the same weights on one machine give different bytes, as
            a part of a sentence. None if they give the same bytes.
        Options: a dataclass of options that belong to this format alone. Each field is an option
            ``export.<format>.<field>`` of the command line, with the help text of its docstring.
            :meth:`export` reads them with ``source.options_of(self.name, ...)``.
    """

    requires: ClassVar[tuple[str, ...]]
    runs_with: ClassVar[tuple[str, ...]]
    devices: ClassVar[tuple[str, ...]]
    precision: ClassVar[str]
    tolerance: ClassVar[float | None]
    embeds: ClassVar[bool] = False
    compiles: ClassVar[bool] = False
    mixes_batch: ClassVar[bool] = False
    varies: ClassVar[str | None] = None
    Options: ClassVar[type[Any] | None] = None

    @property
    def name(self) -> str:
        """The name of the module that defines the format."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def export(self, source: ExportSource, folder: Path) -> ExportDetails | None:
        """Write everything that is needed to run into the empty ``folder``.

        Returns:
            An account of how the file was made, or None. The report shows its ``summary``,
            ``within_budget`` and ``table``; ``more`` takes any further plain values, in base units.

        Raises:
            Unavailable: it cannot be exported here.
        """

    @abstractmethod
    def load(self, folder: Path, device: str, threads: int) -> Runtime:
        """Open an exported folder. Nothing outside of that folder is read.

        Args:
            folder: as :meth:`export` wrote it.
            device: one of ``devices``.
            threads: intra-op threads.

        Raises:
            Unavailable: it cannot run on ``device`` here.
        """

    def usage(self, preprocessing: PreprocessingFacts) -> str | None:
        """Return a Python program that classifies ``picture.png`` without this project.

        It has ``{folder}`` where the folder of the files belongs; see :mod:`src.run.usage_code`.
        None if there is no such program.
        """
        return None

    def embed(self, folder: Path, target: Path) -> None:
        """Write the file in ``folder`` into ``target``, with preprocessing and softmax inside.

        The new file takes one uint8 image (height, width, 3) of any size and gives probabilities
        (K,). Only formats with ``embeds`` can do it.
        """
        raise NotImplementedError(f"{self.name} cannot hold its preprocessing")

    def sensitivity(
        self, folder: Path, exports: Path, images: NDArray[np.float32]
    ) -> list[TensorSensitivity]:
        """Compare the tensors of the file with those of the fp32 file, the noisiest first.

        Args:
            folder: as :meth:`export` wrote it.
            exports: the folder that holds the folders of all formats.
            images: (n, 3, H, W), on which activations are compared.

        Returns:
            The tensors that both files have; empty for a format that has no such comparison.
        """
        return []
