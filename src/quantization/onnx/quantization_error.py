"""Which tensors of a quantized ONNX file are the furthest from the fp32 file's."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from src.backends.onnx.runtime import INPUT

if TYPE_CHECKING:
    import onnx

Damage = dict[str, Any]
_BATCH = 8


def damage(
    float_file: Path,
    quantized_file: Path,
    images: NDArray[np.float32],
    change: Callable[[onnx.ModelProto], object] | None = None,
) -> list[Damage]:
    """Activations and weights by their signal to quantization noise, the worst first.

    By ONNX Runtime's ``qdq_loss_debug``:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#quantization-debugging

    Args:
        float_file: the fp32 file that was quantized.
        quantized_file: with QuantizeLinear and DequantizeLinear around what is quantized.
        images: (n, 3, H, W), on which activations are compared.
        change: what was done to the float model before it was quantized, in place.

    Returns:
        ``tensor``, ``kind`` ("activation", with all the noise of the tensors before it, or
        "weight") and ``sqnr_db`` of each, for those that both files have.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization import qdq_loss_debug as debug
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self._feeds = _feeds(images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # What was quantized is this file: its tensors have the same names.
        quant_pre_process(float_file, folder / "float.onnx")
        if change is not None:
            changed = onnx.load(folder / "float.onnx")
            change(changed)
            onnx.save_model(changed, folder / "float.onnx")
        outputs = []
        for kind, file in (("float", folder / "float.onnx"), ("quantized", quantized_file)):
            more = folder / f"{kind}_all.onnx"
            debug.modify_model_output_intermediate_tensors(str(file), str(more))
            outputs.append(debug.collect_activations(str(more), Reader()))
        activations = debug.compute_activation_error(
            debug.create_activation_matching(outputs[1], outputs[0])
        )
        weights = debug.compute_weight_error(
            debug.create_weight_matching(str(folder / "float.onnx"), str(quantized_file))
        )
    found = [
        {"tensor": tensor, "kind": "activation", "sqnr_db": float(errors["xmodel_err"])}
        for tensor, errors in activations.items()
        if "xmodel_err" in errors
    ]
    found += [
        {"tensor": tensor, "kind": "weight", "sqnr_db": float(value)}
        for tensor, value in weights.items()
    ]
    known = [each for each in found if math.isfinite(each["sqnr_db"])]
    return sorted(known, key=lambda each: each["sqnr_db"])


def _feeds(images: NDArray[np.float32]) -> Iterator[dict[str, NDArray[np.float32]]]:
    for start in range(0, len(images), _BATCH):
        yield {INPUT: images[start : start + _BATCH]}
