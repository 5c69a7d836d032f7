"""Choice of the parts to replace: the fastest ones that can be learnt."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from src.run.twin import DroppedBlock, TriedPlan, Validated
from src.twin import blocks, probe, survey
from src.twin.kept_survey import as_record
from src.twin.making import Making
from src.twin.replacements import DROP
from src.twin.survey import LEAST_GAIN, Surveyed

LEARNABLE = 0.8  # agreement before any training, or after the probe
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
        blocks: squeeze-excites in the order in which they are dropped.
    """

    tried: list[TriedPlan]
    chosen: int | None
    reason: str | None
    calibrated: Validated | None
    blocks: list[DroppedBlock] = dataclasses.field(default_factory=list)


def chosen(making: Making) -> Parts:
    """Survey the network, and choose the parts."""
    making.report("validating the plain int8 file")
    unchanged = Surveyed((), 1.0, 1.0)
    try:
        with making.quantized(making.network) as quantization:
            calibrated = making.validation.of(quantization.network().eval())
    except Exception as error:  # of the export of any network
        why = f"the network cannot be trained under fake quantization: {survey.reason_of(error)}"
        return Parts([as_record(unchanged)], None, why, None)
    making.report("timing the network in int8")
    tried = making.survey.run()
    plans = _Plans(making)
    best = survey.ranked(tried, plans.is_learnable)
    tried += plans.with_fewer_blocks(tried, best)
    best = survey.ranked(tried, plans.is_learnable)
    records = [
        as_record(each, plans.probed.get(each.plan), plans.refused.get(each.plan)) for each in tried
    ]
    reason = None if best.plan else _needs_none(making, records, calibrated)
    return Parts(
        records,
        None if reason else tried.index(best),
        reason,
        calibrated,
        [DroppedBlock(path=b.path, damage=b.damage, saved=b.saved) for b in making.survey.blocks],
    )


class _Plans:
    """Remembers the plans that can be learnt, and those that cannot.

    Args:
        making: of the twin.
    """

    def __init__(self, making: Making) -> None:
        self._making = making
        self.probed = dict(making.kept_survey.probed)
        self.refused: dict[survey.Plan, str] = {}
        self._trainable: set[survey.Plan] = set()

    def is_learnable(self, each: Surveyed) -> bool:
        """Return True if a plan can be trained here, and answers as the teacher or was learnt."""
        plan = each.plan
        if plan not in self.refused and plan not in self._trainable:
            if reason := _untrainable(self._making, each):
                self.refused[plan] = reason
            else:
                self._trainable.add(plan)
        return plan in self._trainable and self._is_learnt(each)

    def with_fewer_blocks(self, tried: Sequence[Surveyed], best: Surveyed) -> list[Surveyed]:
        """Time the fastest plan that was not learnt, with as many blocks kept as it needs.

        Args:
            tried: all plans so far.
            best: the fastest one that can be learnt.
        """
        of_survey = self._making.survey
        ranked = {block.path for block in of_survey.blocks}
        for each in sorted(tried, key=lambda plan: -plan.speedup):
            if each.speedup <= max(best.speedup, LEAST_GAIN):
                break
            dropped = [part.paths for part in each.plan if part.by == DROP]
            if not dropped or self.probed.get(each.plan, 1.0) >= LEARNABLE:
                continue
            count = len(ranked & set(dropped[0]))
            if count < len(dropped[0]) or count < 2 or not self._has_learnt(each, 0):  # noqa: PLR2004
                continue
            most = blocks.most(count, functools.partial(self._has_learnt, each))
            return of_survey.timed(of_survey.with_fewer_blocks(each.plan, most)) if most else []
        return []

    def _has_learnt(self, each: Surveyed, count: int) -> bool:
        """Return True if a plan that drops fewer blocks is learnt."""
        plan = self._making.survey.with_fewer_blocks(each.plan, count)
        return not plan or self._is_learnt(dataclasses.replace(each, plan=plan))

    def _is_learnt(self, each: Surveyed) -> bool:
        if each.agreement >= LEARNABLE:
            return True
        if self._making.options.probe_steps and each.plan not in self.probed:
            self.probed[each.plan] = _probed(self._making, each)
            self._making.kept_survey.keep_probe(each.plan, self.probed[each.plan])
        return self.probed.get(each.plan, 1.0) >= LEARNABLE


def _untrainable(making: Making, each: Surveyed) -> str | None:
    """Return why a plan cannot be trained under fake quantization; None if it can."""
    try:
        with making.quantized(making.survey.student(each.plan)) as quantization:
            quantization.network()
    except Exception as error:  # of the export of a network with other parts
        return survey.reason_of(error)
    return None


def _probed(making: Making, each: Surveyed) -> float:
    making.report(f"probing {each.name}")
    return probe.agreement_after(
        making.network,
        making.survey.student(each.plan),
        making.fresh_data(),
        making.images,
        making.survey.expected,
        making.options.probe_steps,
        making.rate("distillation", is_near=False),
        making.device,
        LEARNABLE,
    )


def _needs_none(making: Making, tried: Sequence[TriedPlan], calibrated: Validated) -> str | None:
    """Return why a network of which nothing is replaced needs no twin; None if it needs one."""
    changed = 1 - calibrated.agreement
    if changed > making.options.max_accuracy_drop + _ROUNDING:
        return None
    fastest = max(tried, key=lambda plan: plan.speedup)
    if len(tried) == 1 and not making.survey.left_out:
        why = "the network has no parts for which there are faster ones in int8"
    elif fastest.speedup <= LEAST_GAIN:
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
        f"{gain}, and after the probe gives the trained network's class for "
        f"{plan.probe_agreement:.0%} of the training images"
    )
