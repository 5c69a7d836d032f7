from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binomtest

from src.benchmark.statistics.paired import mcnemar_p, non_inferiority, score_interval

Z95 = 1.959963984540054  # two-sided 95 %
Z90 = 1.6448536269514722  # two-sided 90 %, one-sided 95 %


def score(lost: int, gained: int, images: int, delta: float) -> float:
    """Tango's statistic, its rate of losses from the likelihood instead of the closed form."""

    def unlikelihood(rate: float) -> float:
        same = images - lost - gained
        return -float(
            xlogy(lost, rate) + xlogy(gained, rate + delta) + xlogy(same, 1 - 2 * rate - delta)
        )

    limits = (max(0.0, -delta), (1 - delta) / 2)
    rate = minimize_scalar(unlikelihood, bounds=limits, options={"xatol": 1e-12}).x
    variance = images * (2 * rate + delta * (1 - delta))
    return float((gained - lost - images * delta) / np.sqrt(variance))


def test_the_interval_is_the_published_one() -> None:
    # Fagerland, Lydersen & Laake, "Recommended tests and confidence intervals for paired binomial
    # proportions", Statistics in Medicine 33 (2014): 1 and 7 discordant pairs of 21.
    assert score_interval(lost=7, gained=1, images=21) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize("table", [(7, 1, 21), (3, 0, 40), (12, 30, 500), (5, 5, 10), (1, 2, 9)])
def test_the_score_is_z_at_both_bounds(table: tuple[int, int, int]) -> None:
    lower, upper = score_interval(*table)
    assert score(*table, lower) == pytest.approx(Z95, abs=1e-4)
    assert score(*table, upper) == pytest.approx(-Z95, abs=1e-4)


@pytest.mark.parametrize("images", [1, 10, 1000, 10**6])
def test_corners_have_the_bounds_that_are_worked_out_by_hand(images: int) -> None:
    square = Z95**2
    none = square / (images + square)
    assert score_interval(0, 0, images) == pytest.approx((-none, none), rel=1e-9)
    # All lost: the variance is n (1 - delta^2), so n (1 + delta) = z^2 (1 - delta).
    upper = (square - images) / (square + images)
    assert score_interval(images, 0, images) == pytest.approx((-1, upper), rel=1e-9)
    assert score_interval(0, images, images) == pytest.approx((-upper, 1), rel=1e-9)


def test_with_many_images_it_is_the_interval_of_wald() -> None:
    lower, upper = score_interval(20_000, 30_000, 10**6)
    half = Z95 * np.sqrt(0.05 - 0.01**2) / 1000
    assert (lower, upper) == pytest.approx((0.01 - half, 0.01 + half), abs=1e-6)


def test_an_interval_is_the_same_where_denormal_numbers_are_flushed() -> None:
    expected = score_interval(0, 0, 540)
    torch.set_flush_denormal(True)  # as a training does
    try:
        interval = score_interval(0, 0, 540)
    finally:
        torch.set_flush_denormal(False)
    assert interval == pytest.approx(expected, rel=1e-9)
    assert interval[0] < -0.007
    assert interval[1] > 0.007


def test_each_interval_of_a_small_table_holds_its_delta_and_mirrors() -> None:
    for images in range(1, 9):
        for lost in range(images + 1):
            for gained in range(images + 1 - lost):
                lower, upper = score_interval(lost, gained, images)
                assert -1 <= lower <= (gained - lost) / images <= upper <= 1
                assert lower < upper
                assert score_interval(gained, lost, images) == (-upper, -lower)


@pytest.mark.parametrize("rates", [(0.10, 0.05), (0.02, 0.02), (0.30, 0.05)])
def test_the_interval_covers_the_truth_as_often_as_it_says(rates: tuple[float, float]) -> None:
    interval = cache(score_interval)
    generator = np.random.default_rng(0)
    tables = generator.multinomial(80, [*rates, 1 - sum(rates)], size=4000)
    bounds = [interval(int(lost), int(gained), 80) for lost, gained, _ in tables]
    covered = np.mean([lower <= rates[1] - rates[0] <= upper for lower, upper in bounds])
    assert 0.935 < covered < 0.97


@pytest.mark.parametrize("table", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_a_table_that_cannot_be_is_refused(table: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"{table[0]} lost and {table[1]} gained"):
        score_interval(*table)


def test_mcnemar_is_the_binomial_worked_out_by_hand() -> None:
    assert mcnemar_p(0, 0) == 1
    assert mcnemar_p(7, 1) == mcnemar_p(1, 7) == pytest.approx(2 * (1 + 8) / 2**8)
    assert mcnemar_p(4, 4) == pytest.approx(1)
    assert mcnemar_p(40, 90) == pytest.approx(binomtest(90, 130).pvalue)


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [(5, 5, "pass"), (20, 0, "pass"), (80, 60, "inconclusive"), (200, 50, "fail")],
)
def test_a_drop_is_judged_by_its_one_sided_bounds(lost: int, gained: int, verdict: str) -> None:
    judgement = non_inferiority(lost, gained, 10_000, max_drop=0.003)
    assert judgement.verdict == verdict
    assert (judgement.lower, judgement.upper) == score_interval(lost, gained, 10_000, 0.90)
    assert (judgement.images_needed is None) == (verdict != "inconclusive")


def test_without_flips_the_images_needed_are_those_worked_out_by_hand() -> None:
    # z^2 / (n + z^2) is at most 0.01 from n = 99 z^2 = 267.8 on.
    assert non_inferiority(0, 0, 10, max_drop=0.01).images_needed == 268
    assert non_inferiority(0, 0, 267, max_drop=0.01).verdict == "inconclusive"
    assert non_inferiority(0, 0, 268, max_drop=0.01).verdict == "pass"


@pytest.mark.parametrize(
    ("lost", "gained", "max_drop", "settled"),
    [(6, 5, 0.02, "pass"), (4, 1, 0.02, "fail"), (2, 2, 0.01, "pass"), (8, 2, 0.05, "fail")],
)
def test_the_images_needed_settle_it_four_times_out_of_five(
    lost: int, gained: int, max_drop: float, settled: str
) -> None:
    judgement = non_inferiority(lost, gained, 100, max_drop)
    assert judgement.verdict == "inconclusive"
    needed = judgement.images_needed
    assert needed is not None
    generator = np.random.default_rng(0)
    rates = [lost / 100, gained / 100, 1 - (lost + gained) / 100]
    drawn = generator.multinomial(needed, rates, size=1500)
    verdicts = [
        non_inferiority(int(less), int(more), needed, max_drop).verdict for less, more, _ in drawn
    ]
    assert verdicts.count(settled) / len(verdicts) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("lost", "max_drop"), [(10, 0.01), (0, 0.0), (10, 0.01 + 1e-6)])
def test_a_change_too_near_the_budget_is_never_settled(lost: int, max_drop: float) -> None:
    judgement = non_inferiority(lost, 0, 1000, max_drop)
    assert (judgement.verdict, judgement.images_needed) == ("inconclusive", None)
