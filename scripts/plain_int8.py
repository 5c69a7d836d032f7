"""ONNX Runtime's own static quantization of a network, with its defaults."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

BATCH = 8  # calibration keeps each layer's output: large batches at 224 pixels take gigabytes


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images, a batch at a time."""

    def __init__(self, images: torch.Tensor) -> None:
        self._batches = iter(images.split(BATCH))

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch.numpy()}


def int8_logits(
    network: torch.nn.Module, calibration: torch.Tensor, images: torch.Tensor
) -> np.ndarray[Any, Any]:
    """Logits (N, K) of ONNX Runtime's own static quantization for images (N, 3, H, W)."""
    with tempfile.TemporaryDirectory() as name:
        plain, prepared, quantized = (f"{name}/{part}.onnx" for part in ("a", "b", "c"))
        torch.onnx.export(
            network.to(memory_format=torch.contiguous_format),
            (calibration[:2],),
            plain,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            external_data=False,
            verbose=False,
        )
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            Reader(calibration),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        session = onnxruntime.InferenceSession(quantized, providers=["CPUExecutionProvider"])
        return np.concatenate(
            [session.run(None, {"images": part.numpy()})[0] for part in images.split(BATCH)]
        )
