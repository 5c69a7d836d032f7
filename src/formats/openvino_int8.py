"""OpenVINO in int8: NNCF's post-training quantization, calibrated on training images.

NNCF's defaults are made for networks of convolutions and ReLU. On the digits, a ConvNeXt-T of
97.4 % top-1 kept 51.9 % with them and keeps 97.4 % with what is set here; an EfficientNet-B0 of
99.4 % kept 99.3 % and keeps 99.4 %.

- ``ModelType.TRANSFORMER`` leaves what surrounds LayerNorm and GELU in float, and gives
  activations an asymmetric range.
- SmoothQuant, which comes with it, is off: it took 22 dB of EfficientNet-B0's signal to noise
  and gave ConvNeXt-T 3 dB, without another answer in either.
- Ranges are those of the mean image, not of the most extreme one: where single images have
  activations a hundred times as large as others, MinMax left EfficientNet-B0 with 53 %.

https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training/basic-quantization-flow.html
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from src import machine
from src.formats import _openvino
from src.formats._openvino_session import OpenVinoRuntime
from src.formats.base import ExportSource

requires = (*_openvino.REQUIRES, "nncf")
runs_with = ("openvino",)
devices = ("cpu",)
precision = "int8"
tolerance = None


def export(source: ExportSource, folder: Path) -> None:
    import nncf

    nncf.set_log_level(logging.ERROR)  # without its account of what it leaves in float
    images = [image[None].numpy() for image in source.calibration]
    quantized = nncf.quantize(
        _openvino.model(source), nncf.Dataset(images), subset_size=len(images), **settings()
    )
    # What stays in float, as squeeze-excite does, computes in float from weights of 8 bits.
    graph = nncf.compress_weights(quantized, mode=nncf.CompressWeightsMode.INT8_SYM)
    _openvino.write(graph, source, folder, half=False)


def load(folder: Path, device: str, threads: int) -> OpenVinoRuntime:
    return _openvino.load(folder, device, threads, precision="f32")


def settings() -> dict[str, Any]:
    """The quantizer's options for this processor."""
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        AdvancedSmoothQuantParameters,
        OverflowFix,
    )

    # As onnx_int8's reduce_range: where x86 adds in 16 bits, weights take half the range.
    saturates = not machine.is_arm() and not machine.has_int8_dot_product()
    return {
        "model_type": nncf.ModelType.TRANSFORMER,
        "target_device": nncf.TargetDevice.CPU,
        "advanced_parameters": AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if saturates else OverflowFix.DISABLE,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=-1, matmul=-1),
        ),
    }
