"""What becomes an ONNX file: the fp32 graph, its metadata, its quantization."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource
from src.backends.onnx import pooling
from src.backends.onnx.runtime import INPUT, OUTPUT, OnnxRuntime
from src.run import usage_code

if TYPE_CHECKING:
    import onnx

FILE = "model.onnx"


def fp32_file(source: ExportSource) -> Path:
    """The network as one self-contained fp32 ONNX file with a dynamic batch.

    Exported once per source: what is quantized is what ``onnx_fp32`` ships.
    """
    path = source.scratch / "fp32.onnx"
    if path.exists():
        return path
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own internals, none about the result
        torch.onnx.export(
            source.simplified,
            (source.example,),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,  # its default leaves the weights in a second file
            verbose=False,
        )
    _tidy(path)
    return path


def _tidy(path: Path) -> None:
    """Use better operators, and take out what the exporter notes on each node.

    That is its Python stack, with this machine's paths: 498 KB of EfficientNet-B0's file, a
    tenth of it in int8.
    """
    import onnx

    model = onnx.load(path)
    pooling.use_global_average_pool(model)
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save_model(model, path)


def write(model: onnx.ModelProto, source: ExportSource, folder: Path, **more: Any) -> None:
    """Check ``model``, put the metadata and ``more`` in, and write it as the folder's only file."""
    import onnx

    metadata = {**source.metadata(), **more}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, folder / FILE)


def load(folder: Path, device: str, threads: int) -> OnnxRuntime:
    return OnnxRuntime(folder / FILE, device, threads)


def usage(preprocessing: dict[str, Any], provider: str = "CPUExecutionProvider") -> str:
    """Lines of Python that use the file: see :meth:`src.formats.base.Format.usage`."""
    file = f"{usage_code.FOLDER}/{FILE}"
    opening = [
        f'providers = ["{provider}"]',
        f'session = onnxruntime.InferenceSession("{file}", providers=providers)',
        'names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])',
    ]
    call = f'session.run(["{OUTPUT}"], {{"{INPUT}": images}})[0]'
    return usage_code.lines(["import onnxruntime"], opening, preprocessing, call)


def quantized(quantize: Any, source: ExportSource, **options: Any) -> onnx.ModelProto:
    """The fp32 graph through one of ONNX Runtime's quantizers, after its pre-processing.

    Args:
        quantize: ``quantize_dynamic``, or one like it.
        options: further arguments of it.
    """
    import onnx

    path = source.scratch / "quantized.onnx"
    quantize(prepared(source), path, **options)
    return onnx.load(path)


def prepared(source: ExportSource) -> Path:
    """The fp32 graph with its shapes and the runtime's own fusions, so that products are seen."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = source.scratch / "prepared.onnx"
    if not path.exists():
        quant_pre_process(fp32_file(source), path)
    return path
