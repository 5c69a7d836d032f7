"""The sentences in the manifest on an int8 file for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from src.quantization.onnx.recipe import OnnxRecipe
from src.quantization.search import Outcome
from src.quantization.target import Choice

if TYPE_CHECKING:
    import onnx


def of_no_search(choice: Choice, recipe: OnnxRecipe, reason: str) -> list[str]:
    """Describe a file that was made by the plain recipe, without a search."""
    return [choice.sentence(), f"Made by the plain recipe, {recipe}, and not judged: {reason}."]


def of_search(
    choice: Choice, outcome: Outcome[OnnxRecipe, onnx.ModelProto], images: int
) -> Iterator[str]:
    """Describe a file whose recipe was searched for with a number of selection images."""
    recipe = outcome.best.recipe
    yield choice.sentence()
    yield (
        f"Made by the recipe: {recipe}. It was judged by {images} training images "
        "that it was not calibrated on: whether it gives the fp32 file's answers. The network "
        "has trained on them, so its accuracy on them flatters."
    )
    if recipe.kept_in_float:
        yield (
            f"In float: {', '.join(recipe.kept_in_float)}, which add the most noise "
            "of their own when they are quantized."
        )
    if count := len(recipe.gemm_convolutions):
        yield (
            f"{count} {'convolution has' if count == 1 else 'convolutions have'} weights with a "
            "zero point of 1: by im2col and its GEMM kernel ONNX Runtime computes these faster "
            "here than by its kernel for symmetric weights."
        )
    if recipe.float_prefix:
        yield (
            f"In float from the start up to {recipe.float_prefix}: timed in turn, this "
            "is faster here than all of it in int8."
        )
    if not outcome.best.within_budget:
        yield (
            "No recipe that was tried kept the accuracy budget: this is the one whose answers "
            "are the closest to the fp32 file's."
        )
