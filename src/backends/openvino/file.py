"""What becomes an OpenVINO file: the graph, its metadata, and how it is opened again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource
from src.backends.onnx import file
from src.backends.openvino.runtime import OpenVinoRuntime
from src.run import usage_code

if TYPE_CHECKING:
    import openvino

REQUIRES = ("onnx", "onnxscript", "openvino")
FILE = "model.xml"  # the graph; the weights are in model.bin
_PRECISION = ["lightship", "inference_precision"]  # in the graph: of what is in float


def model(source: ExportSource) -> openvino.Model:
    """The fp32 graph with a dynamic batch, from the ONNX file.

    OpenVINO's conversion from torch traces with torch.jit, which torch is about to drop, gives
    the same operators, and files of the same speed; so one exporter serves all.
    """
    import openvino

    return openvino.convert_model(file.fp32_file(source))


def write(
    graph: openvino.Model, source: ExportSource, folder: Path, *, half: bool, precision: str
) -> None:
    """Write ``graph`` with the metadata in it, as the folder's only two files.

    Args:
        half: store the weights as float16.
        precision: to compute in what is in float, "f32" or "bf16".
    """
    import openvino

    # Of this machine and of the conversion; neither is of use where the file goes.
    for name in ("conversion_parameters", "nncf"):
        if graph.has_rt_info(name):
            del graph.rt_info[name]
    for key, value in source.metadata().items():
        graph.set_rt_info(json.dumps(value), ["lightship", key])
    graph.set_rt_info(precision, _PRECISION)
    openvino.save_model(graph, folder / FILE, compress_to_fp16=half)


def usage(preprocessing: dict[str, Any]) -> str:
    """Lines of Python that use the files: see :meth:`src.formats.base.Format.usage`."""
    size = preprocessing["image_size"]
    opening = [
        "core = openvino.Core()",
        f'graph = core.read_model("{usage_code.FOLDER}/{FILE}")',
        'names = json.loads(graph.get_rt_info(["lightship", "class_names"]).value)',
        # It would choose by itself, bf16 where the processor has it.
        f'precision = graph.get_rt_info(["lightship", "{_PRECISION[1]}"]).value',
        # The file takes any batch size.
        f"graph.reshape([1, 3, {size}, {size}])  # faster than a batch size that may change",
        'model = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": precision})',
    ]
    return usage_code.lines(["import openvino"], opening, preprocessing, "model(images)[0]")


def said_precision(folder: Path) -> str:
    """What the file was written to compute its float part in; "f32" where it does not say.

    Raises:
        ValueError: it says something else than "f32" and "bf16".
    """
    import openvino

    graph = openvino.Core().read_model(folder / FILE)
    if not graph.has_rt_info(_PRECISION):
        return "f32"
    said = str(graph.get_rt_info(_PRECISION).astype(str))
    if said not in {"f32", "bf16"}:
        raise ValueError(f"{FILE}: {_PRECISION[1]}: expected f32 or bf16, found {said[:20]!r}")
    return said


def load(folder: Path, device: str, threads: int, precision: str) -> OpenVinoRuntime:
    return OpenVinoRuntime(folder / FILE, device, threads, precision)
