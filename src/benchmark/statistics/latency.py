"""Percentiles, speed-ups and causes of instability, computed from raw samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from src.run.latency import Cell, Disturbance, Interval, Memory, RuntimeSpeedup, Turn
from src.shipped import mixture

# Smallest number of samples for each percentile, from MLPerf Inference's rules:
# https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc
LEAST_SAMPLES = {50: 1, 90: 64, 99: 662}
STABLE_IQR = 0.10  # of the median, as in torch.utils.benchmark
# Assumed ratio between two processes of one file, used if only one process was timed. It is the
# largest that was observed: docs/measuring.md.
ONE_PROCESS_RATIO = 1.25
# Half the width of an interval, as a logarithm. Student's t of two far observations could exceed
# what a number holds, and an interval of a factor of a million says no less: nothing.
WIDEST = math.log(1e6)
_TRIMMED = 0.2  # share of the rounds in a process that is cut off at each end


# By number of the round. Numbers may be missing: a precise row is no longer timed.
Rounds = Mapping[int, Turn]


def summarize(
    batch_size: int,
    rounds: Rounds,
    *,
    warm: bool = True,
    joules_per_image: float | None = None,
    speedup: Interval | None = None,
    speedup_same_runtime: RuntimeSpeedup | None = None,
    peak_memory: Memory | None = None,
    files: Sequence[Sequence[int]] | None = None,
) -> Cell:
    """Return the figures at one batch size, in SI units, from the raw samples of each round.

    A percentile with too few samples is None; the samples are the files where these are known.
    ``images_per_second`` is the number of images over the elapsed time; it is not computed from a
    percentile. ``unstable`` lists the reasons why the figures are less precise than usual, the
    likeliest first: ``steal``, ``busy``, ``clock`` (see :class:`Disturbance`), ``cold`` (the
    warm-up reached no steady speed), and ``spread`` (an interquartile range of more than a tenth
    of the median).

    Args:
        batch_size: images per call.
        rounds: the samples.
        warm: the warm-up reached a steady speed.
        joules_per_image: measured over a longer time if the energy counter is too slow for a turn;
            by default computed from the energy of the turns.
        speedup: over the baseline.
        speedup_same_runtime: over the fp32 file of the same runtime.
        peak_memory: measured in a separate process.
        files: image files of each turn, in the order of a pass, each of which counts once (see
            :mod:`src.shipped.mixture`); None where each call counts once.
    """
    turns = list(rounds.values())
    seconds = [turn.seconds for turn in turns]
    weights, independent = mixture.weights_of([len(calls) for calls in seconds], files)
    samples, weight = (np.concatenate(parts, dtype=np.float64) for parts in (seconds, weights))
    low, median, high = (mixture.percentile(samples, weight, part) for part in (25, 50, 75))
    elapsed = mixture.total([turn.elapsed_seconds for turn in turns], seconds, weights)
    busy = mixture.total([turn.cpu_seconds for turn in turns], seconds, weights)
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
        mean_s=mixture.mean(samples, weight),
        p50_s=median,
        p90_s=_percentile(samples, 90, weight, independent),
        p99_s=_percentile(samples, 99, weight, independent),
        iqr_s=high - low,
        images_per_second=batch_size * independent / elapsed,
        busy_cores=busy / elapsed,
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
    """Return the rounds that a stored cell was computed from.

    In version 1 of the file, all rounds were of one process.
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

    In each round that has both rows, this is the ratio of the two median times, so the drift of the
    machine, which affects both, cancels. If other processes used the cores, it is the ratio of the
    two mean times: short preemptions rarely hit a fast call but hit every slow one, so that medians
    would overstate the speed-up.

    The speed differs by up to a quarter between processes of one file (Mytkowicz et al., 2009,
    "Producing wrong data without doing anything obviously wrong"; Kalibera & Jones, 2013, "Rigorous
    benchmarking in reasonable time"). No number of rounds in one process shows this. So the rounds
    of one pair of processes are one observation: the mean of the logarithms of their ratios,
    without the smallest and largest fifth, because one interrupted turn says nothing about the
    file. The 95 % interval is Student's t interval of these observations. It is wide for few
    observations, and not too narrow if a process is slow now and then.

    If either row ran in one process, the speed of that process affects all rounds, and the
    measurement cannot bound the effect. The interval then combines the assumption
    ``ONE_PROCESS_RATIO`` with the differences between the rounds, and ``processes`` is 1.

    Returns:
        The interval; None with fewer than two rounds in common.
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
        _trimmed_mean([ratios[number] for number in group]) for group in independent_groups(pairs)
    ]
    value = statistics.fmean(values)
    if len(values) > 1:
        reach = _t_reach(values)
    else:
        reach = math.hypot(_t_reach(list(ratios.values())), math.log(ONE_PROCESS_RATIO))
    reach = min(reach, WIDEST)
    return Interval(
        value=math.exp(value),
        low=math.exp(value - reach),
        high=math.exp(value + reach),
        processes=len(values),
    )


def call_seconds(cell: Cell) -> Interval | None:
    """Return the time of a call with its 95 % interval; None with fewer than two rounds.

    It is the speed-up over calls of one second in processes of their own. So the same rules hold as
    for a speed-up: the processes are the observations, and means replace medians if other processes
    used the cores. A slow phase of the machine that lasted for the whole measurement is not in it.
    """
    rounds = rounds_of(cell)
    one_second = {
        number: Turn(seconds=[1.0], elapsed_seconds=1.0, cpu_seconds=0.0, process=number)
        for number in rounds
    }
    rate = speedup(one_second, rounds)
    if rate is None:
        return None
    return Interval(
        value=1 / rate.value, low=1 / rate.high, high=1 / rate.low, processes=rate.processes
    )


def independent_groups(pairs: Mapping[int, tuple[int, int]]) -> list[list[int]]:
    """Return rounds in independent groups: no two groups share a process of either row.

    Args:
        pairs: by number of the round, the process of one row and that of the other row.
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
    """Return half the 95 % interval of the mean of two or more values, by Student's t."""
    count = len(values)
    return -float(stdtrit(count - 1, 0.025)) * statistics.stdev(values) / math.sqrt(count)


def _interrupted(rounds: Rounds) -> bool:
    """Return True if others used the cores during these calls, so that some calls waited."""
    disturbance = _disturbance(list(rounds.values()))
    return disturbance is not None and disturbance.interrupts()


def _trimmed_mean(values: Sequence[float]) -> float:
    """Return the mean without the smallest and largest fifth; of 3 or 4 values without one each."""
    cut = int(_TRIMMED * len(values)) or int(len(values) > 2)  # noqa: PLR2004
    return statistics.fmean(sorted(values)[cut : len(values) - cut])


def _percentile(
    samples: NDArray[np.float64],
    percent: int,
    weights: NDArray[np.float64] | None = None,
    independent: int | None = None,
) -> float | None:
    count = len(samples) if independent is None else independent
    if count < LEAST_SAMPLES[percent]:
        return None
    return mixture.percentile(samples, np.ones(count) if weights is None else weights, percent)


def _energy(turns: Sequence[Turn], images: int) -> float | None:
    joules = [turn.energy_joules for turn in turns if turn.energy_joules is not None]
    return sum(joules) / images if len(joules) == len(turns) else None


def _disturbance(turns: Sequence[Turn]) -> Disturbance | None:
    disturbances = [turn.disturbance for turn in turns if turn.disturbance is not None]
    return Disturbance.over(disturbances) if disturbances else None
