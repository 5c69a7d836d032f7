"""Which of several quantized graphs to ship: the fastest whose answers are the fp32 graph's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from src import machine
from src.formats import _openvino_dry_run
from src.formats._int8_account import HEAD
from src.formats._int8_judge import Judge
from src.formats._int8_ladder import Judgement, holds
from src.formats._openvino_session import OpenVinoRuntime
from src.formats.base import ExportSource, Runtime, Unavailable

if TYPE_CHECKING:
    import openvino

_WITHOUT_AMX = "ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"
_ROUNDS = 12
_TURN_SECONDS = 0.1


@dataclass(frozen=True)
class Trial:
    """A recipe, what its file does, and whether that keeps the budget."""

    recipe: str
    judgement: Judgement
    holds: bool


def of_no_choice(recipe: str) -> dict[str, Any]:
    """The account of a file that there was nothing to judge by."""
    sentence = f"Made by NNCF's {recipe} recipe, and not judged: there are no images to judge by."
    return {"recipe": recipe, "summary": [sentence], "within_budget": None}


def choose(
    reference: openvino.Model, graphs: dict[str, openvino.Model], source: ExportSource
) -> tuple[openvino.Model, dict[str, Any]]:
    """The graph to ship, and the account of the choice.

    Args:
        reference: the fp32 graph.
        graphs: by recipe.
        source: with judging images.

    Raises:
        Unavailable: OpenVINO can run none of them here.
    """
    if source.judging is None:
        raise LookupError("there is nothing to judge by")
    images, labels = (part.numpy() for part in source.judging)

    def opened(graph: openvino.Model) -> OpenVinoRuntime:
        return OpenVinoRuntime(graph, "cpu", machine.usable_cores(), "f32")

    crashes = {
        recipe: crash
        for recipe, graph in graphs.items()
        if (crash := _openvino_dry_run.crash(graph, images, source.scratch))
    }
    if len(crashes) == len(graphs):
        raise Unavailable(
            f"OpenVINO cannot run it here: {', '.join(sorted(set(crashes.values())))}; with "
            f"{_WITHOUT_AMX} in the environment it may"
        )
    judge = Judge(opened(reference), images, labels)
    runtimes = {recipe: opened(graph) for recipe, graph in graphs.items() if recipe not in crashes}
    seconds = in_turns(runtimes, images[:1])
    trials = []
    for recipe, runtime in runtimes.items():
        judgement = judge(runtime, seconds[recipe])
        kept = holds(judgement, judge.reference.accuracy, source.max_accuracy_drop)
        trials.append(Trial(recipe, judgement, kept))
    chosen = best(trials)
    account = _account(trials, chosen, judge.reference, len(images))
    account["summary"] += [
        f"NNCF's {recipe} recipe was left out: on this machine OpenVINO {crash}."
        for recipe, crash in crashes.items()
    ]
    return graphs[chosen.recipe], account


def best(trials: list[Trial]) -> Trial:
    """The fastest of those that keep the budget; where none does, the one that agrees most."""
    keeping = [trial for trial in trials if trial.holds]
    if keeping:
        return min(keeping, key=lambda trial: trial.judgement.seconds)
    return max(trials, key=lambda trial: (trial.judgement.agreement, trial.judgement.accuracy))


def in_turns(runtimes: Mapping[str, Runtime], image: NDArray[np.float32]) -> dict[str, float]:
    """Seconds of a call of each, taken in turn so that the machine's phases hit all alike."""
    rounds: dict[str, list[float]] = {name: [] for name in runtimes}
    for number in range(_ROUNDS):
        for name in list(runtimes)[:: 1 if number % 2 else -1]:
            runtimes[name](image)
            calls: list[float] = []
            while sum(calls) < _TURN_SECONDS:
                started = time.perf_counter()
                runtimes[name](image)
                calls.append(time.perf_counter() - started)
            rounds[name].append(float(np.median(calls)))
    return {name: float(np.median(each)) for name, each in rounds.items()}


def _account(
    trials: list[Trial], chosen: Trial, reference: Judgement, images: int
) -> dict[str, Any]:
    rows = [[trial.recipe, *vars(trial.judgement).values(), trial.holds] for trial in trials]
    summary = [
        f"Made by NNCF's {chosen.recipe} recipe, the fastest that kept the accuracy budget on "
        f"{images} training images that it was not calibrated on."
        if chosen.holds
        else f"No recipe kept the accuracy budget on {images} training images: NNCF's "
        f"{chosen.recipe} recipe gives the answers that are the closest to the fp32 graph's."
    ]
    return {
        "recipe": chosen.recipe,
        "judging_images": images,
        "summary": summary,
        "within_budget": chosen.holds,
        "table": {
            "head": HEAD,
            "rows": [["the fp32 graph", *vars(reference).values(), None], *rows],
            "chosen": 1 + trials.index(chosen),
        },
    }
