"""What becomes an OpenVINO file: the graph, its metadata, and how it is opened again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.formats import _onnx, _usage
from src.formats._openvino_session import OpenVinoRuntime
from src.formats.base import ExportSource

if TYPE_CHECKING:
    import openvino

REQUIRES = ("onnx", "onnxscript", "openvino")
FILE = "model.xml"  # the graph; the weights are in model.bin


def model(source: ExportSource) -> openvino.Model:
    """The fp32 graph with a dynamic batch, from the ONNX file.

    OpenVINO's conversion from torch traces with torch.jit, which torch is about to drop, gives
    the same operators, and files of the same speed; so one exporter serves all.
    """
    import openvino

    return openvino.convert_model(_onnx.fp32_file(source))


def write(graph: openvino.Model, source: ExportSource, folder: Path, *, half: bool) -> None:
    """Write ``graph`` with the metadata in it, as the folder's only two files.

    Args:
        half: store the weights as float16.
    """
    import openvino

    # Of this machine and of the conversion; neither is of use where the file goes.
    for name in ("conversion_parameters", "nncf"):
        if graph.has_rt_info(name):
            del graph.rt_info[name]
    for key, value in source.metadata().items():
        graph.set_rt_info(json.dumps(value), ["lightship", key])
    openvino.save_model(graph, folder / FILE, compress_to_fp16=half)


def usage(preprocessing: dict[str, Any], precision: str = "f32") -> str:
    """Lines of Python that use the files: see :meth:`src.formats.base.Format.usage`."""
    opening = [
        "core = openvino.Core()",
        f'graph = core.read_model("{_usage.FOLDER}/{FILE}")',
        'names = json.loads(graph.get_rt_info(["lightship", "class_names"]).value)',
        # It would take bf16 by itself where the processor has it.
        f'model = core.compile_model(graph, "CPU", {{"INFERENCE_PRECISION_HINT": "{precision}"}})',
    ]
    return _usage.lines(["import openvino"], opening, preprocessing, "model(images)[0]")


def load(folder: Path, device: str, threads: int, precision: str) -> OpenVinoRuntime:
    return OpenVinoRuntime(folder / FILE, device, threads, precision)
