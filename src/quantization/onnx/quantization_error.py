"""The quantization error of each tensor of an int8 ONNX file, as its SQNR in dB."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from src.backends.onnx.preprocess import preprocess
from src.backends.onnx.runtime import INPUT
from src.run.call_size import calls_of
from src.run.file_input import Batch

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_BATCH = 8  # images at most, of which all activations of both files are in memory at once


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

    Computed with ONNX Runtime's ``qdq_loss_debug``, which would keep the activations of all images:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#quantization-debugging

    Args:
        float_file: the fp32 file that was quantized.
        quantized_file: with QuantizeLinear and DequantizeLinear nodes.
        images: (n, 3, H, W), on which activations are compared.
        change: applied in place to the float model before it was quantized.
    """
    import onnx
    from onnxruntime.quantization import qdq_loss_debug as debug

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The quantizer reads a preprocessed file: only its tensors have the same names.
        preprocess(float_file, folder / "float.onnx")
        if change is not None:
            changed = onnx.load(folder / "float.onnx")
            change(changed)
            onnx.save_model(changed, folder / "float.onnx")
        with_all_outputs = []
        for kind, file in (("float", folder / "float.onnx"), ("quantized", quantized_file)):
            with_all_outputs.append(folder / f"{kind}_all.onnx")
            debug.modify_model_output_intermediate_tensors(str(file), str(with_all_outputs[-1]))
        activations = _sqnr_of_activations(
            _matched(with_all_outputs, batch) for batch in calls_of(images, _BATCH)
        )
        weights = debug.compute_weight_error(
            debug.create_weight_matching(str(folder / "float.onnx"), str(quantized_file))
        )
    errors = [TensorError(tensor, "activation", sqnr_db) for tensor, sqnr_db in activations.items()]
    errors += [TensorError(tensor, "weight", float(value)) for tensor, value in weights.items()]
    finite = [error for error in errors if math.isfinite(error.sqnr_db)]
    return sorted(finite, key=lambda error: error.sqnr_db)


def _matched(files: Sequence[Path], images: Batch) -> Mapping[str, Any]:
    """Return the activations on the images of one call, by tensor and kind.

    Args:
        files: the float one and the quantized one, with all tensors as outputs.
        images: (n, 3, H, W).
    """
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization import qdq_loss_debug as debug

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self._feeds = iter([{INPUT: images}])

        def get_next(self) -> dict[str, Batch] | None:
            return next(self._feeds, None)

    of_float, of_quantized = (debug.collect_activations(str(file), Reader()) for file in files)
    matched: Mapping[str, Any] = debug.create_activation_matching(of_quantized, of_float)
    return matched


def _sqnr_of_activations(calls: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the SQNR in dB of each activation that both files have, over all calls.

    It is ``compute_signal_to_quantization_noice_ratio`` of ONNX Runtime.
    """
    energies: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # of signal and noise
    for matched in calls:
        for name, values in matched.items():
            if values["float"]:
                signal, other = _flat(values["float"]), _flat(values["post_qdq"])
                energies[name][0] += float(np.linalg.norm(signal)) ** 2
                energies[name][1] += float(np.linalg.norm(signal - other)) ** 2
    least = float(np.finfo("float").eps)
    return {
        name: 20 * math.log10(max(math.sqrt(signal), least) / max(math.sqrt(noise), least))
        for name, (signal, noise) in energies.items()
    }


def _flat(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts).ravel()
