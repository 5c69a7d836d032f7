"""ONNX in int8: static quantization (QDQ), calibrated on training images, for this CPU.

x86 multiplies unsigned activations with signed weights (U8S8) at full speed; ARM prefers both
signed. Weights have a scale per output channel. Where the CPU lacks an int8 dot product, x86
adds pairs of products in saturating 16 bits, so weights give up one bit (``reduce_range``).
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src import machine
from src.formats import _onnx
from src.formats._onnx_session import INPUT
from src.formats.base import ExportSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

requires = ("onnx", "onnxscript", "onnxruntime", "sympy")
runs_with = ("onnxruntime",)
devices = ("cpu",)
precision = "int8"
tolerance = None

_CALIBRATION_BATCH = 16

load = _onnx.load


def export(source: ExportSource, folder: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self._feeds = _feeds(source.calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._feeds, None)

    model = _onnx.quantized(quantize_static, source, calibration_data_reader=Reader(), **settings())
    _onnx.write(model, source, folder)


def damage(folder: Path, exports: Path, images: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Where this file departs from ``onnx_fp32``: see :func:`src.formats._onnx_damage.damage`."""
    from src.formats import _onnx_damage

    original = exports / "onnx_fp32" / _onnx.FILE
    if not original.is_file():
        raise FileNotFoundError("it is compared with onnx_fp32, which was not exported")
    return _onnx_damage.damage(original, folder / _onnx.FILE, images)


def settings() -> dict[str, Any]:
    """The quantizer's options for this processor."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType

    signed = machine.is_arm()
    return {
        "quant_format": QuantFormat.QDQ,
        "activation_type": QuantType.QInt8 if signed else QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "per_channel": True,
        "reduce_range": not signed and not machine.has_int8_dot_product(),
        "calibrate_method": CalibrationMethod.MinMax,
    }


def _feeds(images: Tensor) -> Iterator[dict[str, NDArray[np.float32]]]:
    import torch

    for batch in torch.split(images, _CALIBRATION_BATCH):
        yield {INPUT: batch.numpy()}
