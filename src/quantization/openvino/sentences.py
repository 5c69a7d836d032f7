"""The sentences in the manifest on an int8 file for OpenVINO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from src.quantization.openvino.candidates import Int8Graph
from src.quantization.openvino.recipe import OpenVinoRecipe
from src.quantization.search import Outcome


def of_no_search(recipe: OpenVinoRecipe, reason: str) -> list[str]:
    """Describe a file that was made without a search."""
    return [f"Made by NNCF's {recipe.preset} recipe, and not judged: {reason}."]


def of_search(
    outcome: Outcome[OpenVinoRecipe, Int8Graph], images: int, activations: Sequence[str]
) -> Iterator[str]:
    """Describe a file whose recipe was searched for.

    Args:
        outcome: the result of the search.
        images: the number of selection images.
        activations: the kinds of activation functions that a hard swish can replace.
    """
    recipe = outcome.best.recipe
    if outcome.best.within_budget:
        yield (
            f"Made by NNCF's {recipe.preset} recipe{recipe.additions}; the fastest that kept the "
            f"accuracy budget on {images} training images that it was not calibrated on."
        )
    else:
        yield (
            f"No recipe kept the accuracy budget on {images} training images: NNCF's "
            f"{recipe.preset} recipe{recipe.additions} gives the answers that are the closest to "
            "the fp32 graph's."
        )
    if recipe.kept_in_float:
        yield (
            f"In float: {', '.join(recipe.kept_in_float)}, which add the most noise "
            "of their own when they are quantized."
        )
    for gain in outcome.gains:
        if gain.recipe.hard_share:
            change = (
                f"{' and '.join(activations)} by a hard swish for {gain.recipe.hard_share:.0%} of "
                "the values"
            )
        else:
            change = "bf16 for what is left in float"
        yield f"{change}: {gain.factor:.2f} times as fast."
    for left_out, crash in outcome.cannot_run.items():
        yield (
            f"NNCF's {left_out.preset} recipe{left_out.additions} was left out: on this machine "
            f"OpenVINO {crash}."
        )
