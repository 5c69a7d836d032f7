"""The quantizer of the int8 twin: the types and the ranges that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass

from src.backends.base import ExportSource, TwinGraph
from src.backends.onnx import twin
from src.quantization import target
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.target import Choice
from src.run.twin import Ranges


@dataclass(frozen=True)
class TrainedQuantization:
    """The quantizer of a twin's graph, and its 8-bit types."""

    quantizer: Quantizer
    choice: Choice

    @classmethod
    def of(cls, source: ExportSource, graph: TwinGraph) -> TrainedQuantization:
        """Return that of a finished twin.

        Args:
            source: of the trained network.
            graph: the twin's.
        """
        record = graph.record
        choice = target.choose(record.processor or "auto")
        twin_source = twin.source_of(source, graph.path)
        return cls(Quantizer(twin_source, choice, ends(record.ranges)), choice)

    def sentence(self) -> str:
        """Return the processor that the types are for, in words."""
        text = f"Its 8-bit types are those of its training, for {self.choice.processor}."
        if not self.choice.is_here:
            text += (
                f" It was exported on {target.this_processor()}: what is measured there, accuracy "
                "and speed, tells nothing certain of that one."
            )
        return text


def ends(ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Return ranges of tensors as quantizers take them."""
    return {name: (low, high) for name, (low, high) in ranges.items()}
