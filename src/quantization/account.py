"""What the manifest says of how an int8 file was made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from src.quantization.recipe import Recipe
from src.quantization.search import Found
from src.quantization.target import Choice
from src.quantization.trials import Judgement

HEAD = [
    ["recipe", "text"],
    ["top-1", "share"],
    ["agreement with fp32", "share"],
    ["batch 1, roughly", "seconds"],
    ["keeps the budget", "truth"],
]


def of_no_search(choice: Choice, reason: str) -> dict[str, Any]:
    """The account of a file that was made by the plain recipe."""
    sentence = f"Made by the plain recipe, {Recipe()}, and not judged: {reason}."
    return {
        **choice.details(),
        "recipe": recipe_values(Recipe()),
        "summary": [choice.sentence(), sentence],
        "within_budget": None,
    }


def of_search(
    choice: Choice, found: Found[Any], reference: Judgement, images: int
) -> dict[str, Any]:
    """The account of a file whose recipe was searched for.

    Args:
        reference: what the fp32 file does.
        images: how many it was judged by.
    """
    rungs = [[str(each.recipe), *_values(each.judgement), each.holds] for each in found.rungs]
    return {
        **choice.details(),
        "recipe": recipe_values(found.winner.recipe),
        "judging_images": images,
        "summary": [choice.sentence(), *_sentences(found, images)],
        "within_budget": found.winner.holds,
        "table": {
            "head": HEAD,
            "rows": [["the fp32 file", *_values(reference), None], *rungs],
            "chosen": 1 + found.rungs.index(found.winner),
        },
    }


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(recipe).items()
    }


def _values(judgement: Judgement) -> list[float]:
    return [judgement.accuracy, judgement.agreement, judgement.seconds]


def _sentences(found: Found[Any], images: int) -> Iterator[str]:
    yield (
        f"Made by the recipe: {found.winner.recipe}. It was judged by {images} training images "
        "that it was not calibrated on: whether it gives the fp32 file's answers. The network "
        "has trained on them, so its accuracy on them flatters."
    )
    if found.winner.recipe.kept_in_float:
        yield (
            f"In float: {', '.join(found.winner.recipe.kept_in_float)}, which add the most noise "
            "of their own when they are quantized."
        )
    if count := len(found.winner.recipe.multiplied_generally):
        yield (
            f"{count} {'convolution has' if count == 1 else 'convolutions have'} weights with a "
            "zero point of 1: by its general int8 product ONNX Runtime computes these faster here "
            "than by its kernel for symmetric weights."
        )
    if found.winner.recipe.float_up_to:
        yield (
            f"In float from the start up to {found.winner.recipe.float_up_to}: timed in turn, this "
            "is faster here than all of it in int8."
        )
    if not found.winner.holds:
        yield (
            "No recipe that was tried kept the accuracy budget: this is the one whose answers "
            "are the closest to the fp32 file's."
        )
    if found.out_of_time:
        yield "The time, export.onnx_int8.search_seconds, was up before all was tried."
