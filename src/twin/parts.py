"""Choice of the parts to replace: the fastest ones that can be learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from src.run.twin import ReplacedParts, TriedPlan, Validated
from src.twin import probe, survey
from src.twin.making import Making
from src.twin.survey import LEAST_GAIN, Surveyed

LEARNABLE = 0.8  # agreement after the probe
_ROUNDING = 1e-9  # of a share of images, in floating point


@dataclasses.dataclass(frozen=True)
class Parts:
    """The plans that were tried, and the one to train.

    Args:
        tried: the first one replaces nothing.
        chosen: index in ``tried``; None if there is nothing to train.
        reason: why there is nothing to train.
        calibrated: the plain int8 file of the trained network on the validation images; None
            if it cannot be trained.
    """

    tried: list[TriedPlan]
    chosen: int | None
    reason: str | None
    calibrated: Validated | None


def chosen(making: Making) -> Parts:
    """Survey the network, and choose the parts."""
    making.report("validating the plain int8 file")
    unchanged = Surveyed((), 1.0, 1.0)
    try:
        with making.quantized(making.network) as quantization:
            calibrated = making.validation.of(quantization.network().eval())
    except Exception as error:  # of the export of any network
        why = f"the network cannot be trained under fake quantization: {survey.reason_of(error)}"
        return Parts([_as_record(unchanged)], None, why, None)
    making.report("timing the network in int8")
    tried = making.survey.run()
    probed: dict[survey.Plan, float] = {}
    refused: dict[survey.Plan, str] = {}

    def is_learnable(each: Surveyed) -> bool:
        if reason := _untrainable(making, each):
            refused[each.plan] = reason
            return False
        if making.options.probe_steps:
            probed[each.plan] = _probed(making, each)
        return probed.get(each.plan, 1.0) >= LEARNABLE

    best = survey.ranked(tried, is_learnable)
    records = [_as_record(each, probed.get(each.plan), refused.get(each.plan)) for each in tried]
    reason = None if best.plan else _needs_none(making, records, calibrated)
    return Parts(records, None if reason else tried.index(best), reason, calibrated)


def _untrainable(making: Making, each: Surveyed) -> str | None:
    """Return why a plan cannot be trained under fake quantization; None if it can."""
    try:
        with making.quantized(making.survey.student(each.plan)) as quantization:
            quantization.network()
    except Exception as error:  # of the export of a network with other parts
        return survey.reason_of(error)
    return None


def _probed(making: Making, each: Surveyed) -> float:
    making.report(f"a short distillation: {each.name}")
    return probe.agreement_after(
        making.network,
        making.survey.student(each.plan),
        making.fresh_data(),
        making.images,
        making.survey.expected,
        making.options.probe_steps,
        making.options.lr,
    )


def _needs_none(making: Making, tried: Sequence[TriedPlan], calibrated: Validated) -> str | None:
    """Return why a network of which nothing is replaced needs no twin; None if it needs one."""
    changed = 1 - calibrated.agreement
    if changed > making.options.max_accuracy_drop + _ROUNDING:
        return None
    fastest = max(tried, key=lambda plan: plan.speedup)
    if fastest.speedup <= LEAST_GAIN:
        why = "no replacement makes the plain int8 file faster by a twentieth"
        if making.survey.left_out:
            reasons = (f"{name}: {reason}" for name, reason in making.survey.left_out.items())
            why += f" (left out: {'; '.join(reasons)})"
    else:
        why = f"no replacement that gains speed can be learnt ({_outcome(fastest)})"
    return f"{why}, and the plain int8 file changes {changed:.1%} of the validation answers"


def _outcome(plan: TriedPlan) -> str:
    """Return the gain of a refused plan, and why it was refused."""
    gain = f"{plan.name} is {plan.speedup:.2f} times as fast"
    if plan.refused is not None:
        return f"{gain}; {plan.refused}"
    if plan.probe_agreement is None:
        return gain
    return (
        f"{gain}, and after a few steps gives the trained network's class for "
        f"{plan.probe_agreement:.0%} of the training images"
    )


def _as_record(
    each: Surveyed, probed: float | None = None, refused: str | None = None
) -> TriedPlan:
    return TriedPlan(
        name=each.name,
        replaced=[
            ReplacedParts(kind=part.kind, by=part.by, paths=list(part.paths)) for part in each.plan
        ],
        speedup=each.speedup,
        agreement=each.agreement,
        probe_agreement=probed,
        refused=refused,
    )
