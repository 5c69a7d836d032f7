"""One way of making an int8 model for ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from src.quantization.recipe import Recipe

Calibration = Literal["minmax", "average", "percentile 99.999", "percentile 99.99", "entropy"]


@dataclass(frozen=True)
class OnnxRecipe(Recipe):
    """The steps between the fp32 file and the int8 file."""

    calibration: Calibration = "minmax"
    bias_corrected: bool = False
    equalised: bool = False
    sigmoid_gelu: bool = False  # GELU as x times a sigmoid, in int8
    gemm_convolutions: tuple[str, ...] = ()  # computed by im2col and GEMM, by their nodes' names
    float_prefix: str = ""  # the last node of a first part that stays in float

    def __str__(self) -> str:
        parts: list[str] = [self.calibration]
        if self.bias_corrected:
            parts.append("bias corrected")
        if self.equalised:
            parts.append("equalised")
        if self.sigmoid_gelu:
            parts.append("GELU by a sigmoid")
        if count := len(self.gemm_convolutions):
            parts.append(f"{count} by im2col and GEMM")
        if self.float_prefix:
            parts.append(f"in float up to {self.float_prefix}")
        if self.kept_in_float:
            parts.append(self.float_layers)
        return ", ".join(parts)

    def values(self) -> dict[str, object]:
        """Return the recipe as plain values, by the keys of manifest.json."""
        return {
            "calibration": self.calibration,
            "kept_in_float": list(self.kept_in_float),
            "bias_corrected": self.bias_corrected,
            "equalised": self.equalised,
            "sigmoid_gelu": self.sigmoid_gelu,
            "multiplied_generally": list(self.gemm_convolutions),
            "float_up_to": self.float_prefix,
        }
