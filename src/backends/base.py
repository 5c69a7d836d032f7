"""What every backend is given and gives back: the export source, a runtime, its profile."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from src.backends.chrome_trace import Operation

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


class Unavailable(Exception):  # noqa: N818  # it is a state of the machine, not an error
    """This format cannot run here, for the reason given: its row is skipped, not failed."""


@dataclass(frozen=True)
class ExportSource:
    """The best weights, ready to be written in any format.

    ``network`` is a bare module in eval mode, on the CPU, in fp32, free of hooks. A format
    leaves it as it found it. ``simplified`` computes the same in parts that run faster, where a
    runtime's own optimiser does not find them; a file of weights needs ``network``.
    """

    network: nn.Module  # (N, 3, H, W) float32 -> (N, K) float32 logits
    simplified: nn.Module  # the same logits to fp32 rounding, by src/algebra; may be scripted
    builder: str  # torchvision's name for the network
    builder_options: dict[str, Any]  # the builder's further arguments, num_classes among them
    example: Tensor  # (2, 3, H, W): two images, for a batch of one can freeze the batch size
    calibration: Tensor  # (M, 3, H, W): training images
    class_names: Sequence[str]  # K, in label order
    preprocessing: dict[str, Any]  # what was done to a picture to become the network's input
    scratch: Path  # a folder of this export alone, for what several formats are made from
    # Other training images, (M, 3, H, W), and their labels, (M,), to select a recipe by.
    selection: tuple[Tensor, Tensor] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # a format's own, by its name
    max_accuracy_drop: float = 0.01  # that a quantized file may give up, a share of 1

    def metadata(self) -> dict[str, Any]:
        """What travels inside each file, as plain values."""
        return {"class_names": list(self.class_names), "preprocessing": self.preprocessing}


@dataclass(frozen=True)
class Profile:
    """Where the time of a call goes, as the runtime itself tells; empty where it can't.

    A precision is ``fp32``, ``int8`` and the like, or ``conversion`` for what only takes values
    from one to another.
    """

    time: dict[str, float] = field(default_factory=dict)  # share of each precision
    nodes: dict[str, int] = field(default_factory=dict)  # operators in each precision
    operators: dict[str, float] = field(default_factory=dict)  # share of each kind, largest first
    # The same within each precision, as shares of the whole call.
    by_precision: dict[str, dict[str, float]] = field(default_factory=dict)
    call_seconds: float | None = None  # of one call, profiled

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> Profile:
        """From the operators of some calls."""
        time: dict[str, float] = defaultdict(float)
        nodes: dict[str, set[str]] = defaultdict(set)
        operators: dict[str, float] = defaultdict(float)
        within: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        calls = set()
        for each in operations:
            calls.add(each.call)
            time[each.precision] += each.seconds
            nodes[each.precision].add(each.name)
            operators[each.kind] += each.seconds
            within[each.precision][each.kind] += each.seconds
        total = sum(time.values())
        if not total:
            return cls()
        return cls(
            time={name: value / total for name, value in sorted(time.items())},
            nodes={name: len(found) for name, found in sorted(nodes.items())},
            operators=_ranked(operators, total),
            by_precision={name: _ranked(kinds, total) for name, kinds in sorted(within.items())},
            call_seconds=total / len(calls),
        )

    def shared_by(self, calls: int) -> Profile:
        """The same where what was taken for one call were ``calls``."""
        seconds = None if self.call_seconds is None else self.call_seconds / calls
        return dataclasses.replace(self, call_seconds=seconds)


def _ranked(seconds: dict[str, float], total: float) -> dict[str, float]:
    """Shares of the total, the largest first."""
    return {
        name: value / total for name, value in sorted(seconds.items(), key=lambda item: -item[1])
    }


class Runtime(Protocol):
    """An exported file, loaded on a device."""

    # What the runtime says it really runs with: "runtime" (its name and version), and "device"
    # and "threads" as far as it tells. Where these differ from what was asked, the row fails.
    settings: dict[str, Any]

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, K) for images (N, 3, H, W), both in the host's memory."""

    def synchronize(self) -> None:
        """Return when all that was asked of the device is done."""

    def device_seconds(self, images: NDArray[np.float32]) -> float | None:
        """Seconds of one call without the copies to and from the device; None on a CPU."""

    def profile(self, images: NDArray[np.float32], trace: Path | None = None) -> Profile:
        """Where the time of a call goes, from a few calls that are not timed.

        Args:
            images: (N, 3, H, W).
            trace: a ``.json.gz`` file to write these calls to, in the format of torch's profiler.
        """
