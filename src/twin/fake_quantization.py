"""A network's graph under fake quantization, with the recipe of the int8 file that is exported."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from src.backends.base import ExportSource
from src.backends.onnx import tensors
from src.export.one_format import quiet
from src.export.source import Checkpoint, make_source
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.onnx.recipe import OnnxRecipe
from src.quantization.target import Choice
from src.run.facts import PreprocessingFacts
from src.system import atomic_files
from src.twin.graph_network import GraphNetwork

if TYPE_CHECKING:
    import onnx

_CALIBRATION = 128  # images, as in an export


@dataclass(frozen=True)
class FakeQuantization:
    """The float graph of a network and its plain int8 graph.

    Args:
        source: of the network.
        quantizer: of the same.
        choice: the quantizer's types.
    """

    source: ExportSource
    quantizer: Quantizer
    choice: Choice

    @classmethod
    @contextlib.contextmanager
    def of(
        cls,
        network: nn.Module,
        checkpoint: Checkpoint,
        images: Tensor,
        preprocessing: PreprocessingFacts,
        choice: Choice,
    ) -> Iterator[FakeQuantization]:
        """Quantize a network within the block.

        Args:
            network: in eval mode on the CPU.
            checkpoint: of the teacher.
            images: training images, (n, 3, H, W).
            preprocessing: of the data.
            choice: the 8-bit types.
        """
        with tempfile.TemporaryDirectory(prefix="lightship-") as folder:
            source = make_source(
                network,
                checkpoint.spec,
                checkpoint.class_names,
                images[:_CALIBRATION],
                preprocessing,
                Path(folder),
            )
            yield cls(source, Quantizer(source, choice), choice)

    def network(self) -> GraphNetwork:
        """Return the int8 graph with float weights that can be trained.

        Raises:
            UnknownOperatorError: a node cannot be trained.
        """
        floats = tensors.constants(self._float)
        return GraphNetwork(self._quantized, floats, reduce_range=self.choice.reduce_range)

    def ranges(self) -> dict[str, list[float]]:
        """Return the range of each activation that the graph is trained with."""
        known = self.quantizer.ranges(OnnxRecipe())
        return {name: [float(low), float(high)] for name, (low, high) in known.items()}

    def write(self, trained: nn.Module, path: Path) -> None:
        """Write the float graph with trained weights.

        Args:
            trained: the result of :meth:`network`, trained.
            path: of the ONNX file.
        """
        import onnx

        if not isinstance(trained, GraphNetwork):
            raise TypeError(f"expected a GraphNetwork, found {type(trained).__name__}")
        model = onnx.ModelProto()
        model.CopyFrom(self._float)
        weights = trained.weights()
        for initializer in model.graph.initializer:
            if initializer.name in weights:
                value = weights[initializer.name]
                initializer.CopyFrom(onnx.numpy_helper.from_array(value, initializer.name))
        atomic_files.write_bytes(path, model.SerializeToString())

    @functools.cached_property
    def _float(self) -> onnx.ModelProto:
        import onnx

        with quiet():
            return onnx.load(self.source.fp32_graph.prepared)

    @functools.cached_property
    def _quantized(self) -> onnx.ModelProto:
        with quiet():
            return self.quantizer.quantize(OnnxRecipe())
