"""Options of the prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.errors import UsageError
from src.run.record import NativeDevice
from src.system import machine
from src.system.ranges import OptionalPositiveInt, PositiveFloat, PositiveInt, require_ranges

OnError = Literal["mark", "skip", "raise"]
SUFFIXES = (".csv", ".json")  # of the output


@dataclass(frozen=True)
class PredictOptions:
    """The exported file to predict with, and the output.

    Args:
        format: exported format to use; by default the one that the run's report recommends.
        device: ``cpu`` or ``cuda``.
        top: number of classes to print for each image, the likeliest first.
        output: file to write the predictions to as well, ``.csv`` or ``.json`` by its suffix. Each
            prediction is in the file as soon as it is known.
        on_error: behaviour for an image that cannot be read, or whose logits are not finite:
            ``mark`` writes the error in the image's line, goes on, and ends with exit code 1;
            ``skip`` does the same and ends with 0; ``raise`` stops at once and keeps the
            predictions so far.
        threads: intra-op threads; by default as many as in the run's measurement, at most one a
            core.
        timeout_seconds: time limit of one answer of the process that runs the file, such as the
            logits of a batch. Raise it for a slow network.
        max_memory_bytes: limit of the process that runs the file; by default nine tenths of the
            memory of the machine or container.
    """

    format: str | None = None
    device: NativeDevice = "cpu"
    top: PositiveInt = 5
    output: str | None = None
    on_error: OnError = "mark"
    threads: OptionalPositiveInt = None
    timeout_seconds: PositiveFloat = 300.0
    max_memory_bytes: OptionalPositiveInt = None

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.output is None:
            return
        path = Path(self.output)
        if path.suffix not in SUFFIXES:
            raise UsageError(
                "output",
                expected=f"a name that ends with {' or '.join(SUFFIXES)}",
                found=self.output,
                remedy="name it for example predictions.csv",
            )
        if path.exists() and not path.is_file():
            raise UsageError(
                "output",
                expected="a file",
                found=f"{self.output}, which is none",
                remedy="give the file another name",
            )
        if not path.parent.is_dir():
            raise UsageError(
                "output",
                expected="a file in a folder that exists",
                found=self.output,
                remedy=f"make the folder {path.parent}",
            )

    @property
    def memory_limit(self) -> int:
        """Limit of the resident bytes of the process that runs the file."""
        return self.max_memory_bytes or machine.memory_bytes() * 9 // 10
