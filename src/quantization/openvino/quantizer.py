"""Make the int8 graph of a recipe with NNCF's post-training quantization.

https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training/basic-quantization-flow.html
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from src.backends.base import ExportSource
from src.backends.openvino import file, signal_stack
from src.quantization.openvino import hard_swish
from src.quantization.openvino.recipe import OpenVinoRecipe
from src.quantization.openvino.sensitivity import sensitivity_order
from src.quantization.target import this_processor

if TYPE_CHECKING:
    import openvino

_SENSITIVITY_IMAGES = 8


class Quantizer:
    """Makes the graphs of one network, calibrated on its calibration images.

    Args:
        source: the network.
    """

    def __init__(self, source: ExportSource) -> None:
        # Converted once, because a second conversion may give the nodes other names.
        self.float_graph: openvino.Model = file.model(source)
        batch = source.fp32_graph.batch(source.calibration.numpy())
        self._images: list[NDArray[Any]] = [image[None] for image in batch]

    def quantize(self, recipe: OpenVinoRecipe) -> openvino.Model:
        """Return the int8 graph of a recipe."""
        import nncf

        nncf.set_log_level(logging.ERROR)  # it would list the layers that it leaves in float
        graph = self.float_graph.clone()
        if recipe.hard_share:
            hard_swish.harden(graph, self._images, recipe.hard_share)
        names = {node.get_friendly_name() for node in graph.get_ops()}
        # Hard swishes have replaced some of the layers.
        ignored = nncf.IgnoredScope(names=[name for name in recipe.kept_in_float if name in names])
        with signal_stack.kept():  # NNCF runs the network for its statistics
            quantized = nncf.quantize(
                graph,
                nncf.Dataset(self._images),
                subset_size=len(self._images),
                ignored_scope=ignored,
                **settings(recipe.preset),
            )
        # NNCF leaves some layers in float, such as squeeze-excite. Their weights are stored in 8
        # bits, except those of the layers that this recipe keeps in float.
        return nncf.compress_weights(
            quantized, mode=nncf.CompressWeightsMode.INT8_SYM, ignored_scope=ignored
        )

    def sensitivity_order(self, quantized: openvino.Model) -> list[str]:
        """Return the names of the layers of an int8 graph, the most sensitive one first."""
        return sensitivity_order(self.float_graph, quantized, self._images[:_SENSITIVITY_IMAGES])


def reduces_range() -> bool:
    """Return True if weights use half of their range, for this processor adds in 16 bits.

    It is ``reduce_range`` of ``onnx_int8``.
    """
    return this_processor() == "avx2"


def settings(preset: str) -> dict[str, Any]:
    """Return the arguments of ``nncf.quantize`` for a preset on this processor."""
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        AdvancedSmoothQuantParameters,
        OverflowFix,
    )

    return {
        "model_type": nncf.ModelType.TRANSFORMER if preset == "transformer" else None,
        "target_device": nncf.TargetDevice.CPU,
        "advanced_parameters": AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if reduces_range() else OverflowFix.DISABLE,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=-1, matmul=-1),
        ),
    }
