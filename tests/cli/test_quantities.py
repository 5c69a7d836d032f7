"""Quantities with a unit, in the spellings of users."""

from __future__ import annotations

import pytest

from src.cli import quantities
from src.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [("97%", 0.97), ("97.5 %", 0.975), (".5%", 0.005), ("100%", 1.0), (" 5%", 0.05)],
)
def test_percentages_are_read(text: str, value: float) -> None:
    assert quantities.fraction("at_least", text) == pytest.approx(value)


def test_a_percentage_is_the_number_nearest_to_its_share() -> None:
    for thousandths in range(1001):
        share = thousandths / 1000  # as a measured share is computed
        assert quantities.fraction("at_least", f"{thousandths // 10}.{thousandths % 10}%") == share


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("0.97", "write 97%"),
        (".97", "write 97%"),
        ("1", "write 100%"),
        ("97", "write 97%"),
        ("97.5", "write 97.5%"),
        ("0.005", "write 0.5%"),
        ("high", "add the % sign"),
        ("", "add the % sign"),
        (".", "add the % sign"),
        ("-0.5", "add the % sign"),
    ],
)
def test_a_number_without_the_sign_is_refused_with_the_percentage_it_means(
    text: str, remedy: str
) -> None:
    with pytest.raises(UsageError, match=f"{remedy}$"):
        quantities.fraction("at_least", text)


@pytest.mark.parametrize("text", ["10MiB", "10KB", "10mb", "10", "MB", ""])
def test_a_size_in_another_unit_is_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(UsageError, match=r"give it a number and a unit: kB, MB, GB$"):
        quantities.size("size_under", text)


@pytest.mark.parametrize("text", ["5m", "2hours", "1h30", "0h", "-1h"])
def test_a_duration_in_another_unit_is_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(UsageError, match=r"give it a number and a unit: s, min, h$"):
        quantities.duration("budget", text)
