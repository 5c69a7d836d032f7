"""One way of making and running an int8 graph in OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from src.quantization.recipe import Recipe


@dataclass(frozen=True)
class OpenVinoRecipe(Recipe):
    """A preset of NNCF, and changes beside it."""

    preset: Literal["convolutional", "transformer"]
    precision: Literal["f32", "bf16"] = "f32"  # of the layers that are not quantized
    hard_share: float = 0.0  # share of the activations' values that hard swishes compute

    def __str__(self) -> str:
        return self.preset + self.additions

    @property
    def additions(self) -> str:
        """The changes beside NNCF's preset, in words."""
        layers = f", {self.float_layers}" if self.kept_in_float else ""
        precision = ", bf16 for the rest" if self.precision == "bf16" else ""
        hard = f", {self.hard_share:.0%} of activations hard" if self.hard_share else ""
        return layers + precision + hard
