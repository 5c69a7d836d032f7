"""From raw samples to percentiles, speed-ups and what disturbed them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from src.benchmark.environment.interference import Disturbance

# Samples behind a percentile before it says anything, from MLPerf Inference's rules:
# https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc
LEAST_SAMPLES = {50: 1, 90: 64, 99: 662}
STABLE_IQR = 0.10  # of the median, as in torch.utils.benchmark
# By which two processes of one file may differ, where one process is all there is. The largest
# difference that was seen: docs/measuring.md.
ONE_PROCESS_RATIO = 1.25
_TRIMMED = 0.2  # of the rounds in a process, at each end


@dataclass(frozen=True)
class Turn:
    """What one row gave in one round."""

    seconds: Sequence[float]  # of each call
    elapsed_seconds: float
    cpu_seconds: float  # of the worker, all its threads
    device_seconds: Sequence[float] | None = None  # by the device's own clock
    energy_joules: float | None = None  # of the whole machine
    disturbance: Disturbance | None = None
    process: int = 0  # of the row's, in the order of their start

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Turn:
        """What :func:`dataclasses.asdict` made of a turn; in version 1 all were of one process."""
        seen = values["disturbance"]
        return cls(**{**values, "disturbance": Disturbance(**seen) if seen else None})


Rounds = Mapping[int, Turn]  # by the round's number: rows leave when they are precise enough


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval.

    ``processes`` are behind it; of one process the interval is an assumption: :func:`speedup`.
    """

    value: float
    low: float
    high: float
    processes: int

    @property
    def half_width(self) -> float:
        """Half the interval, as a share of the value."""
        return (self.high - self.low) / 2 / self.value

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarize(batch_size: int, rounds: Rounds, *, warm: bool = True) -> dict[str, Any]:
    """One cell of the table, in SI units, from its raw samples round by round.

    A percentile without enough samples behind it is None. ``images_per_second`` is what was
    done in the time that went by, and not made from a percentile. ``unstable`` lists why the
    cell is not to be trusted to the last digit, the likeliest cause first: ``steal``, ``busy``,
    ``clock`` (see :class:`Disturbance`), ``cold`` (no steady speed was reached before), and
    ``spread``, an interquartile range of more than a tenth of the median. ``processes`` took part,
    and ``process_of_round`` names that of each round.

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
        "processes": len({turn.process for turn in turns}),
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
        "process_of_round": {str(number): turn.process for number, turn in rounds.items()},
    }


def rounds_of(cell: Mapping[str, Any]) -> dict[int, Turn]:
    """The rounds that a cell of ``benchmark.json`` was made from, to compute on.

    In version 1 all were of one process.
    """
    seen = cell["disturbance"]
    processes = cell.get("process_of_round", {})
    disturbance = Disturbance.from_dict(seen) if seen else None
    return {
        int(number): Turn(
            seconds,
            sum(seconds),
            cpu_seconds=0.0,
            disturbance=disturbance,
            process=processes.get(number, 0),
        )
        for number, seconds in cell["seconds"].items()
    }


def speedup(baseline: Rounds, rounds: Rounds) -> Interval | None:
    """How many times faster ``rounds`` are than ``baseline``, paired round by round.

    The ratio of the two median times in each round that both took part in, so that the machine's
    drift, which both saw, cancels. Of the two mean times where others were at work on the cores:
    what takes a core from time to time falls between the calls of a fast file and into every
    call of a slow one, so that medians move further apart than means do.

    A process has a speed of its own, by up to a quarter (Mytkowicz et al., 2009, "Producing wrong
    data without doing anything obviously wrong"; Kalibera & Jones, 2013, "Rigorous benchmarking in
    reasonable time"), which no number of rounds in it would show. So the rounds of one pair of
    processes are one observation, the mean of their logarithms without the fifth at each end, for
    one interrupted turn says nothing about a file. The 95 % interval is Student's, of these
    observations: of few as wide as so few deserve, and no narrower than it should be where now
    and then a process is slow.

    Where either side ran in one process, its own luck is in all rounds, and nothing that was
    measured bounds it. The interval is then an assumption, ``ONE_PROCESS_RATIO``, beside what the
    rounds differ by, and ``processes`` is 1.

    Returns:
        None with fewer than two rounds in common.
    """
    common = [number for number in rounds if number in baseline]
    if len(common) < 2:  # noqa: PLR2004  # a single round has no spread
        return None
    middle = np.mean if _interrupted(baseline) or _interrupted(rounds) else np.median
    ratios = {
        number: math.log(middle(baseline[number].seconds) / middle(rounds[number].seconds))
        for number in common
    }
    pairs = {number: (baseline[number].process, rounds[number].process) for number in common}
    values = [
        _trimmed_mean([ratios[number] for number in group])
        for group in without_a_process_in_common(pairs)
    ]
    value = statistics.fmean(values)
    if len(values) > 1:
        reach = _t_reach(values)
    else:
        reach = math.hypot(_t_reach(list(ratios.values())), math.log(ONE_PROCESS_RATIO))
    return Interval(math.exp(value), math.exp(value - reach), math.exp(value + reach), len(values))


def without_a_process_in_common(pairs: Mapping[int, tuple[int, int]]) -> list[list[int]]:
    """Rounds in groups of which no two were measured in the same process of either row.

    Args:
        pairs: by the round's number, the process of one row and that of the other.
    """
    groups: list[tuple[set[int], set[int], list[int]]] = []
    for number, (one, other) in pairs.items():
        ones, others, numbers = {one}, {other}, [number]
        apart = []
        for group in groups:
            if ones & group[0] or others & group[1]:
                ones, others, numbers = ones | group[0], others | group[1], group[2] + numbers
            else:
                apart.append(group)
        groups = [*apart, (ones, others, numbers)]
    return [numbers for _, _, numbers in groups]


def _t_reach(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean of two or more values, by Student's t."""
    count = len(values)
    return -float(stdtrit(count - 1, 0.025)) * statistics.stdev(values) / math.sqrt(count)


def _interrupted(rounds: Rounds) -> bool:
    """Whether others took the cores from these calls, so that some of them hold waiting."""
    disturbance = _disturbance(list(rounds.values()))
    return disturbance is not None and disturbance.interrupts()


def _trimmed_mean(values: Sequence[float]) -> float:
    """The mean without the smallest and largest fifth, of three and four without one each."""
    cut = int(_TRIMMED * len(values)) or int(len(values) > 2)  # noqa: PLR2004
    return statistics.fmean(sorted(values)[cut : len(values) - cut])


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
