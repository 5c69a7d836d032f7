"""The quantization error of each tensor of an int8 ONNX file, as its SQNR in dB."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from src.backends.onnx.preprocess import preprocess
from src.backends.onnx.runtime import INPUT
from src.run.file_input import Batch

if TYPE_CHECKING:
    import onnx

_BATCH = 8


class TensorError(NamedTuple):
    """The quantization error of one tensor.

    The error of an activation includes the errors of the tensors before it.
    """

    tensor: str
    kind: Literal["activation", "weight"]
    sqnr_db: float  # signal to quantization noise ratio


def tensor_errors(
    float_file: Path,
    quantized_file: Path,
    images: Batch,
    change: Callable[[onnx.ModelProto], object] | None = None,
) -> list[TensorError]:
    """Return the errors of activations and weights that both files have, the largest error first.

    Computed by ONNX Runtime's ``qdq_loss_debug``:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#quantization-debugging

    Args:
        float_file: the fp32 file that was quantized.
        quantized_file: with QuantizeLinear and DequantizeLinear nodes.
        images: (n, 3, H, W), on which activations are compared.
        change: applied in place to the float model before it was quantized.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization import qdq_loss_debug as debug

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self._feeds = _feeds(images)

        def get_next(self) -> dict[str, Batch] | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The quantizer reads a preprocessed file: only its tensors have the same names.
        preprocess(float_file, folder / "float.onnx")
        if change is not None:
            changed = onnx.load(folder / "float.onnx")
            change(changed)
            onnx.save_model(changed, folder / "float.onnx")
        outputs = []
        for kind, file in (("float", folder / "float.onnx"), ("quantized", quantized_file)):
            with_all_outputs = folder / f"{kind}_all.onnx"
            debug.modify_model_output_intermediate_tensors(str(file), str(with_all_outputs))
            outputs.append(debug.collect_activations(str(with_all_outputs), Reader()))
        activations = debug.compute_activation_error(
            debug.create_activation_matching(outputs[1], outputs[0])
        )
        weights = debug.compute_weight_error(
            debug.create_weight_matching(str(folder / "float.onnx"), str(quantized_file))
        )
    errors = [
        TensorError(tensor, "activation", float(values["xmodel_err"]))
        for tensor, values in activations.items()
        if "xmodel_err" in values
    ]
    errors += [TensorError(tensor, "weight", float(value)) for tensor, value in weights.items()]
    finite = [error for error in errors if math.isfinite(error.sqnr_db)]
    return sorted(finite, key=lambda error: error.sqnr_db)


def _feeds(images: Batch) -> Iterator[dict[str, Batch]]:
    for start in range(0, len(images), _BATCH):
        yield {INPUT: images[start : start + _BATCH]}
