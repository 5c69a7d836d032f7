"""The figures that a bundle computes without Lightship are those of Lightship's report."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import stdtrit

from src.benchmark.statistics import latency, paired, shares
from src.benchmark.statistics.divergence import Distance, ExpectedCalibrationError
from src.benchmark.statistics.rounding import LIMIT, RESOLUTION, Rounding
from src.benchmark.statistics.scorecard import Scorecard
from src.run import latency as records
from src.shipped import accuracy, latencies, stages
from src.shipped.latencies import Disturbance, Turn


def tables(count: int) -> list[tuple[int, int, int]]:
    """Random numbers of lost, gained and all images, the extreme ones among them."""
    generator = np.random.default_rng(0)
    chosen = [(0, 0, 1), (1, 0, 1), (0, 1, 1), (64, 0, 64), (0, 0, 512), (3, 3, 6)]
    while len(chosen) < count:
        images = int(generator.integers(1, 600))
        flips = int(generator.integers(0, images + 1) * generator.random())
        lost = int(generator.integers(0, flips + 1))
        chosen.append((lost, flips - lost, images))
    return chosen


def test_the_intervals_and_tests_of_a_bundle_are_the_reports_on_random_tables() -> None:
    for lost, gained, images in tables(300):
        assert accuracy.score_interval(lost, gained, images) == pytest.approx(
            paired.score_interval(lost, gained, images), abs=1e-9
        )
        assert accuracy.mcnemar_p(lost, gained) == pytest.approx(
            paired.mcnemar_p(lost, gained), abs=1e-12
        )
        assert accuracy.wilson(lost, images) == pytest.approx(shares.wilson(lost / images, images))


@pytest.mark.parametrize("max_drop", [0.0, 0.01, 0.2])
def test_the_verdict_of_a_bundle_is_the_reports_on_random_tables(max_drop: float) -> None:
    verdicts = set()
    for lost, gained, images in tables(60):
        expected = paired.non_inferiority(lost, gained, images, max_drop)
        found = accuracy.non_inferiority(lost, gained, images, max_drop)
        assert found == (expected.verdict, expected.images_needed), (lost, gained, images)
        verdicts.add(expected.verdict)
    assert len(verdicts) > 1


@pytest.mark.parametrize("noise", [0.0, 1e-7, 1e-3, 0.5])
def test_the_distances_of_logits_are_the_reports(noise: float) -> None:
    generator = np.random.default_rng(3)
    before = generator.normal(0, 5, (40, 7)).astype(np.float32)
    before[3] = 2.0  # no spread
    after = (before + generator.normal(0, noise, before.shape)).astype(np.float32)
    labels = generator.integers(0, 7, 40)
    distance, rounding, calibration = Distance(), Rounding(), ExpectedCalibrationError()
    distance.add(after, before)
    rounding.add(after, before)
    calibration.add(after, labels)
    drift, of_distance, of_rounding = (
        accuracy.drift(after, before),
        distance.result(),
        rounding.result(),
    )
    assert drift.largest == pytest.approx(of_distance.max_abs_logit_diff)
    assert drift.p99 == pytest.approx(of_distance.p99_abs_logit_diff)
    assert drift.sqnr_db == pytest.approx(of_distance.logit_sqnr_db)
    assert drift.kl == pytest.approx(of_distance.kl, abs=1e-15)
    assert drift.rounding_error == of_rounding.rounding_error
    assert drift.beyond_rounding == of_rounding.beyond_rounding
    assert accuracy.calibration_error(after, labels) == pytest.approx(calibration.error())
    assert (accuracy.ROUNDING, accuracy.RESOLUTION) == (LIMIT, RESOLUTION)


def test_the_accuracy_and_its_change_are_the_scorecards() -> None:
    generator = np.random.default_rng(4)
    labels = generator.integers(0, 10, 90)
    before = generator.normal(0, 1, (90, 10)).astype(np.float32)
    before[np.arange(90), labels] += 2
    after = (before + generator.normal(0, 0.7, before.shape)).astype(np.float32)
    card = Scorecard([str(index) for index in range(10)])
    card.add(after, labels, before)
    expected, verdict = card.result(0.01)
    assert expected.paired is not None
    changed = accuracy.changes(after.argmax(axis=1), before.argmax(axis=1), labels, 0.01)
    assert accuracy.top5_share(after, labels) == expected.top5
    assert (changed.lost, changed.gained) == (expected.paired.lost, expected.paired.gained)
    assert changed.flips == len(expected.paired.flips) > 0
    assert changed.delta == expected.paired.delta_top1
    assert (changed.low, changed.high) == pytest.approx(
        (expected.paired.delta_low, expected.paired.delta_high)
    )
    assert changed.verdict == verdict


def rounds(
    seed: int, processes: int, others: float, cores: int | None = None
) -> tuple[dict[int, Turn], latency.Rounds]:
    """The same random rounds for either program; ``others`` cores were used by others."""
    generator = np.random.default_rng(seed)
    shipped, ours = {}, {}
    for number in range(4 * processes):
        process = number // 4
        level = 0.002 * (1 + 0.1 * generator.normal())
        seconds = np.round(level * np.exp(generator.normal(0, 0.1, 30)), 7).tolist()
        frequency = float(2e9 * (1 + 0.05 * generator.random()))
        values = (0.1, 0.001, others, frequency)
        counts = {"cores": cores, "threads": cores and 4}
        shipped[number] = Turn(
            seconds, sum(seconds), 2 * sum(seconds), process, Disturbance(*values, **counts)
        )
        disturbance = records.Disturbance(
            seconds=values[0],
            steal_share=values[1],
            other_cores=values[2],
            frequency_hz=values[3],
            **counts,
        )
        ours[number] = records.Turn(
            seconds=seconds,
            elapsed_seconds=sum(seconds),
            cpu_seconds=2 * sum(seconds),
            disturbance=disturbance,
            process=process,
        )
    return shipped, ours


@pytest.mark.parametrize(
    ("others", "cores"),
    [(0.0, None), (0.5, None), (0.5, 4), (0.0, 4), (0.5, 64), (0.5, 5), (0.6, 5), (30.0, 64)],
)
@pytest.mark.parametrize("processes", [1, 2, 5, 12])
def test_the_times_of_a_bundle_are_summarised_as_in_the_report(
    processes: int, others: float, cores: int | None
) -> None:
    for seed in range(5):
        one, ours = rounds(seed, processes, others, cores)
        two, our_others = rounds(seed + 100, processes, others, cores)
        expected = latency.summarize(1, ours, warm=seed % 2 == 0)
        found = latencies.cell(one, warm=seed % 2 == 0)
        for name, value in found.items():
            if name == "disturbance":
                assert expected.disturbance is not None
                for part, number in value.items():
                    assert number == pytest.approx(getattr(expected.disturbance, part))
            elif isinstance(value, float):
                assert value == pytest.approx(getattr(expected, name)), name
            else:
                assert value == getattr(expected, name), name
        for interval, wanted in (
            (latencies.call_seconds(one), latency.call_seconds(expected)),
            (latencies.speedup(two, one), latency.speedup(our_others, ours)),
        ):
            assert interval is not None
            assert wanted is not None
            assert interval == pytest.approx(
                (wanted.value, wanted.low, wanted.high, wanted.processes)
            )


def test_students_t_of_a_bundle_is_scipys() -> None:
    for freedom in [*range(1, 40), 199, 1000]:
        assert latencies.student_t(freedom) == pytest.approx(-stdtrit(freedom, 0.025), rel=1e-9)


def test_a_bundle_and_the_report_name_the_same_stages_and_limits() -> None:
    from src.benchmark import schedule, turn
    from src.benchmark.options import BenchmarkOptions
    from src.benchmark.row_pipeline import FILES
    from src.run.pipeline import STAGES
    from src.shipped import measure, session
    from src.worker import idle, memory_peak, pipeline, stopwatch

    options = BenchmarkOptions()
    assert stages.STAGES == STAGES
    assert (options.rounds, schedule.LEAST_ROUNDS) == (measure.ROUNDS, measure.LEAST_ROUNDS)
    assert (options.samples, options.turn_seconds) == (measure.SAMPLES, measure.TURN_SECONDS)
    assert (
        options.processes,
        options.warmup_seconds,
    ) == (measure.PROCESSES, measure.WARMUP_SECONDS)
    assert (measure.WARM, measure.FILES) == (turn.WARM, FILES)
    assert (session.WINDOW_CALLS, session.WINDOW_SECONDS) == (
        stopwatch.WINDOW_CALLS,
        stopwatch.WINDOW_SECONDS,
    )
    assert session.TURN_WARMUP_SECONDS == stopwatch.TURN_WARMUP_SECONDS
    assert (session.LEAST_CALLS, session.MOST_CALLS, session.STEADY) == (
        memory_peak.LEAST_CALLS,
        memory_peak.MOST_CALLS,
        memory_peak.STEADY,
    )
    assert session.MOST_UNEXPLAINED == pipeline.MOST_UNEXPLAINED
    assert (session.IDLE_CHECK_SECONDS, session.IDLE_SHARE, session.IDLE_CEILING_SECONDS) == (
        idle._CHECK_SECONDS,
        idle._SHARE,
        idle._CEILING_SECONDS,
    )
    assert session.IDLE_LOOKS == idle._LOOKS
    for name in ("STEAL_SHARE", "OTHER_CORES", "FREQUENCY_SPREAD", "BUSY_SHARE"):
        assert getattr(latencies, name) == getattr(records, name)
    assert latencies.LEAST_SAMPLES == latency.LEAST_SAMPLES


@pytest.mark.parametrize("number", range(6))
def test_two_files_take_turns_in_the_order_of_the_report(number: int) -> None:
    from src.benchmark import schedule
    from src.shipped.measure import rotated

    order: Callable[..., list[str]] = schedule.rotated  # type: ignore[assignment]  # any rows
    assert rotated(["A", "B"], number) == order(["A", "B"], number)
