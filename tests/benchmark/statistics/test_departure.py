from __future__ import annotations

from typing import Any

import pytest

from src.benchmark.statistics.departure import (
    LEAST_SQNR_DB,
    MOST_ECE_GAIN,
    MOST_KL,
    departures,
)
from src.run.accuracy import Accuracy
from src.run.reading import convert
from src.run.record import InvalidValueError
from tests.report.planted import row


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"logit_sqnr_db": 1.3, "kl": 0.01, "delta_ece": 0.0}, ["logit_sqnr_db"]),
        ({"logit_sqnr_db": LEAST_SQNR_DB, "kl": MOST_KL, "delta_ece": MOST_ECE_GAIN}, []),
        ({"logit_sqnr_db": 30.0, "kl": 0.2, "delta_ece": 0.1}, ["kl", "delta_ece"]),
        ({"logit_sqnr_db": 30.0, "kl": 0.0, "delta_ece": -0.3}, []),  # better calibrated
        ({"logit_sqnr_db": None, "kl": 0.0, "delta_ece": 0.0}, []),  # the same logits
        ({}, []),  # measured before these were kept
    ],
)
def test_each_figure_has_its_bound(figures: dict[str, Any], expected: list[str]) -> None:
    assert departures(**figures) == expected


def test_a_foreign_file_may_name_only_known_figures() -> None:
    convert(
        {**row("onnx")["accuracy"], "departures": ["logit_sqnr_db", "kl", "delta_ece"]}, Accuracy
    )
    with pytest.raises(InvalidValueError):
        convert({**row("onnx")["accuracy"], "departures": ["<b>"]}, Accuracy)
