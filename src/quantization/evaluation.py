"""What a quantized file does with the judging images, against the fp32 file."""

from __future__ import annotations

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Runtime
from src.quantization.trials import Judgement

BATCH = 32  # images that are judged at once
_WARM_UP_CALLS = 3
_TIMED_SECONDS = 0.3
_LEAST_TURNS, _TURNS_SECONDS = 20, 2.0
_CALLS_A_TURN = 3


class Judge:
    """Judges by training images, which the network knows: what counts is who answers otherwise.

    The speed is the median of a batch of one for a fraction of a second, in this process: good
    enough to see what nodes in float cost, and no more.

    Args:
        reference: the fp32 file, that agreement is with.
        images: (n, 3, H, W).
        labels: (n,).
    """

    def __init__(
        self, reference: Runtime, images: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> None:
        self._images, self._labels = images, labels
        self._expected = self._answers(reference)
        self.reference = self._judgement(self._expected, seconds_of_a_call(reference, images[:1]))

    def __call__(self, runtime: Runtime, seconds: float | None = None) -> Judgement:
        """What a file does with the images.

        Args:
            runtime: the file.
            seconds: of a call, where that is known already.
        """
        if seconds is None:
            seconds = seconds_of_a_call(runtime, self._images[:1])
        return self._judgement(self._answers(runtime), seconds)

    def _answers(self, runtime: Runtime) -> NDArray[np.int64]:
        """The top-1 of each image, (n,)."""
        starts = range(0, len(self._images), BATCH)
        parts = [runtime(self._images[start : start + BATCH]).argmax(axis=1) for start in starts]
        return np.concatenate(parts)

    def _judgement(self, answers: NDArray[np.int64], seconds: float) -> Judgement:
        return Judgement(
            accuracy=float((answers == self._labels).mean()),
            agreement=float((answers == self._expected).mean()),
            seconds=seconds,
        )


def seconds_of_a_call(runtime: Runtime, image: NDArray[np.float32]) -> float:
    """The median of a few calls in this process, roughly."""
    for _ in range(_WARM_UP_CALLS):
        runtime(image)
    seconds: list[float] = []
    while sum(seconds) < _TIMED_SECONDS:
        started = time.perf_counter()
        runtime(image)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def speedup_in_turn(runtime: Runtime, other: Runtime, image: NDArray[np.float32]) -> float:
    """How many times faster a file is than another: the median over pairs of turns, A B B A.

    In one process, so that each disturbs the other alike. At least 20 pairs, and as many as two
    seconds have room for: of small networks a pair is short, and so the less exact.
    """
    seconds_of_a_call(runtime, image)
    seconds_of_a_call(other, image)
    ratios: list[float] = []
    spent = 0.0
    while len(ratios) < _LEAST_TURNS or spent < _TURNS_SECONDS:
        taken = {}
        for each in (runtime, other) if len(ratios) % 2 else (other, runtime):
            started = time.perf_counter()
            for _ in range(_CALLS_A_TURN):
                each(image)
            taken[each] = time.perf_counter() - started
        ratios.append(taken[other] / taken[runtime])
        spent += sum(taken.values())
    return statistics.median(ratios)
