"""OpenVINO files: the graph, its metadata, and the precision that it says to compute in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from src.backends.base import ExportSource
from src.backends.onnx.pixel_input import Normalisation, without_pixels

# For its side effect as well: nothing is sent to OpenVINO's makers.
from src.backends.openvino import runtime  # noqa: F401
from src.backends.openvino.pixel_input import take_pixels
from src.run.file_input import NORMALISED, PIXELS

if TYPE_CHECKING:
    import openvino

FILE = "model.xml"  # the graph
WEIGHTS = "model.bin"
SECTION = "lightship"  # of the runtime information in the graph
PRECISION = [SECTION, "inference_precision"]  # to compute in what is in float


def model(source: ExportSource) -> openvino.Model:
    """Convert the fp32 ONNX graph, with its dynamic batch.

    OpenVINO's conversion from torch traces with torch.jit, which torch is about to drop, gives
    the same operators, and files of the same speed; so one exporter serves all.
    """
    import onnx
    import openvino

    if not source.fp32_graph.takes_pixels:
        return openvino.convert_model(source.fp32_graph.path)
    network = onnx.load(source.fp32_graph.path)
    folded = without_pixels(network)
    path = source.scratch / "without_pixels.onnx"
    onnx.save_model(network, path)
    normalisation = Normalisation.of(source.preprocessing)
    return take_pixels(openvino.convert_model(path), normalisation, folded=folded)


def write(
    graph: openvino.Model, source: ExportSource, folder: Path, *, half: bool, precision: str
) -> None:
    """Write ``graph`` with the metadata in it, as the folder's only two files.

    Args:
        graph: changed: its metadata is replaced.
        source: of the metadata.
        folder: empty.
        half: store the weights as float16.
        precision: to compute in what is in float, "f32" or "bf16".
    """
    import openvino

    # About this machine and the conversion; neither is of use where the file goes.
    for name in ("conversion_parameters", "nncf"):
        if graph.has_rt_info(name):
            del graph.rt_info[name]
    pixels = graph.input(0).element_type == openvino.Type.u8
    takes = msgspec.to_builtins(PIXELS if pixels else NORMALISED)
    for key, value in {**source.metadata(), "input": takes}.items():
        graph.set_rt_info(json.dumps(value), [SECTION, key])
    graph.set_rt_info(precision, PRECISION)
    openvino.save_model(graph, folder / FILE, compress_to_fp16=half)


def said_precision(folder: Path) -> str:
    """Read the precision that the file was written to compute in; "f32" where it does not say.

    Raises:
        ValueError: it says something else than "f32" and "bf16".
    """
    import openvino

    graph = openvino.Core().read_model(folder / FILE)
    if not graph.has_rt_info(PRECISION):
        return "f32"
    said = str(graph.get_rt_info(PRECISION).astype(str))
    if said not in {"f32", "bf16"}:
        raise ValueError(f"{FILE}: {PRECISION[1]}: expected f32 or bf16, found {said[:20]!r}")
    return said
