"""ONNX in int8: static quantization (QDQ), calibrated on training images, for one kind of CPU.

The types follow ``export.onnx_int8.target``. If the plain recipe changes too many answers, others
are tried until one keeps the accuracy budget.
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource
from src.backends.onnx import embedding
from src.backends.onnx import file as _onnx
from src.quantization import account, target
from src.quantization.onnx import sentences
from src.quantization.onnx.candidates import OnnxCandidates
from src.quantization.onnx.equalization import equalise
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.onnx.recipe import OnnxRecipe
from src.quantization.options import Int8Options
from src.quantization.search import search

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

requires = ("onnx", "onnxscript", "onnxruntime", "sympy")
runs_with = ("onnxruntime",)
devices = ("cpu",)
precision = "int8"
tolerance = None

load = _onnx.load
usage = _onnx.usage
embed = embedding.embed


def export(source: ExportSource, folder: Path) -> dict[str, Any]:
    options: Int8Options = source.options.get("onnx_int8", Int8Options())
    choice = target.choose(options.target)
    quantizer = Quantizer(source, choice)
    if source.selection is None or options.search_seconds == 0:
        recipe = OnnxRecipe()
        model = quantizer.quantize(recipe)
        reason = account.reason_for_no_search("onnx_int8", options.search_seconds)
        details = account.of_no_search(
            recipe.values(), sentences.of_no_search(choice, recipe, reason)
        )
    else:
        images, labels = (part.numpy() for part in source.selection)
        candidates = OnnxCandidates(quantizer, source, choice, images, labels)
        outcome = search(
            candidates, max_drop=source.max_accuracy_drop, seconds=options.search_seconds
        )
        recipe, model = outcome.best.recipe, outcome.model
        details = account.of_search(
            outcome,
            recipe.values(),
            sentences.of_search(choice, outcome, len(images)),
            images=len(images),
            reference_name="the fp32 file",
            format_name="onnx_int8",
        )
    _onnx.write(model, source, folder, quantization=recipe.values())
    return {**choice.details(), **details}


def damage(folder: Path, exports: Path, images: NDArray[np.float32]) -> list[dict[str, Any]]:
    """See :func:`src.quantization.onnx.quantization_error.tensor_errors`."""
    import onnx

    from src.quantization.onnx import quantization_error

    original = exports / "onnx_fp32" / _onnx.FILE
    if not original.is_file():
        raise FileNotFoundError("it is compared with onnx_fp32, which was not exported")
    file = folder / _onnx.FILE
    metadata = {each.key: each.value for each in onnx.load(file).metadata_props}
    # Equalised, its tensors are others than those of onnx_fp32, by a factor a channel.
    change = equalise if json.loads(metadata["quantization"])["equalised"] else None
    errors = quantization_error.tensor_errors(original, file, images, change)
    return [error._asdict() for error in errors]
