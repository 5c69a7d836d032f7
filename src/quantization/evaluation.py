"""Evaluation of an int8 model on the selection images, compared with the fp32 model."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Runtime
from src.run.call_size import calls_of
from src.run.file_input import Batch

BATCH = 32  # images of one call at most, where all selection images are evaluated
_WARM_UP_CALLS = 3
_TIMED_SECONDS = 0.3
_MIN_PAIRS, _CHECK_SECONDS, _MAX_SECONDS = 20, 2.0, 10.0
_CALLS_PER_TURN, _TURN_SECONDS = 3, 0.005  # at least
_PRECISE = 0.02  # half the 95 % interval of a speed-up, as a logarithm


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on the selection images."""

    accuracy: float  # top-1 by the labels, a share of 1
    agreement: float  # share of images with the top-1 class of the fp32 model
    seconds: float  # of one call with one image, a rough figure

    def within_budget(self, max_drop: float, reference: Evaluation) -> bool:
        """Return True if agreement and accuracy fall by at most ``max_drop``, a share of 1.

        Agreement is the stricter condition: the accuracy cannot fall by more than the share of
        predictions that change. The network was trained on the selection images, so its accuracy
        on them is too optimistic.
        """
        limit = max_drop + 1e-9  # shares of a few hundred images are not exact in binary
        return 1 - self.agreement <= limit and reference.accuracy - self.accuracy <= limit


class Evaluator:
    """Evaluates models on the selection images.

    Args:
        reference: the fp32 model.
        images: (n, 3, H, W).
        labels: (n,).
    """

    def __init__(self, reference: Runtime, images: Batch, labels: NDArray[np.int64]) -> None:
        self._images, self._labels = images, labels
        self._expected = self._classes(reference)
        self.reference = self._evaluation(self._expected, reference)

    def __call__(self, runtime: Runtime) -> Evaluation:
        return self._evaluation(self._classes(runtime), runtime)

    def speedup(self, runtime: Runtime, other: Runtime) -> float:
        """Return how many times as fast as ``other`` a runtime is for one image."""
        return speedup_in_turn(runtime, other, self._images[:1])

    def _classes(self, runtime: Runtime) -> NDArray[np.int64]:
        """Return the top-1 class of each image, (n,)."""
        parts = [runtime(batch).argmax(axis=1) for batch in calls_of(self._images, BATCH)]
        return np.concatenate(parts)

    def _evaluation(self, classes: NDArray[np.int64], runtime: Runtime) -> Evaluation:
        return Evaluation(
            accuracy=float((classes == self._labels).mean()),
            agreement=float((classes == self._expected).mean()),
            seconds=seconds_of_a_call(runtime, self._images[:1]),
        )


def seconds_of_a_call(
    runtime: Runtime,
    image: Batch,
    *,
    warm_up_calls: int = _WARM_UP_CALLS,
    timed_seconds: float = _TIMED_SECONDS,
) -> float:
    """Return the median duration of some calls in this process.

    By default this is a rough figure, which shows the cost of layers in float and no smaller
    difference.

    Args:
        runtime: takes the image.
        image: (1, 3, H, W).
        warm_up_calls: calls that are not timed.
        timed_seconds: all timed calls together take at least as long.
    """
    for _ in range(warm_up_calls):
        runtime(image)
    seconds: list[float] = []
    while sum(seconds) < timed_seconds:
        started = time.perf_counter()
        runtime(image)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def speedup_in_turn(runtime: Runtime, other: Runtime, image: Batch) -> float:
    """Return how many times as fast as ``other`` a runtime is: the middle of pairs of turns.

    The two take turns in the order A B B A, in one process, so that a slow phase of the machine
    affects both alike. There are at least 20 pairs and two seconds, and up to ten seconds until the
    95 % interval is 2 % to each side.

    A virtual machine is often given its processors for a part of every tenth of a second only. If a
    pair takes about as long, now one turn waits and now the other: the ratios have two heaps, and
    their median lies in either. So the middle is that of Hodges and Lehmann (1963, "Estimates of
    location based on rank tests"), the median of the means of all two logarithms of ratios, with
    its interval by Wilcoxon's signed ranks.
    """
    shortest = min(seconds_of_a_call(each, image) for each in (runtime, other))
    # The middle is of all two pairs, so there must not be too many.
    calls = max(_CALLS_PER_TURN, math.ceil(_TURN_SECONDS / shortest))
    logarithms: list[float] = []
    spent, next_check = 0.0, _CHECK_SECONDS
    while True:
        seconds = {}
        for timed in (runtime, other) if len(logarithms) % 2 else (other, runtime):
            started = time.perf_counter()
            for _ in range(calls):
                timed(image)
            seconds[timed] = time.perf_counter() - started
        logarithms.append(math.log(seconds[other] / seconds[runtime]))
        spent += sum(seconds.values())
        if len(logarithms) >= _MIN_PAIRS and spent >= next_check:
            middle, reach = _middle(logarithms)
            if reach <= _PRECISE or spent >= _MAX_SECONDS:
                return math.exp(middle)
            next_check = spent + _CHECK_SECONDS


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Return Hodges and Lehmann's estimate of the middle, and half its 95 % interval.

    Args:
        values: 20 or more, so that the signed ranks are about normally distributed.
    """
    count = len(values)
    one, other = np.triu_indices(count)
    ordered = np.asarray(values)
    means = np.sort(ordered[one] + ordered[other]) / 2
    deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    outside = int(len(means) / 2 - 1.96 * deviation)
    return float(np.median(means)), float(means[-1 - outside] - means[outside]) / 2
