"""From a recipe to the int8 model, by ONNX Runtime's quantizer."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.backends.base import ExportSource
from src.backends.onnx import tensors
from src.quantization.onnx import bias_correction, cut_points, gelu, gemm_convolutions
from src.quantization.onnx.calibration import Calibrations, operators
from src.quantization.onnx.equalization import equalise
from src.quantization.onnx.sensitivity import damage_order
from src.quantization.recipe import Recipe
from src.quantization.target import Choice

if TYPE_CHECKING:
    import onnx
    from onnxruntime.quantization.calibrate import TensorsData

_RANKED_BY = 8  # images


@dataclass
class _Original:
    """A float model that is quantized, with what was found out about it."""

    file: Path
    calibrations: Calibrations
    means: dict[str, tensors.Array] | None = None


class Builder:
    """Builds recipes of one source; what several of them need is found out once.

    Args:
        source: whose fp32 file is quantized, calibrated on its calibration images.
        choice: the types.
    """

    def __init__(self, source: ExportSource, choice: Choice) -> None:
        self._source = source
        self._choice = choice
        self._images: NDArray[np.float32] = source.calibration.numpy()
        self._originals: dict[bool, _Original] = {}  # by whether it is equalised

    @property
    def equalisable(self) -> bool:
        """Whether equalisation changes anything."""
        return self._equalised[1] > 0

    @functools.cached_property
    def has_gelu(self) -> bool:
        """Whether there is a GELU to compute by a sigmoid."""
        import onnx

        return gelu.gelus(onnx.load(self._source.fp32_graph.prepared)) > 0

    @functools.cached_property
    def cuts(self) -> list[str]:
        """The nodes behind which float may end and int8 begin: see :func:`_int8_cuts.cuts`."""
        import onnx

        return cut_points.cuts(onnx.load(self._source.fp32_graph.prepared))

    def build(self, recipe: Recipe) -> onnx.ModelProto:
        """The int8 model of a recipe."""
        import onnx

        original = self._original(recipe)
        ranges = original.calibrations.ranges(recipe.calibration)
        model = onnx.load(original.file)
        if recipe.bias_corrected:
            if original.means is None:
                original.means = bias_correction.mean_inputs(model, self._images)
            weights = tensors.dequantized_weights(self._quantize(model, ranges, recipe))
            model = onnx.load(original.file)
            bias_correction.correct(model, weights, original.means)
            ranges = original.calibrations.ranges(recipe.calibration)
        made = self._quantize(model, ranges, recipe)
        if recipe.sigmoid_gelu:
            gelu.replace_gelus(made)
        if recipe.multiplied_generally:
            gemm_convolutions.multiply_generally(made, recipe.multiplied_generally)
        return made

    def rank(self, recipe: Recipe) -> list[str]:
        """The nodes that a recipe quantizes, the most hurt first."""
        import onnx

        model = onnx.load(self._original(recipe).file)
        return damage_order(model, self.build(recipe), self._images[:_RANKED_BY])

    def _original(self, recipe: Recipe) -> _Original:
        key = recipe.equalised
        if key not in self._originals:
            file = self._equalised[0] if key else self._source.fp32_graph.prepared
            calibrations = Calibrations(file, self._images, self._source.scratch)
            self._originals[key] = _Original(file, calibrations)
        return self._originals[key]

    def _quantize(
        self, model: onnx.ModelProto, ranges: TensorsData, recipe: Recipe
    ) -> onnx.ModelProto:
        """What ``quantize_static`` does once it has the ranges; both are changed by it."""
        import onnx
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

        path = self._source.scratch / "to_quantize.onnx"
        onnx.save_model(model, path)
        options = self._choice.quantizer_options()
        quantizer = QDQQuantizer(
            load_model_with_shape_infer(path),
            options["per_channel"],
            options["reduce_range"],
            options["weight_type"],
            options["activation_type"],
            ranges,
            [],
            [*cut_points.nodes_up_to(model, recipe.float_up_to), *recipe.kept_in_float],
            operators(),
            options["extra_options"],
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        made: onnx.ModelProto = quantizer.model.model
        return made

    @functools.cached_property
    def _equalised(self) -> tuple[Path, int]:
        """The file, and how many pairs were equalised in it."""
        import onnx

        model = onnx.load(self._source.fp32_graph.prepared)
        pairs = equalise(model)
        path = self._source.scratch / "equalised.onnx"
        onnx.save_model(model, path)
        return path, pairs
