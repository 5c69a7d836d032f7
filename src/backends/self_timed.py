"""The interface of a runtime in another program, which times its calls there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from numpy.typing import NDArray

from src.backends.base import Profile
from src.run.row import Settings

if TYPE_CHECKING:
    import numpy as np

    from src.run.file_input import Batch


class OwnTurn(NamedTuple):
    """A turn of timed calls.

    Args:
        seconds: of each call, by the other program's clock.
        elapsed_seconds: from the first call's start to the last one's end.
        cpu_seconds: of all its processes in this time.
    """

    seconds: list[float]
    elapsed_seconds: float
    cpu_seconds: float


class SelfTimed(ABC):
    """A :class:`src.backends.base.Runtime` whose calls would cost a message each from here."""

    settings: Settings

    @abstractmethod
    def __call__(self, images: Batch) -> NDArray[np.float32]:
        """Return logits (N, K) for N images as the file takes them."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has finished."""

    @abstractmethod
    def device_seconds(self, images: Batch) -> float | None:
        """Return None: there is no other clock."""

    @abstractmethod
    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Profile a few calls; see :class:`src.backends.base.Runtime`."""

    @abstractmethod
    def hold(self, images: Batch) -> None:
        """Send the batch (N, ...) to time, unless it is there already."""

    @abstractmethod
    def once(self) -> tuple[float, NDArray[np.float32]]:
        """Return the seconds of one call with the held batch, and its logits (N, K)."""

    @abstractmethod
    def warm_up(self, tolerance: float, max_seconds: float) -> bool:
        """Call until two windows agree within ``tolerance``; return True if they did in time."""

    @abstractmethod
    def time(self, samples: int, max_seconds: float) -> tuple[OwnTurn, NDArray[np.float32]]:
        """Time one turn; return it and the logits (N, K) of the last call.

        Args:
            samples: calls at most.
            max_seconds: no call is started after it.
        """

    @abstractmethod
    def cpu_seconds(self) -> float:
        """Return the CPU time of the other program so far."""

    @abstractmethod
    def nice(self) -> int:
        """Return the priority of the process that computes."""

    @abstractmethod
    def peak_bytes(self) -> int | None:
        """Return its peak memory above that before the file was loaded; None if unknown."""
