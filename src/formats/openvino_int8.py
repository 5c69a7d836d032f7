"""OpenVINO in int8: NNCF's post-training quantization, calibrated on training images.

NNCF has one set of settings for networks of convolutions and ReLU, its default, and one for
transformers, which leaves what surrounds LayerNorm and GELU in float and gives activations an
asymmetric range. Neither is the better one for all networks: on the digits, a ConvNeXt-T of 97.4 %
top-1 kept 51.9 % with the first and keeps 97.4 % with the second, while ResNet-34 and
EfficientNet-B0 keep what they have with either and run faster with the first. So both files are
made, judged by training images that they were not calibrated on, and the faster one of those that
keep the accuracy budget is shipped.

SmoothQuant, which comes with the second, is off: it took 22 dB of EfficientNet-B0's signal to
noise and gave ConvNeXt-T 3 dB, without another answer in either. Ranges are NNCF's default, those
of the mean image and not of the most extreme one: where single images have activations a hundred
times as large as others, MinMax left EfficientNet-B0 with 53 %.

What is shipped is then made faster, each step taken if it keeps the budget as well and is the
faster one of two side by side: bf16 for what is left in float, on a processor that has it, and
hard swishes for SiLU and GELU.

https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training/basic-quantization-flow.html
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource
from src.backends.openvino import file, signal_stack
from src.backends.openvino.runtime import OpenVinoRuntime
from src.formats.openvino_fp32 import OpenVinoFp32
from src.quantization.openvino import candidates as _choice
from src.quantization.openvino import hard_swish as _activations
from src.quantization.openvino.candidates import Recipe
from src.system import machine

if TYPE_CHECKING:
    import openvino

RECIPES = ("convolutional", "transformer")
_SAFEST = "transformer"  # where there is nothing to judge by


class OpenVinoInt8(OpenVinoFp32):
    """NNCF's int8 graph, made with the faster of the recipes that keep the accuracy budget."""

    requires = (*OpenVinoFp32.requires, "nncf")
    precision = "int8"
    tolerance = None

    def export(self, source: ExportSource, folder: Path) -> dict[str, Any]:
        import nncf

        nncf.set_log_level(logging.ERROR)  # without its account of what it leaves in float
        if source.judging is None:
            graph, kept = _quantized(source, Recipe(_SAFEST)), "f32"
            details = _choice.of_no_choice(Recipe(_SAFEST))
        else:
            reference = file.model(source)
            chosen, details = _choice.choose(
                reference,
                lambda recipe: _quantized(source, recipe),
                source,
                [Recipe(each) for each in RECIPES],
                _activations.kinds(reference),
            )
            graph, kept = chosen.graph, chosen.recipe.precision
        file.write(graph, source, folder, half=False, precision=kept)
        return details

    def load(self, folder: Path, device: str, threads: int) -> OpenVinoRuntime:
        kept = file.said_precision(folder)
        if kept == "bf16" and not machine.has_bfloat16():
            kept = "f32"  # made on another processor; this one would emulate it
        return OpenVinoRuntime(folder / file.FILE, device, threads, kept)


def _quantized(source: ExportSource, recipe: Recipe) -> openvino.Model:
    import nncf

    images = [image[None].numpy() for image in source.calibration]
    graph = file.model(source)
    if recipe.hard_share:
        _activations.harden(graph, images, recipe.hard_share)
    with signal_stack.kept():  # it runs the network to see its activations
        quantized = nncf.quantize(
            graph, nncf.Dataset(images), subset_size=len(images), **settings(recipe.preset)
        )
    # What stays in float, as squeeze-excite does, computes in float from weights of 8 bits.
    return nncf.compress_weights(quantized, mode=nncf.CompressWeightsMode.INT8_SYM)


def settings(preset: str) -> dict[str, Any]:
    """The quantizer's options, for one of ``RECIPES`` on this processor."""
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        AdvancedSmoothQuantParameters,
        OverflowFix,
    )

    # As onnx_int8's reduce_range: where x86 adds in 16 bits, weights take half the range.
    saturates = not machine.is_arm() and not machine.has_int8_dot_product()
    return {
        "model_type": nncf.ModelType.TRANSFORMER if preset == "transformer" else None,
        "target_device": nncf.TargetDevice.CPU,
        "advanced_parameters": AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if saturates else OverflowFix.DISABLE,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=-1, matmul=-1),
        ),
    }
