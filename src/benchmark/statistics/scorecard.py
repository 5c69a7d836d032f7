"""Accuracy of one row on a split, batch by batch, paired with the baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.benchmark.statistics import divergence, paired
from src.benchmark.statistics.departure import departures
from src.benchmark.statistics.fidelity import Labels
from src.benchmark.statistics.rounding import Rounding
from src.worker.answer import Logits

TOP = 5


class Scorecard:
    """Takes the logits of a split as they come and keeps a few bytes an image of them.

    Args:
        class_names: K, in label order.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = class_names
        self._targets: list[Labels] = []
        self._predicted: list[Labels] = []
        self._before: list[Labels] = []
        self._in_top5: list[NDArray[np.bool_]] = []
        self._calibration = divergence.Calibration()
        self._calibration_before = divergence.Calibration()
        self._distance = divergence.Distance()
        self._rounding = Rounding()

    def add(self, logits: Logits, targets: Labels, baseline: Logits | None) -> None:
        """One more batch of n images.

        Args:
            logits: of this row, (n, K).
            targets: (n,).
            baseline: the baseline's logits for the same images, (n, K); None without one.
        """
        top = np.argsort(-logits, axis=1, kind="stable")[:, :TOP]  # (n, 5)
        self._targets.append(targets)
        # A copy: a view would keep the whole order of all K classes.
        self._predicted.append(top[:, 0].copy())
        self._in_top5.append((top == targets[:, None]).any(axis=1))
        self._calibration.add(logits, targets)
        if baseline is not None:
            self._before.append(baseline.argmax(axis=1))
            self._calibration_before.add(baseline, targets)
            self._distance.add(logits, baseline)
            self._rounding.add(logits, baseline)

    def raw(self) -> dict[str, Any]:
        """All that was kept, as plain values from which :meth:`result` makes the figures."""
        return {
            "targets": _values(self._targets),
            "predicted": _values(self._predicted),
            "before": _values(self._before),
            "in_top5": _values(self._in_top5),
            "calibration": self._calibration.raw(),
            "calibration_before": self._calibration_before.raw(),
            "distance": self._distance.raw(),
            "rounding": self._rounding.raw(),
        }

    def restore(self, raw: dict[str, Any]) -> None:
        """Be the scorecard that gave ``raw``."""
        self._targets = [np.asarray(raw["targets"], np.int64)]
        self._predicted = [np.asarray(raw["predicted"], np.int64)]
        self._before = [np.asarray(raw["before"], np.int64)]
        self._in_top5 = [np.asarray(raw["in_top5"], np.bool_)]
        self._calibration.restore(raw["calibration"])
        self._calibration_before.restore(raw["calibration_before"])
        self._distance.restore(raw["distance"])
        self._rounding.restore(raw["rounding"])

    def result(self, max_drop: float) -> dict[str, Any]:
        """Every figure of the split so far. Shares are of 1, ``kl`` is in nats.

        Without a baseline for every image, what compares with it is missing.

        Args:
            max_drop: the accuracy that may be given up, a share of 1.
        """
        targets = np.concatenate(self._targets)
        predicted = np.concatenate(self._predicted)
        right = predicted == targets
        result: dict[str, Any] = {
            "images": len(targets),
            "top1": float(right.mean()),
            "top5": float(np.concatenate(self._in_top5).mean()),
            "ece": self._calibration.error(),
        }
        before = np.concatenate(self._before) if self._before else np.empty(0, np.int64)
        if len(before) == len(targets):
            result |= self._compared(before, predicted, targets, max_drop)
        return result

    def _compared(
        self, before: Labels, predicted: Labels, targets: Labels, max_drop: float
    ) -> dict[str, Any]:
        was_right, right = before == targets, predicted == targets
        lost, gained = int((was_right & ~right).sum()), int((right & ~was_right).sum())
        low, high = paired.score_interval(lost, gained, len(targets))
        judgement = paired.judge(lost, gained, len(targets), max_drop)
        distance = self._distance.result()
        delta_ece = self._calibration.error() - self._calibration_before.error()
        return {
            "delta_top1": (gained - lost) / len(targets),
            "delta_low": low,
            "delta_high": high,
            "mcnemar_p": paired.mcnemar_p(lost, gained),
            "agreement": float((before == predicted).mean()),
            "lost": lost,
            "gained": gained,
            "verdict": judgement.verdict,
            "images_needed": judgement.images_needed,
            "max_drop": max_drop,
            "worst_class": divergence.worst_class(was_right, right, targets, self._names),
            "per_class": divergence.per_class(was_right, right, targets, self._names),
            **distance,
            **self._rounding.result(),
            "delta_ece": delta_ece,
            "departures": departures({**distance, "delta_ece": delta_ece}),
            "flips": [
                {
                    "position": int(position),
                    "true": int(targets[position]),
                    "before": int(before[position]),
                    "after": int(predicted[position]),
                }
                for position in np.flatnonzero(before != predicted)
            ],
        }


def _values(batches: list[Any]) -> list[Any]:
    values: list[Any] = np.concatenate(batches).tolist() if batches else []
    return values
