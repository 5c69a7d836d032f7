"""Every image file counts once, however often its turns were fast enough to repeat it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from src.benchmark.statistics import pipeline as statistics
from src.benchmark.statistics.latency import LEAST_SAMPLES
from src.run.pipeline import STAGES, Pipeline, PipelineTurn, Stage
from src.shipped import latencies, mixture

TURN_SECONDS, NETWORK = 0.03, 0.001
PARTS: dict[Stage, float] = {"resize": 0.0, "convert": 0.0, "infer": NETWORK, "label": 0.0}


def turn(files: Sequence[int], decode: Sequence[float], *, tell: bool = True) -> PipelineTurn:
    """Return a turn of whole passes over files whose decoding takes planted seconds."""
    one = [decode[file] + NETWORK for file in files]
    passes = max(1, int(np.ceil(TURN_SECONDS / sum(one) - 1e-9)))
    stages = {stage: [PARTS[stage]] * len(one) * passes for stage in STAGES if stage != "decode"}
    stages["decode"] = [decode[file] for file in files] * passes
    return PipelineTurn(
        seconds=one * passes,
        stages=stages,
        elapsed_seconds=1.1 * sum(one) * passes,  # a tenth is between the calls
        cpu_seconds=2 * sum(one) * passes,
        process=0,
        files=list(files) if tell else None,
    )


def in_order(decode: Sequence[float], rounds: int, *, tell: bool = True) -> dict[int, PipelineTurn]:
    """Return rounds of four files each, as a measurement takes them."""
    count = len(decode)
    return {
        number: turn([(4 * number + index) % count for index in range(4)], decode, tell=tell)
        for number in range(rounds)
    }


def shipped(rounds: dict[int, PipelineTurn]) -> dict[int, latencies.Turn]:
    return {
        number: latencies.Turn(
            one.seconds,
            one.elapsed_seconds,
            one.cpu_seconds,
            one.process,
            stages={str(stage): seconds for stage, seconds in one.stages.items()},
            files=one.files,
        )
        for number, one in rounds.items()
    }


def figures(rounds: dict[int, PipelineTurn]) -> Pipeline:
    """Return the report's figures, which those of a bundle have to agree with."""
    made = statistics.figures("pillow", rounds, None, None, None)
    there = latencies.cell(shipped(rounds), warm=True)
    for name in ("mean_s", "p50_s", "p90_s", "p99_s", "iqr_s", "images_per_second", "busy_cores"):
        assert there[name] == pytest.approx(getattr(made.whole, name)), name
    for stage, times in latencies.stage_times(shipped(rounds), STAGES).items():
        expected = made.stages[stage]  # type: ignore[index]
        assert (times["mean_s"], times["p50_s"]) == pytest.approx((expected.mean_s, expected.p50_s))
    assert sum(made.stages[stage].mean_s for stage in STAGES) == pytest.approx(made.whole.mean_s)
    return made


def test_files_that_are_fast_to_decode_count_no_more_than_slow_ones() -> None:
    decode = [0.002] * 48 + [0.060] * 16
    mean = float(np.mean(decode)) + NETWORK
    made = figures(in_order(decode, 16))
    assert made.whole.samples > 64
    assert made.whole.mean_s == pytest.approx(mean) == pytest.approx(0.0175)
    assert made.whole.images_per_second == pytest.approx(1 / (1.1 * mean))
    assert made.cpu_seconds_per_image == pytest.approx(2 * mean)
    assert made.whole.busy_cores == pytest.approx(2 / 1.1)
    assert made.stages["decode"].mean_s == pytest.approx(np.mean(decode))
    assert made.whole.p50_s == pytest.approx(0.003)
    assert made.whole.p90_s == pytest.approx(0.061)
    assert made.files == 64
    # A measurement that does not tell the files counts each call, as it always did.
    unknown = figures(in_order(decode, 16, tell=False))
    assert unknown.files is None
    assert unknown.whole.mean_s < 0.8 * mean


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("files", "rounds"), [(64, 16), (64, 21), (6, 5), (4, 3), (24, 6)])
def test_the_mixture_of_files_is_the_same_whatever_the_speed_of_a_turn(
    seed: int, files: int, rounds: int
) -> None:
    decode = np.random.default_rng(seed).lognormal(-6, 1.5, files).tolist()
    made = figures(in_order(decode, rounds))
    assert made.files == files
    assert made.whole.mean_s == pytest.approx(np.mean(decode) + NETWORK)
    assert made.whole.images_per_second == pytest.approx(1 / (1.1 * (np.mean(decode) + NETWORK)))


def test_each_turn_of_a_file_counts_alike() -> None:
    slow, fast = turn([0], [0.060]), turn([0], [0.002])  # the machine's speed changed
    assert len(fast.seconds) > len(slow.seconds) == 1
    assert figures({0: slow, 1: fast}).whole.mean_s == pytest.approx((0.061 + 0.003) / 2)


@pytest.mark.parametrize("percent", [90, 99])
def test_a_percentile_needs_as_many_different_files_as_others_need_calls(percent: int) -> None:
    for files, is_known in ((LEAST_SAMPLES[percent], True), (LEAST_SAMPLES[percent] - 1, False)):
        turns = [turn([file], [0.003] * files) for file in [*range(files)] * 2]
        made = figures(dict(enumerate(turns)))
        assert made.whole.samples > 10 * files
        assert (getattr(made.whole, f"p{percent}_s") is not None) == is_known
    assert latencies.LEAST_SAMPLES == LEAST_SAMPLES


def test_a_weighted_percentile_is_numpys_where_weights_are_equal_and_follows_them() -> None:
    samples = np.random.default_rng(0).lognormal(0, 1, 300)
    for percent in (25, 50, 90, 99):
        expected = np.percentile(samples, percent)
        assert mixture.percentile(samples, np.full(300, 0.25), percent) == expected
        almost = np.full(300, 0.25)
        almost[0] += 1e-9
        assert mixture.percentile(samples, almost, percent) == pytest.approx(expected)
    heavy = np.where(samples > np.median(samples), 3.0, 1.0)
    # Half of the weight is below the middle of the heavy samples' first two thirds.
    expected = np.percentile(samples, 100 * (1 / 2 + 1 / 2 * 1 / 3))
    assert mixture.percentile(samples, heavy, 50) == pytest.approx(expected, rel=0.02)
