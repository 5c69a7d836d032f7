"""The recipes for ONNX Runtime in the order in which they are tried, the cheapest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from src.quantization.candidates import Alternatives, ModelT, Positions, SpeedUp
from src.quantization.onnx.recipe import Calibration, OnnxRecipe
from src.quantization.trials import Trials

CLIPPING: tuple[Calibration, ...] = get_args(Calibration)[1:]
_ENOUGH = 1.5  # times as fast as fp32: then no part of the network is worth trying in float
_LEAST_PREFIX_GAIN = 1.02  # a part in float makes the file larger


def accuracy_recipes(
    trials: Trials[OnnxRecipe, ModelT], *, equalisable: bool
) -> Iterator[Sequence[OnnxRecipe]]:
    """Yield the recipes with all layers in int8. All of them run equally fast.

    1. Ranges by the extremes.
    2. Ranges that clip outliers.
    3. The best of them with corrected biases, then with equalised channels as well.

    Args:
        trials: the trials so far.
        equalisable: there are channels to equalise.
    """
    for calibration in ("minmax", *CLIPPING):
        yield [OnnxRecipe(calibration=calibration)]
    corrected = dataclasses.replace(trials.best.trial.recipe, bias_corrected=True)
    yield [corrected]
    if equalisable:
        yield [dataclasses.replace(corrected, equalised=True)]


def speed_ups(
    trials: Trials[OnnxRecipe, ModelT],
    *,
    has_gelu: bool = False,
    cut_points: Sequence[str] = (),
    gemm_convolutions: Callable[[ModelT], Sequence[str]] | None = None,
) -> Iterator[SpeedUp[OnnxRecipe]]:
    """Yield changes that may make the best model faster.

    1. GELU by a sigmoid, which is an approximation.
    2. The first part of the network in float. Its feature maps are large and have few channels,
       so there is much to move and little to multiply, and float can be faster than int8.
    3. Convolutions by the im2col and GEMM kernel, of those that are still in int8.

    Args:
        trials: the trials so far.
        has_gelu: there is a GELU to approximate.
        cut_points: the nodes after which float may end and int8 begin, in the network's order.
        gemm_convolutions: returns the convolutions of a model that are faster by that kernel.
    """
    if has_gelu:
        best = trials.best.trial.recipe
        yield Alternatives([dataclasses.replace(best, sigmoid_gelu=True)])
    best_trial = trials.best.trial
    if trials.reference.seconds < _ENOUGH * best_trial.evaluation.seconds:
        yield Positions(
            [dataclasses.replace(best_trial.recipe, float_prefix=name) for name in cut_points],
            _LEAST_PREFIX_GAIN,
        )
    if gemm_convolutions is not None:
        names = tuple(gemm_convolutions(trials.best.model))
        if names:
            best = trials.best.trial.recipe
            yield Alternatives([dataclasses.replace(best, gemm_convolutions=names)])
