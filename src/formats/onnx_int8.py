"""ONNX in int8: static quantization (QDQ), calibrated on training images, for one kind of CPU.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.formats import _int8_target, _onnx
from src.formats._int8_options import Int8Options
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


def export(source: ExportSource, folder: Path) -> dict[str, Any]:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        quantize_static,
    )

    options: Int8Options = source.options.get("onnx_int8", Int8Options())
    choice = _int8_target.choose(options.target)

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self._feeds = _feeds(source.calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._feeds, None)

    model = _onnx.quantized(
        quantize_static,
        source,
        calibration_data_reader=Reader(),
        quant_format=QuantFormat.QDQ,
        calibrate_method=CalibrationMethod.MinMax,
        **choice.quantizer_options(),
    )
    _onnx.write(model, source, folder)
    return {**choice.details(), "summary": [choice.sentence()]}


def damage(folder: Path, exports: Path, images: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Where this file departs from ``onnx_fp32``: see :func:`src.formats._onnx_damage.damage`."""
    from src.formats import _onnx_damage

    original = exports / "onnx_fp32" / _onnx.FILE
    if not original.is_file():
        raise FileNotFoundError("it is compared with onnx_fp32, which was not exported")
    return _onnx_damage.damage(original, folder / _onnx.FILE, images)


def _feeds(images: Tensor) -> Iterator[dict[str, NDArray[np.float32]]]:
    import torch

    for batch in torch.split(images, _CALIBRATION_BATCH):
        yield {INPUT: batch.numpy()}
