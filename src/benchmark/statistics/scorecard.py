"""Accuracy of one row on a split, accumulated batch by batch and paired with the baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.benchmark.statistics import divergence, paired
from src.benchmark.statistics.departure import departures
from src.benchmark.statistics.fidelity import Labels
from src.benchmark.statistics.rounding import Rounding
from src.run.accuracy import Accuracy, Flip, PairedAccuracy, Verdict
from src.run.rounds import ScorecardSums
from src.worker.answer import Logits

TOP = 5


class Score(NamedTuple):
    """Accuracy of a row, and the verdict on it (None without a baseline for every image)."""

    accuracy: Accuracy
    verdict: Verdict | None


class Scorecard:
    """Accumulator of a row's logits on a split, which keeps a few bytes per image.

    Args:
        class_names: K, in label order.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = class_names
        self._targets: list[Labels] = []
        self._predicted: list[Labels] = []
        self._before: list[Labels] = []
        self._in_top5: list[NDArray[np.bool_]] = []
        self._calibration = divergence.ExpectedCalibrationError()
        self._calibration_before = divergence.ExpectedCalibrationError()
        self._distance = divergence.Distance()
        self._rounding = Rounding()

    def add(self, logits: Logits, targets: Labels, baseline: Logits | None) -> None:
        """Add one batch of n images.

        Args:
            logits: this row's logits, (n, K).
            targets: (n,).
            baseline: the baseline's logits for the same images, (n, K); None without one.
        """
        top = np.argsort(-logits, axis=1, kind="stable")[:, :TOP]  # (n, 5)
        self._targets.append(targets)
        # A copy: a view would keep the sorted indices of all K classes in memory.
        self._predicted.append(top[:, 0].copy())
        self._in_top5.append((top == targets[:, None]).any(axis=1))
        self._calibration.add(logits, targets)
        if baseline is not None:
            self._before.append(baseline.argmax(axis=1))
            self._calibration_before.add(baseline, targets)
            self._distance.add(logits, baseline)
            self._rounding.add(logits, baseline)

    def raw(self) -> ScorecardSums:
        """Return the raw data, from which :meth:`result` computes the figures."""
        return ScorecardSums(
            targets=_values(self._targets),
            predicted=_values(self._predicted),
            before=_values(self._before),
            in_top5=_values(self._in_top5),
            calibration=self._calibration.raw(),
            calibration_before=self._calibration_before.raw(),
            distance=self._distance.raw(),
            rounding=self._rounding.raw(),
        )

    def restore(self, raw: ScorecardSums) -> None:
        """Restore what :meth:`raw` returned."""
        self._targets = [np.asarray(raw.targets, np.int64)]
        self._predicted = [np.asarray(raw.predicted, np.int64)]
        self._before = [np.asarray(raw.before, np.int64)]
        self._in_top5 = [np.asarray(raw.in_top5, np.bool_)]
        self._calibration.restore(raw.calibration)
        self._calibration_before.restore(raw.calibration_before)
        self._distance.restore(raw.distance)
        self._rounding.restore(raw.rounding)

    def result(self, max_drop: float) -> Score:
        """Return every figure of the split so far.

        Without a baseline for every image there are no paired figures and no verdict.

        Args:
            max_drop: accuracy that may be lost, a share of 1.
        """
        targets = np.concatenate(self._targets)
        predicted = np.concatenate(self._predicted)
        before = np.concatenate(self._before) if self._before else np.empty(0, np.int64)
        paired_accuracy, verdict = None, None
        if len(before) == len(targets):
            paired_accuracy, verdict = self._paired(before, predicted, targets, max_drop)
        accuracy = Accuracy(
            images=len(targets),
            top1=float((predicted == targets).mean()),
            top5=float(np.concatenate(self._in_top5).mean()),
            ece=self._calibration.error(),
            paired=paired_accuracy,
        )
        return Score(accuracy, verdict)

    def _paired(
        self, before: Labels, predicted: Labels, targets: Labels, max_drop: float
    ) -> tuple[PairedAccuracy, paired.Verdict]:
        was_right, right = before == targets, predicted == targets
        lost, gained = int((was_right & ~right).sum()), int((right & ~was_right).sum())
        low, high = paired.score_interval(lost, gained, len(targets))
        test = paired.non_inferiority(lost, gained, len(targets), max_drop)
        distance, rounding = self._distance.result(), self._rounding.result()
        delta_ece = self._calibration.error() - self._calibration_before.error()
        beyond = departures(
            logit_sqnr_db=distance.logit_sqnr_db, kl=distance.kl, delta_ece=delta_ece
        )
        accuracy = PairedAccuracy(
            delta_top1=(gained - lost) / len(targets),
            delta_low=low,
            delta_high=high,
            mcnemar_p=paired.mcnemar_p(lost, gained),
            agreement=float((before == predicted).mean()),
            lost=lost,
            gained=gained,
            images_needed=test.images_needed,
            max_drop=max_drop,
            worst_class=divergence.worst_class(was_right, right, targets, self._names),
            per_class=divergence.per_class(was_right, right, targets, self._names),
            **distance._asdict(),
            **rounding._asdict(),
            delta_ece=delta_ece,
            departures=beyond,
            flips=[
                Flip(
                    position=int(position),
                    true=int(targets[position]),
                    before=int(before[position]),
                    after=int(predicted[position]),
                )
                for position in np.flatnonzero(before != predicted)
            ],
        )
        return accuracy, test.verdict


def _values(batches: list[Any]) -> list[Any]:
    values: list[Any] = np.concatenate(batches).tolist() if batches else []
    return values
