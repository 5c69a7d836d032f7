"""What a format offers, what it is given, and what it gives back."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from src.formats._chrome_trace import Operation

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
    # Other training images, (M, 3, H, W), and their labels, (M,): to choose between recipes by.
    judging: tuple[Tensor, Tensor] | None = None
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


class Format(Protocol):
    """A module of this package.

    ``tolerance`` is the largest difference of a logit from eager's that this format's
    arithmetic explains, as a share of eager's largest logit. It is None for a format that
    changes the numbers on purpose (quantization): its accuracy is measured instead. Beyond it a
    row fails. What fp32 rounding itself explains is far less: see :mod:`src.benchmark.rounding`.

    Such a format may also have a function ``damage(folder, exports, images)``, which tells what
    departs the most from the file it was made from: ``tensor``, ``kind`` and ``sqnr_db`` of each.

    A format may have a function ``usage(preprocessing)``, which gives lines of Python that classify
    ``picture.png`` with its files and without this project, with ``{folder}`` for their folder.

    A format that calls a C++ compiler when it exports or loads, which takes it from half a minute
    to minutes, has ``compiles = True``: its tests run by default with one architecture only.

    A format whose answer for an image depends on the other images of its batch has
    ``mixes_batch = True``: it is scored, and predicts, one image at a time.

    A format whose files are not the same bytes each time the same weights are exported on the same
    machine says why in ``varies``, as a part of a sentence.

    A format may have a function ``embed(folder, target)``, which writes the file in ``folder``
    into ``target`` with the preprocessing and the softmax inside: one uint8 picture of any size
    (height, width, 3) in, probabilities (K,) out.
    """

    requires: tuple[str, ...]  # packages to export, by import name
    runs_with: tuple[str, ...]  # packages to load and run what was exported
    devices: tuple[str, ...]  # of "cpu" and "cuda", where it can run
    precision: str  # of the weights and products: "fp32", "int8", ...
    tolerance: float | None

    def export(self, source: ExportSource, folder: Path) -> dict[str, Any] | None:
        """Write everything that is needed to run into the empty ``folder``.

        Returns:
            What should be known about how the file was made, as plain values in base units, or
            None. The report shows: ``summary``, a list of sentences; ``within_budget``, whether
            it kept ``max_accuracy_drop`` on the judging images (None: not judged); ``table``,
            what was tried, with ``head`` (pairs of a name and a unit: "text", "share",
            "seconds" or "truth"), ``rows`` of such values, and ``chosen``, the index of a row.
            Further keys are kept as they are.

        Raises:
            Unavailable: it cannot be exported here.
        """

    def load(self, folder: Path, device: str, threads: int) -> Runtime:
        """The runtime of an exported folder, which sees nothing but that folder.

        Raises:
            Unavailable: it cannot run on ``device`` here.
        """


def missing_packages(names: Sequence[str]) -> list[str]:
    """Those of the packages, by import name, that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]
