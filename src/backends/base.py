"""The interface of all backends: the export source, a runtime, its profile."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from numpy.typing import NDArray

from src.backends.chrome_trace import Operation
from src.run.facts import PreprocessingFacts
from src.run.row import Settings
from src.run.twin import Twin

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from src.backends.onnx.fp32_graph import Fp32Graph
    from src.run.file_input import Batch

Options = TypeVar("Options")


class Unavailable(Exception):  # noqa: N818  # it is a state of the machine, not an error
    """This format cannot run here, for the reason given: its row is skipped, not failed."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The description of the network that travels inside each file, as JSON."""

    class_names: list[str]  # in label order
    preprocessing: PreprocessingFacts


@dataclass(frozen=True)
class TwinGraph:
    """The int8 twin of the network: its float ONNX graph, and the account of how it was made."""

    path: Path
    record: Twin


@dataclass(frozen=True)
class ExportSource:
    """The best weights, ready to be written in any format.

    ``network`` is a bare module in eval mode, on the CPU, in fp32, free of hooks. A format
    leaves it as it found it. ``simplified`` computes the same in parts that run faster, where a
    runtime's own optimiser does not find them; a file of weights needs ``network``.
    """

    network: nn.Module  # (N, 3, H, W) float32 -> (N, K) float32 logits
    simplified: nn.Module  # the same logits to fp32 rounding, by src/graph_passes; may be scripted
    # The simplified network as an ONNX file, made once for all formats. With export.input=uint8 it
    # takes pixels, and so do the files that are made from it.
    fp32_graph: Fp32Graph
    builder: str  # the network's name: see src.models.builders
    builder_options: dict[str, Any]  # the builder's further arguments, num_classes among them
    example: Tensor  # (2, 3, H, W): two images, for a batch of one can freeze the batch size
    calibration: Tensor  # (M, 3, H, W): training images
    class_names: Sequence[str]  # K, in label order
    preprocessing: PreprocessingFacts  # how an image becomes the network's input
    scratch: Path  # an existing folder for temporary files, deleted after the export
    # Other training images, (M, 3, H, W), and their labels, (M,), to select a recipe by.
    selection: tuple[Tensor, Tensor] | None = None
    options: Mapping[str, object] = field(default_factory=dict)  # a format's own, by its name
    twin: TwinGraph | None = None  # of these weights
    without_twin: str = ""  # why there is none
    max_accuracy_drop: float = 0.01  # that a quantized file may give up, a share of 1

    def metadata(self) -> dict[str, object]:
        """Return the fields of :class:`Metadata` as plain values, for JSON in each file."""
        values: dict[str, object] = msgspec.to_builtins(
            Metadata(class_names=list(self.class_names), preprocessing=self.preprocessing)
        )
        return values

    def options_of(self, name: str, kind: type[Options]) -> Options:
        """Return the options of the format called ``name``, or their defaults if none are given.

        Raises:
            TypeError: the given options are not of that kind.
        """
        options = self.options.get(name)
        if options is None:
            return kind()
        if not isinstance(options, kind):
            raise TypeError(f"options of {name}: expected {kind.__name__}, found {options!r}")
        return options


@dataclass(frozen=True)
class Profile:
    """The time of a call by operator and precision, measured by the runtime; empty if it cannot.

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
        """Sum up the operators of some calls."""
        time: dict[str, float] = defaultdict(float)
        nodes: dict[str, set[str]] = defaultdict(set)
        operators: dict[str, float] = defaultdict(float)
        within: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        calls = set()
        for operation in operations:
            calls.add(operation.call)
            time[operation.precision] += operation.seconds
            nodes[operation.precision].add(operation.name)
            operators[operation.kind] += operation.seconds
            within[operation.precision][operation.kind] += operation.seconds
        total = sum(time.values())
        if not total:
            return cls()
        return cls(
            time={name: value / total for name, value in sorted(time.items())},
            nodes={name: len(names) for name, names in sorted(nodes.items())},
            operators=_ranked(operators, total),
            by_precision={name: _ranked(kinds, total) for name, kinds in sorted(within.items())},
            call_seconds=total / len(calls),
        )

    def shared_by(self, calls: int) -> Profile:
        """Return the profile of one call, if this one is of ``calls`` calls."""
        seconds = None if self.call_seconds is None else self.call_seconds / calls
        return dataclasses.replace(self, call_seconds=seconds)


def _ranked(seconds: dict[str, float], total: float) -> dict[str, float]:
    """Shares of the total, the largest first."""
    return {
        name: value / total for name, value in sorted(seconds.items(), key=lambda item: -item[1])
    }


class PictureClassifier(Protocol):
    """A loaded file with its preprocessing and softmax inside."""

    settings: Settings  # see :class:`Runtime`

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities (K,) of one image (H, W, 3), RGB and upright."""


class Runtime(Protocol):
    """An exported file, loaded on a device."""

    # The runtime's own account of what it runs with: "runtime" (its name and version), and
    # "device", "threads" and "input" as far as it tells. Where these differ from the request, the
    # row fails.
    settings: Settings

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        """Return logits (N, K) for N images as the file takes them, both in the host's memory."""

    def synchronize(self) -> None:
        """Wait until the device has finished."""

    def device_seconds(self, images: Batch) -> float | None:
        """Return the seconds of a call without copies to and from the device; None on a CPU."""

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Profile a few calls that are not timed.

        Args:
            images: as the file takes them.
            trace: a ``.json.gz`` file to write these calls to, in the format of torch's profiler.
        """
