"""From raw samples to percentiles, speed-ups and what disturbed them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from src.benchmark.disturbance import Disturbance

# Samples behind a percentile before it says anything, from MLPerf Inference's rules:
# https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc
LEAST_SAMPLES = {50: 1, 90: 64, 99: 662}
STABLE_IQR = 0.10  # of the median, as in torch.utils.benchmark
ROUNDS_A_LOAD = 2
BOOTSTRAP_LOADS = 6
_RESAMPLES = 4_000
_TRIMMED = 0.2  # of the rounds, at each end


@dataclass(frozen=True)
class Turn:
    """What one row gave in one round."""

    seconds: Sequence[float]  # of each call
    elapsed_seconds: float
    cpu_seconds: float  # of the worker, all its threads
    device_seconds: Sequence[float] | None = None  # by the device's own clock
    energy_joules: float | None = None  # of the whole machine
    disturbance: Disturbance | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Turn:
        """What :func:`dataclasses.asdict` made of a turn."""
        seen = values["disturbance"]
        return cls(**{**values, "disturbance": Disturbance(**seen) if seen else None})


Rounds = Mapping[int, Turn]  # by the round's number: rows leave when they are precise enough


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval, as a share of the value."""
        return (self.high - self.low) / 2 / self.value

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def summarize(batch_size: int, rounds: Rounds, *, warm: bool = True) -> dict[str, Any]:
    """One cell of the table, in SI units, from its raw samples round by round.

    A percentile without enough samples behind it is None. ``images_per_second`` is what was
    done in the time that went by, and not made from a percentile. ``unstable`` lists why the
    cell is not to be trusted to the last digit, the likeliest cause first: ``steal``, ``busy``,
    ``clock`` (see :class:`Disturbance`), ``cold`` (no steady speed was reached before), and
    ``spread``, an interquartile range of more than a tenth of the median.

    Args:
        batch_size: images a call.
        rounds: what was measured.
        warm: whether the warm-up reached a steady speed.
    """
    turns = list(rounds.values())
    samples = np.concatenate([np.asarray(turn.seconds, dtype=np.float64) for turn in turns])
    low, median, high = np.percentile(samples, [25, 50, 75])
    elapsed = sum(turn.elapsed_seconds for turn in turns)
    disturbance = _disturbance(turns)
    unstable = [*(disturbance.causes() if disturbance else ()), *([] if warm else ["cold"])]
    if high - low > STABLE_IQR * median:
        unstable.append("spread")
    return {
        "batch_size": batch_size,
        "samples": len(samples),
        "rounds": len(turns),
        "mean_s": float(samples.mean()),
        **{f"p{percent}_s": _percentile(samples, percent) for percent in LEAST_SAMPLES},
        "iqr_s": float(high - low),
        "images_per_second": batch_size * len(samples) / elapsed,
        "busy_cores": sum(turn.cpu_seconds for turn in turns) / elapsed,
        **_device(turns),
        "joules_per_image": _energy(turns, batch_size * len(samples)),
        "stable": not unstable,
        "unstable": unstable,
        "disturbance": disturbance.to_dict() if disturbance else None,
        "speedup": None,
        "speedup_same_runtime": None,
        "seconds": {
            str(number): [round(value, 7) for value in turn.seconds]
            for number, turn in rounds.items()
        },
    }


def load_of(number: int) -> int:
    """Which load of its file a round is measured on.

    Where a file's weights come to lie in memory moves its speed by a percent or two for as long
    as it is loaded (Mytkowicz et al., 2009, "Producing wrong data without doing anything obviously
    wrong"), which no number of rounds on one load would show.
    """
    return number // ROUNDS_A_LOAD


def rounds_of(cell: Mapping[str, Any]) -> dict[int, Turn]:
    """The rounds that a cell of ``benchmark.json`` was made from, to compute on."""
    seen = cell["disturbance"]
    disturbance = Disturbance.from_dict(seen) if seen else None
    return {
        int(number): Turn(seconds, sum(seconds), cpu_seconds=0.0, disturbance=disturbance)
        for number, seconds in cell["seconds"].items()
    }


