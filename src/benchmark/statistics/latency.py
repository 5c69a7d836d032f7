"""From raw samples to percentiles, speed-ups and what disturbed them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from src.run.latency import Cell, Disturbance, Interval, Memory, RuntimeSpeedup, Turn

# Samples behind a percentile before it says anything, from MLPerf Inference's rules:
# https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc
LEAST_SAMPLES = {50: 1, 90: 64, 99: 662}
STABLE_IQR = 0.10  # of the median, as in torch.utils.benchmark
# By which two processes of one file may differ, where one process is all there is. The largest
# difference that was seen: docs/measuring.md.
ONE_PROCESS_RATIO = 1.25
_TRIMMED = 0.2  # of the rounds in a process, at each end


Rounds = Mapping[int, Turn]  # by the round's number: rows leave when they are precise enough


def summarize(
    batch_size: int,
    rounds: Rounds,
    *,
    warm: bool = True,
    joules_per_image: float | None = None,
    speedup: Interval | None = None,
    speedup_same_runtime: RuntimeSpeedup | None = None,
    peak_memory: Memory | None = None,
) -> Cell:
    """Return the figures at one batch size, in SI units, from the raw samples of each round.

    A percentile without enough samples behind it is None. ``images_per_second`` is the number of
    images over the time that went by; it is not made from a percentile. ``unstable`` lists why the
    cell is not to be trusted to the last digit, the likeliest cause first: ``steal``, ``busy``,
    ``clock`` (see :class:`Disturbance`), ``cold`` (no steady speed was reached before), and
    ``spread``, an interquartile range of more than a tenth of the median.

    Args:
        batch_size: images a call.
        rounds: the samples.
        warm: the warm-up reached a steady speed.
        joules_per_image: from an energy counter that is too slow for a turn; by default the sum
            over the turns.
        speedup: over the baseline.
        speedup_same_runtime: over the fp32 file that the same runtime runs.
        peak_memory: measured in a process of its own.
    """
    turns = list(rounds.values())
    samples = np.concatenate([np.asarray(turn.seconds, dtype=np.float64) for turn in turns])
    low, median, high = np.percentile(samples, [25, 50, 75])
    elapsed = sum(turn.elapsed_seconds for turn in turns)
    on_device = np.asarray([value for turn in turns for value in turn.device_seconds or ()])
    if joules_per_image is None:
        joules_per_image = _energy(turns, batch_size * len(samples))
    disturbance = _disturbance(turns)
    unstable = disturbance.causes() if disturbance else []
    if not warm:
        unstable.append("cold")
    if high - low > STABLE_IQR * median:
        unstable.append("spread")
    return Cell(
        batch_size=batch_size,
        samples=len(samples),
        rounds=len(turns),
        processes=len({turn.process for turn in turns}),
        mean_s=float(samples.mean()),
        p50_s=float(median),
        p90_s=_percentile(samples, 90),
        p99_s=_percentile(samples, 99),
        iqr_s=float(high - low),
        images_per_second=batch_size * len(samples) / elapsed,
        busy_cores=sum(turn.cpu_seconds for turn in turns) / elapsed,
        device_p50_s=_percentile(on_device, 50),
        device_p90_s=_percentile(on_device, 90),
        device_p99_s=_percentile(on_device, 99),
        joules_per_image=joules_per_image,
        stable=not unstable,
        unstable=unstable,
        disturbance=disturbance,
        speedup=speedup,
        speedup_same_runtime=speedup_same_runtime,
        seconds={
            str(number): [round(value, 7) for value in turn.seconds]
            for number, turn in rounds.items()
        },
        process_of_round={str(number): turn.process for number, turn in rounds.items()},
        peak_memory=peak_memory,
    )


def rounds_of(cell: Cell) -> dict[int, Turn]:
    """Return the rounds that a stored cell was made from, to compute on.

    In version 1 all were of one process.
    """
    processes = cell.process_of_round or {}
    return {
        int(number): Turn(
            seconds=seconds,
            elapsed_seconds=sum(seconds),
            cpu_seconds=0.0,
            disturbance=cell.disturbance,
            process=processes.get(number, 0),
        )
        for number, seconds in cell.seconds.items()
    }


def speedup(baseline: Rounds, rounds: Rounds) -> Interval | None:
    """Return how many times faster ``rounds`` are than ``baseline``, paired round by round.

    The ratio of the two median times in each round that both took part in, so that the machine's
    drift, which both saw, cancels. Where other processes used the cores it is the ratio of the two
    mean times: short preemptions rarely hit a fast call but hit every slow one, so that medians
    would overstate the speed-up.

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
    return Interval(
        value=math.exp(value),
        low=math.exp(value - reach),
        high=math.exp(value + reach),
        processes=len(values),
    )


def without_a_process_in_common(pairs: Mapping[int, tuple[int, int]]) -> list[list[int]]:
    """Return rounds in groups, no two of which were measured in the same process of either row.

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
    """Return True if others took the cores from these calls, so that some include waiting."""
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


def _energy(turns: Sequence[Turn], images: int) -> float | None:
    joules = [turn.energy_joules for turn in turns if turn.energy_joules is not None]
    return sum(joules) / images if len(joules) == len(turns) else None


def _disturbance(turns: Sequence[Turn]) -> Disturbance | None:
    disturbances = [turn.disturbance for turn in turns if turn.disturbance is not None]
    return Disturbance.over(disturbances) if disturbances else None
