"""Figures of timed calls, computed from the samples of each round. It needs numpy only.

The rules are those of Lightship's report, and its tests hold both to the same figures:
``src/benchmark/statistics/latency.py`` has the reasons. The rounds of a process are one
observation, an interval is Student's t over processes, every image file of a pipeline counts once
(``mixture.py``), a percentile with too few samples is missing, and means replace medians where
other programs used the cores.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from . import mixture
else:  # in the folder of a model
    import mixture

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]  # an object of a JSON file

LEAST_SAMPLES = {50: 1, 90: 64, 99: 662}
STABLE_IQR = 0.10
ONE_PROCESS_RATIO = 1.25  # assumed between two processes if only one was timed
STEAL_SHARE = 0.02
OTHER_CORES = 0.15
FREQUENCY_SPREAD = 0.05
BUSY_SHARE = 0.5
_TRIMMED = 0.2  # share of the rounds in a process that is cut off at each end
_LEAST_ROUNDS = 2


class Disturbance(NamedTuple):
    """CPU time that others used during one or more turns."""

    seconds: float
    steal_share: float
    other_cores: float
    frequency_hz: float | None
    frequency_spread: float | None = None
    cores: int | None = None
    threads: int | None = None

    @property
    def is_busy(self) -> bool:
        """True if others used cores, and left no physical one to each thread for sure."""
        if self.other_cores <= OTHER_CORES:
            return False
        if self.cores is None or self.threads is None:
            return True
        return self.other_cores + self.threads > BUSY_SHARE * self.cores

    @property
    def interrupts(self) -> bool:
        """True if others used the cores so much that calls had to wait."""
        return self.steal_share > STEAL_SHARE or self.is_busy


class Turn(NamedTuple):
    """The calls of one round."""

    seconds: Sequence[float]
    elapsed_seconds: float
    cpu_seconds: float
    process: int
    disturbance: Disturbance | None = None
    stages: Mapping[str, Sequence[float]] | None = None
    files: Sequence[int] | None = None  # of a pass of a pipeline, in order


class Interval(NamedTuple):
    """A value with its 95 % interval over a number of processes."""

    value: float
    low: float
    high: float
    processes: int


Rounds = Mapping[int, Turn]


def cell(rounds: Rounds, *, warm: bool) -> Json:
    """Return the figures of calls with one image, as a ``benchmark.json`` has them."""
    turns = list(rounds.values())
    seconds = [turn.seconds for turn in turns]
    weights, independent = _weights(turns)
    samples, weight = (np.concatenate(parts, dtype=np.float64) for parts in (seconds, weights))
    low, median, high = (mixture.percentile(samples, weight, part) for part in (25, 50, 75))
    elapsed = mixture.total([turn.elapsed_seconds for turn in turns], seconds, weights)
    busy = mixture.total([turn.cpu_seconds for turn in turns], seconds, weights)
    disturbed = disturbance(turns)
    unstable = _causes(disturbed)
    if not warm:
        unstable.append("cold")
    if high - low > STABLE_IQR * median:
        unstable.append("spread")
    return {
        "batch_size": 1,
        "samples": len(samples),
        "rounds": len(turns),
        "processes": len({turn.process for turn in turns}),
        "mean_s": mixture.mean(samples, weight),
        "p50_s": median,
        "p90_s": percentile(samples, weight, independent, 90),
        "p99_s": percentile(samples, weight, independent, 99),
        "iqr_s": high - low,
        "images_per_second": independent / elapsed,
        "busy_cores": busy / elapsed,
        "device_p50_s": None,
        "joules_per_image": None,
        "stable": not unstable,
        "unstable": unstable,
        "disturbance": disturbed._asdict() if disturbed else None,
        "speedup": None,
        "speedup_same_runtime": None,
        "seconds": {
            str(number): [round(value, 7) for value in turn.seconds]
            for number, turn in rounds.items()
        },
        "process_of_round": {str(number): turn.process for number, turn in rounds.items()},
    }


def stage_times(rounds: Rounds, stages: Sequence[str]) -> dict[str, Json]:
    """Return the time of each stage in the same calls as the whole."""
    times = {}
    weight = np.concatenate(_weights([turn for turn in rounds.values() if turn.stages])[0])
    for stage in stages:
        by_round = {number: turn.stages[stage] for number, turn in rounds.items() if turn.stages}
        samples = np.concatenate([np.asarray(values) for values in by_round.values()])
        times[stage] = {
            "mean_s": mixture.mean(samples, weight),
            "p50_s": mixture.percentile(samples, weight, 50),
            "seconds": {
                str(number): [round(max(value, 0.0), 7) for value in values]
                for number, values in by_round.items()
            },
        }
    return times


def speedup(baseline: Rounds, rounds: Rounds) -> Interval | None:
    """Return how many times faster ``rounds`` are, paired round by round.

    Both have one process for each process number, as two rows that are renewed together. None with
    fewer than two rounds in common.
    """
    common = [number for number in rounds if number in baseline]
    if len(common) < _LEAST_ROUNDS:
        return None
    is_disturbed = any(_interrupted(turns) for turns in (baseline, rounds))
    middle = np.mean if is_disturbed else np.median
    logs: dict[tuple[int, int], list[float]] = {}
    for number in common:
        one, other = baseline[number], rounds[number]
        ratio = math.log(middle(one.seconds) / middle(other.seconds))
        logs.setdefault((one.process, other.process), []).append(ratio)
    values = [_trimmed_mean(group) for group in logs.values()]
    value = statistics.fmean(values)
    if len(values) > 1:
        reach = _t_reach(values)
    else:
        reach = math.hypot(_t_reach(next(iter(logs.values()))), math.log(ONE_PROCESS_RATIO))
    return Interval(math.exp(value), math.exp(value - reach), math.exp(value + reach), len(values))


def call_seconds(rounds: Rounds) -> Interval | None:
    """Return the time of a call with its interval over processes; None with one round."""
    second = {number: Turn([1.0], 1.0, 0.0, turn.process) for number, turn in rounds.items()}
    rate = speedup(second, rounds)
    return rate and Interval(1 / rate.value, 1 / rate.high, 1 / rate.low, rate.processes)


def percentile(samples: Array, weights: Array, independent: int, percent: int) -> float | None:
    """Return a percentile; None with too few independent samples (MLPerf Inference's rules)."""
    if independent < LEAST_SAMPLES[percent]:
        return None
    return mixture.percentile(samples, weights, percent)


def _weights(turns: Sequence[Turn]) -> tuple[list[Array], int]:
    """Return the weight of each call, and the number of independent samples."""
    known = [turn.files for turn in turns if turn.files is not None]
    files = known if len(known) == len(turns) else None
    return mixture.weights_of([len(turn.seconds) for turn in turns], files)


def disturbance(turns: Sequence[Turn]) -> Disturbance | None:
    """Combine the disturbances of several turns; None if none is known."""
    known = [turn.disturbance for turn in turns if turn.disturbance is not None]
    if not known:
        return None
    total = sum(one.seconds for one in known)
    frequencies = [one.frequency_hz for one in known if one.frequency_hz is not None]
    mean = statistics.fmean(frequencies) if frequencies else None
    return Disturbance(
        seconds=total,
        steal_share=sum(one.steal_share * one.seconds for one in known) / total,
        other_cores=max(0.0, sum(one.other_cores * one.seconds for one in known) / total),
        frequency_hz=mean,
        frequency_spread=(max(frequencies) - min(frequencies)) / mean if mean else None,
        cores=_known([one.cores for one in known], min),
        threads=_known([one.threads for one in known], max),
    )


def _known(counts: Sequence[int | None], choose: Callable[[list[int]], int]) -> int | None:
    known = [count for count in counts if count is not None]
    return choose(known) if known and len(known) == len(counts) else None


def student_t(freedom: int) -> float:
    """Return the t with 95 % of Student's distribution between -t and t.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
    """
    low, high = 0.0, math.pi / 2  # of the angle atan(t / sqrt(freedom))
    while low < (angle := (low + high) / 2) < high:
        low, high = (angle, high) if _within(angle, freedom) < 0.95 else (low, angle)  # noqa: PLR2004
    return math.tan(high) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Return the probability between -t and t."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for number in range((freedom - 1) // 2 if odd else freedom // 2):
        total += term
        step = 2 * number + 1 + odd
        term *= cosine * cosine * step / (step + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _t_reach(values: Sequence[float]) -> float:
    """Return half the 95 % interval of the mean of two or more values."""
    return student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def _interrupted(rounds: Rounds) -> bool:
    disturbed = disturbance(list(rounds.values()))
    return disturbed is not None and disturbed.interrupts


def _trimmed_mean(values: Sequence[float]) -> float:
    cut = int(_TRIMMED * len(values)) or int(len(values) > _LEAST_ROUNDS)
    return statistics.fmean(sorted(values)[cut : len(values) - cut])


def _causes(disturbed: Disturbance | None) -> list[str]:
    if disturbed is None:
        return []
    exceeded = {
        "steal": disturbed.steal_share > STEAL_SHARE,
        "busy": disturbed.is_busy,
        "clock": (disturbed.frequency_spread or 0) > FREQUENCY_SPREAD,
    }
    return [cause for cause, is_exceeded in exceeded.items() if is_exceeded]
