"""Options of the prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.errors import UsageError
from src.system import machine
from src.system.ranges import OptionalPositiveInt, PositiveFloat, PositiveInt, require_ranges

OnError = Literal["mark", "skip", "raise"]
WRITTEN = (".csv", ".json")


@dataclass(frozen=True)
class PredictOptions:
    """The exported file to predict with, and the output.

    Args:
        format: the exported file to use; by default the one that the run's report recommends.
        device: ``cpu`` or ``cuda``.
        top: classes to name for each image, the likeliest first.
        output: a ``.csv`` or ``.json`` file to write the same to; its name says which. Each answer
            is in it as soon as it is known.
        on_error: what becomes of an image that cannot be read, or that the file gives no finite
            answer for: ``mark`` it in its own line, go on, and end with exit code 1; ``skip`` it
            likewise and end with 0; or ``raise`` the error at once, with the answers so far kept.
        threads: intra-op threads; by default those that the run was measured with, as far as
            there are cores.
        timeout_seconds: what one answer may take.
        max_memory_bytes: what the file's process may hold; by default nine tenths of the
            memory of the machine or container.
    """

    format: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"
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
        if path.suffix not in WRITTEN:
            raise UsageError(
                "output",
                expected=f"a name that ends with {' or '.join(WRITTEN)}",
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
        """Resident bytes of the file's process."""
        return self.max_memory_bytes or machine.memory_bytes() * 9 // 10
