"""ONNX in fp16, for a GPU: half the size of ``onnx_fp32``, images and logits in fp32 still.

Not for a CPU: ONNX Runtime has next to no fp16 kernels there, and puts a conversion before and
after every operator.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.base import ExportSource
from src.backends.onnx import embedding, file

requires = ("onnx", "onnxscript", "onnxruntime")
runs_with = ("onnxruntime",)
devices = ("cuda",)
precision = "fp16"
tolerance = 2e-2  # 11 bits of mantissa; DenseNet-121 departs the most, by 1 %

load = file.load
embed = embedding.embed


def export(source: ExportSource, folder: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = convert_float_to_float16(onnx.load(file.fp32_file(source)), keep_io_types=True)
    # It puts the conversion of the images behind the nodes that read it, which is not valid ONNX.
    OnnxModel(model).topological_sort()
    file.write(model, source, folder)


def usage(preprocessing: dict[str, Any]) -> str:
    return file.usage(preprocessing, "CUDAExecutionProvider")
