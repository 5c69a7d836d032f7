"""The record of a search in the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from src.quantization.candidates import ModelT, RecipeT
from src.quantization.evaluation import Evaluation
from src.quantization.search import Outcome
from src.run.facts import ExportDetails, TrialCell, TrialTable

WrittenRecipe = Mapping[str, object] | str
HEAD = [
    ["recipe", "text"],
    ["top-1", "share"],
    ["agreement with fp32", "share"],
    ["batch 1, roughly", "seconds"],
    ["keeps the budget", "truth"],
]


def of_no_search(recipe: WrittenRecipe, sentences: Iterable[str]) -> ExportDetails:
    """Return the record of a file that was not evaluated."""
    return ExportDetails(summary=list(sentences), more={"recipe": recipe})


def of_search(
    outcome: Outcome[RecipeT, ModelT],
    recipe: WrittenRecipe,
    sentences: Iterable[str],
    *,
    images: int,
    reference_name: str,
    format_name: str,
) -> ExportDetails:
    """Return the record of a file whose recipe was searched for.

    Args:
        outcome: the result of the search.
        recipe: the recipe that is shipped, as it is written to the manifest.
        sentences: sentences of the runtime on the recipe that is shipped.
        images: number of selection images.
        reference_name: name of the fp32 model in the table.
        format_name: name of the format, whose option is the time limit.
    """
    summary = list(sentences)
    if outcome.out_of_time:
        summary.append(
            f"The time, export.{format_name}.search_seconds, was up before all was tried."
        )
    trials: list[list[TrialCell]] = [
        [str(trial.recipe), *_values(trial.evaluation), trial.within_budget]
        for trial in outcome.trials
    ]
    return ExportDetails(
        summary=summary,
        within_budget=outcome.best.within_budget,
        table=TrialTable(
            head=HEAD,
            rows=[[reference_name, *_values(outcome.reference), None], *trials],
            chosen=1 + list(outcome.trials).index(outcome.best),
        ),
        more={"recipe": recipe, "judging_images": images},
    )


def reason_for_no_search(format_name: str, search_seconds: float) -> str:
    """Return the reason why no recipe was searched for."""
    if search_seconds == 0:
        return f"export.{format_name}.search_seconds is 0"
    return (
        "there are no images to judge by, for the training split has none beyond those that are "
        "calibrated on, or export.judging_images is 0"
    )


def _values(evaluation: Evaluation) -> list[float]:
    return [evaluation.accuracy, evaluation.agreement, evaluation.seconds]
