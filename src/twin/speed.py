"""Speed of a trained twin: its files in turn with those of the network."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from src.backends.onnx import twin
from src.backends.onnx.runtime import OnnxRuntime
from src.quantization.evaluation import speedup_in_turn
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.onnx.twin import ends
from src.run.twin import Ranges
from src.system import machine
from src.twin import exported, survey
from src.twin.making import Making

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Speedups:
    """Times as fast as another file, in turn with it in this process.

    Args:
        int8: over the plain int8 file of the network.
        fp32: over the fp32 file of the network.
        exported_int8: over the int8 file that the run has exported; None without one.
    """

    int8: float
    fp32: float
    exported_int8: float | None = None


def measured(making: Making, graph: Path, ranges: Ranges) -> Speedups:
    """Time the twin's files in turn with those of the trained network.

    Args:
        making: of the network.
        graph: the twin's float graph with its trained weights.
        ranges: of its activations.
    """
    image = making.images[:1].numpy()
    with (
        making.quantized(making.network) as own,
        tempfile.TemporaryDirectory(prefix="lightship-") as name,
    ):
        folder = Path(name)
        source = twin.source_of(own.source, graph)
        trained = Quantizer(source, making.choice, ends(ranges))
        int8 = [
            _opened(survey.quantized(quantizer), folder, number)
            for number, quantizer in enumerate((trained, own.quantizer))
        ]
        fp32 = [
            OnnxRuntime(path, "cpu", machine.usable_cores())
            for path in (graph, own.source.fp32_graph.path)
        ]
        return Speedups(
            int8=speedup_in_turn(int8[0], int8[1], image),
            fp32=speedup_in_turn(fp32[0], fp32[1], image),
            exported_int8=exported.speedup_over(
                making.run, making.checkpoint.sha256, int8[0], image, making.report
            ),
        )


def _opened(model: onnx.ModelProto, folder: Path, number: int) -> OnnxRuntime:
    import onnx

    path = folder / f"int8_{number}.onnx"
    onnx.save_model(model, path)
    return OnnxRuntime(path, "cpu", machine.usable_cores())
