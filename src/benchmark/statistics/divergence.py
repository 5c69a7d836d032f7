"""Distance of a row's outputs from the baseline's, on the same images in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.benchmark.statistics.fidelity import Labels
from src.run.accuracy import ClassAccuracy, WorstClass
from src.run.rounds import CALIBRATION_BINS, CalibrationSums, DistanceSums
from src.worker.answer import Logits

# Shapes: n images, K classes.
Right = NDArray[np.bool_]  # (n,), True if top-1 is the target


class DistanceFigures(NamedTuple):
    """Figures of the distance of logits from the baseline's; None for a value that is not finite.

    - ``logit_sqnr_db``: signal-to-quantization-noise ratio in dB, 10 log10 of the sum of squares of
      the baseline's logits over that of the differences. At 20 dB the noise is a tenth of the
      signal. None for identical logits and for a baseline of zeros.
    - ``kl``: KL(softmax(baseline) || softmax(logits)) in nats, the mean over the images (Kullback &
      Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22, 1951): the
      information lost if the row's probabilities replace the baseline's.
    - ``max_abs_logit_diff``, ``p99_abs_logit_diff``: the maximum, and the 99th percentile over the
      images, of each image's largest |logits - baseline|.
    """

    logit_sqnr_db: float | None
    kl: float
    max_abs_logit_diff: float
    p99_abs_logit_diff: float


class Distance:
    """Distance of logits from the baseline's, accumulated batch by batch."""

    def __init__(self) -> None:
        self._signal = self._noise = self._kl = 0.0
        self._largest: list[NDArray[np.float64]] = []

    def add(self, logits: Logits, baseline: Logits) -> None:
        """Add one batch: (n, K) each."""
        reference = baseline.astype(np.float64)
        self._signal += float(np.square(reference).sum())
        self._noise += float(np.square(logits - reference).sum())
        before, after = _log_softmax(baseline), _log_softmax(logits)  # (n, K)
        self._kl += float((np.exp(before) * (before - after)).sum())
        # In float64: the difference of two large logits may overflow float32.
        self._largest.append(np.abs(logits - reference).max(axis=1))  # (n,)

    def raw(self) -> DistanceSums:
        """Return the accumulated sums."""
        return DistanceSums(
            signal=self._signal,
            noise=self._noise,
            kl=self._kl,
            largest=[float(value) for batch in self._largest for value in batch],
        )

    def restore(self, raw: DistanceSums) -> None:
        """Restore what :meth:`raw` returned."""
        self._signal, self._noise, self._kl = raw.signal, raw.noise, raw.kl
        self._largest = [np.asarray(raw.largest, np.float64)]

    def result(self) -> DistanceFigures:
        """Return the figures over all images so far."""
        largest = np.concatenate(self._largest)
        finite = self._signal > 0 and self._noise > 0
        sqnr = float(10 * (np.log10(self._signal) - np.log10(self._noise))) if finite else None
        return DistanceFigures(
            logit_sqnr_db=sqnr,
            # Rounding gives values such as -1e-17 for equal distributions.
            kl=max(0.0, self._kl / len(largest)),
            max_abs_logit_diff=float(largest.max()),
            p99_abs_logit_diff=float(np.percentile(largest, 99)),
        )


class ExpectedCalibrationError:
    """Expected calibration error of top-1: |accuracy - confidence| by bin, batch by batch.

    Guo et al., "On calibration of modern neural networks", ICML 2017: equal-width bins of the
    confidence, weighted by their number of images. A bin includes its upper edge. In torchmetrics
    it includes its lower edge, and a confidence of exactly 1 has a separate bin.
    """

    def __init__(self, bins: int = CALIBRATION_BINS) -> None:
        self._edges = np.linspace(0, 1, bins + 1)
        self._gaps = np.zeros(bins)
        self._images = 0

    def add(self, logits: Logits, targets: Labels) -> None:
        """Add one batch: logits (n, K), targets (n,)."""
        # The largest softmax probability. In this form it cannot round to a value above 1.
        confidence = 1 / np.exp(_below_top(logits)).sum(axis=1)  # (n,)
        right = logits.argmax(axis=1) == targets  # (n,)
        bin_of = np.searchsorted(self._edges, confidence, side="left") - 1  # (n,)
        # The gap of a bin, weighted by its images, is the sum of the gaps of its images.
        self._gaps += np.bincount(bin_of, weights=right - confidence, minlength=len(self._gaps))
        self._images += len(targets)

    def raw(self) -> CalibrationSums:
        """Return the accumulated sums."""
        return CalibrationSums(gaps=self._gaps.tolist(), images=self._images)

    def restore(self, raw: CalibrationSums) -> None:
        """Restore what :meth:`raw` returned."""
        self._gaps, self._images = np.asarray(raw.gaps, np.float64), raw.images

    def error(self) -> float:
        """Return the error so far, a share of 1."""
        return float(np.abs(self._gaps).sum() / self._images)


def per_class(
    before_right: Right, after_right: Right, targets: Labels, class_names: Sequence[str]
) -> list[ClassAccuracy]:
    """Return the accuracy of each class before and after, in the order of the classes.

    Classes without images are left out.

    Args:
        before_right: (n,), the baseline's.
        after_right: (n,), the row's.
        targets: (n,), indices into ``class_names``.
    """
    images, before, after = _counts(before_right, after_right, targets, len(class_names))
    return [
        ClassAccuracy(
            name=name,
            index=index,
            images=int(images[index]),
            before=float(before[index] / images[index]),
            after=float(after[index] / images[index]),
        )
        for index, name in enumerate(class_names)
        if images[index]
    ]


def worst_class(
    before_right: Right, after_right: Right, targets: Labels, class_names: Sequence[str]
) -> WorstClass | None:
    """Return the class whose accuracy falls the most, the first one on a tie; None without images.

    Its ``delta`` is 0 or above if no class falls.
    """
    images, before, after = _counts(before_right, after_right, targets, len(class_names))
    entries = per_class(before_right, after_right, targets, class_names)
    # Computed from counts, so that equal changes compare equal. Differences of shares are rounded.
    changes = after - before
    deltas = [float(changes[entry.index] / images[entry.index]) for entry in entries]
    if not deltas:
        return None
    worst = entries[deltas.index(min(deltas))]
    return WorstClass(
        name=worst.name,
        index=worst.index,
        images=worst.images,
        before=worst.before,
        after=worst.after,
        delta=min(deltas),
    )


def _counts(
    before_right: Right, after_right: Right, targets: Labels, classes: int
) -> tuple[Labels, Labels, Labels]:
    """Return by class the images, and those that were right before and after: (K,) each."""

    def count(labels: Labels) -> Labels:
        return np.bincount(labels, minlength=classes).astype(np.int64)

    return count(targets), count(targets[before_right]), count(targets[after_right])


def _log_softmax(logits: Logits) -> NDArray[np.float64]:
    below = _below_top(logits)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))


def _below_top(logits: Logits) -> NDArray[np.float64]:
    """Return logits (n, K) minus the largest of each image, in float64: exp cannot overflow."""
    wide = logits.astype(np.float64)
    return np.asarray(wide - wide.max(axis=1, keepdims=True))
