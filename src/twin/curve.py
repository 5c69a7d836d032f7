"""Reading of the curve of a training: the epochs that may mend a twin that misses its budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from src.run.twin import Epoch, MissedBudget, Phase, Validated

_LEAST_EPOCHS = 3  # of a curve
_CONFIDENCE = 0.9  # one-sided, that the loss falls
_MOST_TIMES = 10  # the trained epochs: a curve tells nothing beyond
_LEAST_LOSS = 1e-12
_ROUNDING = 1e-6  # shares of a few hundred images are not exact in binary


def missed_budget(
    teacher: Validated,
    distilled: Validated | None,
    twin: Validated,
    epochs: Sequence[Epoch],
    allowed: float,
) -> MissedBudget | None:
    """Return by how much a twin misses the budget; None if it keeps it on these images.

    The phase whose own result misses the budget first is the one that limits it. Its validation
    loss by epoch is taken for a power law, and the loss of top-1 is assumed to fall with it.

    Args:
        teacher: the trained network.
        distilled: the student in float; None if it was not distilled.
        twin: under fake quantization.
        epochs: of both trainings.
        allowed: loss of top-1, a share of 1.
    """
    drop = teacher.top1 - twin.top1
    if drop <= allowed + _ROUNDING:
        return None
    is_distillation = distilled is not None and teacher.top1 - distilled.top1 > allowed + _ROUNDING
    phase: Phase = "distillation" if is_distillation else "quantization"
    losses = [each.loss for each in epochs if each.phase == phase]
    exponent = fall(losses)
    more = None
    if exponent:
        more = more_epochs(len(losses), exponent, drop / allowed if allowed else math.inf)
    few = len(losses) < _LEAST_EPOCHS
    return MissedBudget(
        drop=drop,
        allowed=allowed,
        phase=phase,
        trained=len(losses),
        curve="few" if few else "falling" if exponent else "flat",
        more_epochs=more,
    )


def fall(losses: Sequence[float]) -> float | None:
    """Return k of a loss that falls as epoch ** -k; None if no fall is shown.

    The slope of the logarithms is tested against 0 (t-test, one-sided, 90 %).
    """
    if len(losses) < _LEAST_EPOCHS:
        return None
    epochs = np.log(np.arange(1, len(losses) + 1))
    line = stats.linregress(epochs, np.log(np.maximum(losses, _LEAST_LOSS)))
    most = float(line.slope + stats.t.ppf(_CONFIDENCE, len(losses) - 2) * line.stderr)
    return -float(line.slope) if most < 0 else None


def more_epochs(trained: int, exponent: float, times: float) -> int | None:
    """Return the epochs after which the loss is a given number of times smaller.

    None if there are more than ten times as many as were trained.
    """
    if math.log(times) / exponent > math.log(_MOST_TIMES):
        return None
    needed = trained * math.exp(math.log(times) / exponent)
    return max(1, math.ceil(needed - trained - _ROUNDING))
