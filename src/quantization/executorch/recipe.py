"""One way of making an int8 program for ExecuTorch."""

from __future__ import annotations

from dataclasses import dataclass

from src.quantization.recipe import Recipe


@dataclass(frozen=True)
class ExecutorchRecipe(Recipe):
    """The modules in float; all others have int8 weights with a scale per output channel."""

    def __str__(self) -> str:
        return self.float_layers or "all layers in int8"
