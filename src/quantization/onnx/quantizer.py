"""Make the int8 model of a recipe with ONNX Runtime's quantizer.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from src.backends.base import ExportSource
from src.backends.onnx import tensors
from src.quantization.onnx import bias_correction, cut_points, gelu, gemm_convolutions, pixel_grid
from src.quantization.onnx.calibration import Calibrations, Ranges, operators
from src.quantization.onnx.equalization import equalise
from src.quantization.onnx.recipe import Calibration, OnnxRecipe
from src.quantization.onnx.sensitivity import sensitivity_order
from src.quantization.target import Choice

if TYPE_CHECKING:
    import onnx
    from onnxruntime.quantization.calibrate import TensorsData

_SENSITIVITY_IMAGES = 8


@dataclass
class _FloatModel:
    """A float model to quantize, with what was computed for it."""

    file: Path
    calibrations: Calibrations
    mean_inputs: dict[str, tensors.Array] | None = None


class Quantizer:
    """Makes the models of one network. Results that several recipes need are computed once.

    Args:
        source: the network, whose fp32 file is quantized and calibrated on its calibration images.
        choice: the 8-bit types.
        ranges: of the fp32 file's activations, for the plain recipe; by default they are those of
            the calibration images.
    """

    def __init__(self, source: ExportSource, choice: Choice, ranges: Ranges | None = None) -> None:
        self._source = source
        self._known_ranges = ranges
        self._choice = choice
        self._images = source.fp32_graph.batch(source.calibration.numpy())
        self._float_models: dict[bool, _FloatModel] = {}  # by equalised or not

    @property
    def _prepared(self) -> Path:
        """The fp32 file as the quantizer takes it."""
        return self._source.fp32_graph.prepared

    @property
    def equalisable(self) -> bool:
        """True if equalisation changes anything."""
        return self._equalised[1] > 0

    @functools.cached_property
    def has_gelu(self) -> bool:
        """True if there is a GELU to compute by a sigmoid."""
        import onnx

        return gelu.gelus(onnx.load(self._prepared)) > 0

    @functools.cached_property
    def cut_points(self) -> list[str]:
        """The nodes after which float may end and int8 begin."""
        import onnx

        return cut_points.cut_points(onnx.load(self._prepared))

    def quantize(self, recipe: OnnxRecipe) -> onnx.ModelProto:
        """Return the int8 model of a recipe."""
        import onnx

        original = self._float_model(recipe)
        ranges = original.calibrations.ranges(recipe.calibration)
        model = onnx.load(original.file)
        if recipe.bias_corrected:
            if original.mean_inputs is None:
                original.mean_inputs = bias_correction.mean_inputs(model, self._images)
            weights = tensors.dequantized_weights(self._quantize(model, ranges, recipe))
            model = onnx.load(original.file)
            bias_correction.correct(model, weights, original.mean_inputs)
            ranges = original.calibrations.ranges(recipe.calibration)
        quantized = self._quantize(model, ranges, recipe)
        if recipe.sigmoid_gelu:
            gelu.replace_gelus(quantized)
        if recipe.gemm_convolutions:
            gemm_convolutions.use_gemm(quantized, recipe.gemm_convolutions)
        return quantized

    def ranges(self, recipe: OnnxRecipe) -> Ranges:
        """Return the range of each activation by a recipe's calibration."""
        return self._float_model(recipe).calibrations.ends(recipe.calibration)

    @property
    def _plain_ranges(self) -> dict[Calibration, Ranges]:
        return {OnnxRecipe().calibration: self._known_ranges or {}}

    def sensitivity_order(self, recipe: OnnxRecipe) -> list[str]:
        """Return the nodes that a recipe quantizes, the most sensitive one first."""
        import onnx

        model = onnx.load(self._float_model(recipe).file)
        return sensitivity_order(model, self.quantize(recipe), self._images[:_SENSITIVITY_IMAGES])

    def _float_model(self, recipe: OnnxRecipe) -> _FloatModel:
        key = recipe.equalised
        if key not in self._float_models:
            file = self._equalised[0] if key else self._prepared
            known = {} if self._known_ranges is None or key else self._plain_ranges
            calibrations = Calibrations(file, self._images, self._source.scratch, known)
            self._float_models[key] = _FloatModel(file, calibrations)
        return self._float_models[key]

    def _quantize(
        self, model: onnx.ModelProto, ranges: TensorsData, recipe: OnnxRecipe
    ) -> onnx.ModelProto:
        """Quantize as ``quantize_static`` does. It changes ``model`` and ``ranges``."""
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
            [*cut_points.nodes_up_to(model, recipe.float_prefix), *recipe.kept_in_float],
            operators(),
            options["extra_options"],
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        quantized: onnx.ModelProto = quantizer.model.model
        if self._source.fp32_graph.takes_pixels:
            pixel_grid.use_pixels(quantized)
        return quantized

    @functools.cached_property
    def _equalised(self) -> tuple[Path, int]:
        """The file with equalised channels, and the number of pairs that were equalised in it."""
        import onnx

        model = onnx.load(self._prepared)
        pairs = equalise(model)
        path = self._source.scratch / "equalised.onnx"
        onnx.save_model(model, path)
        return path, pairs
