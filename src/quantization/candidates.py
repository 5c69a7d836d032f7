"""The interface between the search and a runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from src.quantization.recipe import Recipe

if TYPE_CHECKING:
    from src.quantization.evaluation import Evaluation
    from src.quantization.trials import Trials

RecipeT = TypeVar("RecipeT", bound=Recipe)
ModelT = TypeVar("ModelT")


class CannotRunError(Exception):
    """A model cannot run on this machine; the message is the reason."""


@dataclass(frozen=True)
class Alternatives(Generic[RecipeT]):
    """Recipes for one change that may make a model faster, the strongest change first.

    The next one is tried only if the one before misses the accuracy budget or cannot run.

    Args:
        recipes: the best recipe with the change.
        least_gain: the model has to be more than this many times as fast as the best one.
    """

    recipes: Sequence[RecipeT]
    least_gain: float = 1.0


@dataclass(frozen=True)
class Positions(Generic[RecipeT]):
    """Recipes for all positions of one boundary in the network, in the network's order.

    The speed is assumed to have one peak among them.

    Args:
        recipes: the best recipe with the boundary at each position.
        least_gain: the model has to be more than this many times as fast as the best one.
    """

    recipes: Sequence[RecipeT]
    least_gain: float = 1.0


SpeedUp = Alternatives[RecipeT] | Positions[RecipeT]


class Candidates(Protocol[RecipeT, ModelT]):
    """The recipes of one network for one runtime, and the models made by them.

    ``accuracy_recipes`` and ``speed_ups`` are generators. The search resumes them after it has
    tried what they yielded, so they can read the best trial so far from ``trials``.
    """

    @property
    def reference(self) -> Evaluation:
        """The evaluation of the fp32 model."""

    def accuracy_recipes(self, trials: Trials[RecipeT, ModelT]) -> Iterator[Sequence[RecipeT]]:
        """Yield groups of recipes with all layers in int8.

        All recipes of a group are tried. After the first group with a recipe within the budget,
        no further group is requested.
        """

    def sensitivity_order(self, recipe: RecipeT) -> Sequence[str]:
        """Return the layers that a recipe quantizes, the most sensitive one first."""

    def speed_ups(self, trials: Trials[RecipeT, ModelT]) -> Iterator[SpeedUp[RecipeT]]:
        """Yield changes that may make the best model faster."""

    def make(self, recipe: RecipeT) -> ModelT:
        """Return the int8 model of a recipe.

        Raises:
            CannotRunError: the model cannot run on this machine.
        """

    def evaluate(self, model: ModelT) -> Evaluation:
        """Run a model on the selection images.

        Raises:
            CannotRunError: the model cannot run on this machine.
        """

    def speedup(self, model: ModelT, other: ModelT) -> float:
        """Return how many times as fast as another model a model is, timed in turn.

        Raises:
            CannotRunError: the model cannot run on this machine.
        """
