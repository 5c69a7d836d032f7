"""How training pictures are varied beyond what a data set says, and mixed with each other."""

from __future__ import annotations

import math
from typing import Literal

from torchvision.transforms import v2

from src.errors import UsageError

# default: what the data set says. none: evaluation's resizing alone.
# randaugment (Cubuk et al., 2020, arXiv 1909.13719) and trivialaugment (Mueller & Hutter, 2021,
# arXiv 2103.10158) come after what the data set says, with the settings of their papers.
Augment = Literal["default", "none", "randaugment", "trivialaugment"]


def further(kind: Augment) -> list[v2.Transform]:
    """What follows the data set's own variation; picture in, picture out."""
    if kind == "randaugment":
        return [v2.RandAugment()]
    if kind == "trivialaugment":
        return [v2.TrivialAugmentWide()]
    return []


def mixing(mixup: float, cutmix: float, classes: int) -> v2.Transform | None:
    """Mixes the pictures of a batch, and their labels into shares of the classes, (N, K).

    mixup: Zhang et al., 2018, arXiv 1710.09412. CutMix: Yun et al., 2019, arXiv 1905.04899. With
    both, each batch draws one of them.

    Args:
        mixup: alpha of the beta distribution that the share is drawn from; 0 for none.
        cutmix: the same for CutMix.
        classes: K.
    """
    for argument, value in (("data.mixup", mixup), ("data.cutmix", cutmix)):
        if not 0 <= value < math.inf:
            raise UsageError(
                argument,
                expected="the alpha of a beta distribution, or 0 for none",
                found=str(value),
                remedy=f"set for example {argument}=0.2",
            )
    chosen: list[v2.Transform] = []
    if mixup:
        chosen.append(v2.MixUp(alpha=float(mixup), num_classes=classes))
    if cutmix:
        chosen.append(v2.CutMix(alpha=float(cutmix), num_classes=classes))
    return v2.RandomChoice(chosen) if chosen else None
