"""The ONNX file of a format: its name, and how it is checked and written with its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from src.backends.base import ExportSource
from src.backends.onnx import oldest_version
from src.run.file_input import NORMALISED, PIXELS

if TYPE_CHECKING:
    import onnx

FILE = "model.onnx"


def write(model: onnx.ModelProto, source: ExportSource, folder: Path, **more: Any) -> None:
    """Check ``model``, put the metadata and ``more`` in, and write it as the folder's only file.

    Old runtimes read the file if its operators allow it: see
    :mod:`src.backends.onnx.oldest_version`.
    """
    import onnx

    oldest_version.name_oldest(model)
    [declared] = model.graph.input
    pixels = declared.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    takes = msgspec.to_builtins(PIXELS if pixels else NORMALISED)
    metadata = {**source.metadata(), "input": takes, **more}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, folder / FILE)