def speedup(baseline: Rounds, rounds: Rounds, seed: int = 0) -> Interval | None:
    """How many times faster ``rounds`` are than ``baseline``, paired round by round.

    The ratio of the two median times in each round that both took part in, so that the machine's
    drift, which both saw, cancels. Of the two mean times where others were at work on the cores:
    what takes a core from time to time falls between the calls of a fast file and into every
    call of a slow one, so that medians move further apart than means do. Logarithms of the
    ratios are averaged without the fifth at each end, for one interrupted turn says nothing about
    a file. The 95 % interval is a bootstrap over the loads of the files, each with all its rounds
    (a cluster bootstrap: Davison & Hinkley, 1997, section 3.8), by percentiles that are expanded
    for the small number of loads (Hesterberg, 2015, "What Teachers Should Know About the
    Bootstrap", section 5.3). No bootstrap reaches beyond the smallest and the largest load, and
    of fewer than six these hold the truth too seldom: there it is the t interval of their
    averages.

    Args:
        baseline: what it is compared with.
        rounds: what is compared.
        seed: of the resampling, so that the same samples give the same interval.

    Returns:
        None with rounds of fewer than two loads in common.
    """
    common = [number for number in rounds if number in baseline]
    loads = sorted({load_of(number) for number in common})
    count = len(loads)
    if count < 2:  # noqa: PLR2004  # a single load has no spread
        return None
    middle = np.mean if _interrupted(baseline) or _interrupted(rounds) else np.median
    ratios = np.full((count, ROUNDS_A_LOAD), np.nan)  # rows are loads; a round may be missing
    for number in common:
        ratio = middle(baseline[number].seconds) / middle(rounds[number].seconds)
        ratios[loads.index(load_of(number)), number % ROUNDS_A_LOAD] = math.log(ratio)
    value = float(_trimmed_mean(ratios.reshape(1, -1))[0])
    quantile = float(stdtrit(count - 1, 0.025))
    if count < BOOTSTRAP_LOADS:
        averages = np.nanmean(ratios, axis=1)
        reach = -quantile * float(averages.std(ddof=1)) / math.sqrt(count)
        return Interval(math.exp(value), math.exp(value - reach), math.exp(value + reach))
    drawn = np.random.default_rng(seed).integers(count, size=(_RESAMPLES, count))
    means = _trimmed_mean(ratios[drawn].reshape(_RESAMPLES, -1))
    # The percentile interval is too narrow by sqrt(1 - 1/n) and for the t quantile; this tail
    # makes it the t interval where the means are normal.
    tail = NormalDist().cdf(quantile * math.sqrt(count / (count - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(math.exp(value), float(np.exp(low)), float(np.exp(high)))


def _interrupted(rounds: Rounds) -> bool:
    """Whether others took the cores from these calls, so that some of them hold waiting."""
    disturbance = _disturbance(list(rounds.values()))
    return disturbance is not None and disturbance.interrupts()


def _trimmed_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each row without its smallest and largest fifth; NaN is missing: (B, n) -> (B,).

    A row has one value at least.
    """
    ordered = np.sort(values, axis=1)  # NaN last
    present = np.isfinite(ordered).sum(axis=1, keepdims=True)
    cut = (_TRIMMED * present).astype(int)
    place = np.arange(values.shape[1])
    kept = (place >= cut) & (place < present - cut)
    return np.asarray(np.where(kept, ordered, 0.0).sum(axis=1) / kept.sum(axis=1))


def _percentile(samples: NDArray[np.float64], percent: int) -> float | None:
    if len(samples) < LEAST_SAMPLES[percent]:
        return None
    return float(np.percentile(samples, percent))


def _device(turns: Sequence[Turn]) -> dict[str, Any]:
    """The same percentiles by the device's own clock, None for a device that has none."""
    samples = np.asarray([value for turn in turns for value in turn.device_seconds or ()])
    return {
        f"device_p{percent}_s": _percentile(samples, percent) if len(samples) else None
        for percent in LEAST_SAMPLES
    }


def _energy(turns: Sequence[Turn], images: int) -> float | None:
    joules = [turn.energy_joules for turn in turns if turn.energy_joules is not None]
    return sum(joules) / images if len(joules) == len(turns) else None


def _disturbance(turns: Sequence[Turn]) -> Disturbance | None:
    seen = [turn.disturbance for turn in turns if turn.disturbance is not None]
    return Disturbance.over(seen) if seen else None
