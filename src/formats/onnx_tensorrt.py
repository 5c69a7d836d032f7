"""The file of ``onnx_fp16``, run by TensorRT. Each load builds an engine for the GPU.

It needs the packages ``onnxruntime-gpu`` and ``tensorrt``; without them its row is skipped.
"""

from __future__ import annotations

from src.backends.onnx.runtime import TENSORRT
from src.formats.onnx_fp16 import OnnxFp16


class OnnxTensorRt(OnnxFp16):
    """ONNX in fp16 on TensorRT's execution provider."""

    provider = TENSORRT
