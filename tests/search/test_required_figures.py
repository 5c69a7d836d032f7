"""Limits whose figure the measurement does not give, as the first forecast shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from src.errors import UsageError
from src.forecast.candidate import Request
from src.forecast.records import Candidate
from src.search.records import Limits
from tests.search.planted import Planted, PlantedTrials, plan_of, search

GRID = {"a-32px": Planted(0.95, 1.0, 0.01), "b-32px": Planted(0.9, 1.0, 0.01)}


@dataclass
class Unmeasured(PlantedTrials):
    """Forecasts without the peak memory, or with another batch size."""

    memory: bool = False
    batch_size: int = 1

    def cost(self, request: Request) -> Candidate:
        cost = super().cost(request)
        files = [
            msgspec.structs.replace(
                file,
                timings=[
                    msgspec.structs.replace(
                        timing,
                        batch_size=self.batch_size,
                        peak_rss_bytes=timing.peak_rss_bytes if self.memory else None,
                    )
                    for timing in file.timings
                ],
            )
            for file in cost.files
        ]
        return msgspec.structs.replace(cost, files=files)


@pytest.mark.parametrize(
    ("trials", "limits", "argument", "remedy"),
    [
        (
            Unmeasured(GRID),
            Limits(memory_bytes=10**9),
            "memory_under",
            "add benchmark.memory=true, or leave out memory_under",
        ),
        (
            Unmeasured(GRID, memory=True, batch_size=8),
            Limits(latency_s=1.0),
            "benchmark.batch_sizes",
            "add 1, as in benchmark.batch_sizes=[1,8]",
        ),
    ],
)
def test_the_first_forecast_shows_that_a_limit_is_not_measured(
    tmp_path: Path, trials: Unmeasured, limits: Limits, argument: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as caught:
        search(tmp_path, trials, plan_of(GRID, limits))
    assert str(caught.value).startswith(f"{argument}: expected ")
    assert str(caught.value).endswith(f"; {remedy}")
    assert [kind for kind, _ in trials.steps] == ["forecast"]


def test_without_its_limit_a_figure_need_not_be_measured(tmp_path: Path) -> None:
    record = search(tmp_path, Unmeasured(GRID), plan_of(GRID, Limits(latency_s=1.0)))
    assert record.answer is not None


def test_a_later_candidate_without_a_figure_ends_no_search(tmp_path: Path) -> None:
    class Later(Unmeasured):
        def cost(self, request: Request) -> Candidate:
            is_first = self.steps[0][1] == request.name
            return PlantedTrials.cost(self, request) if is_first else super().cost(request)

    record = search(tmp_path, Later(GRID), plan_of(GRID, Limits(memory_bytes=10**9)))
    assert record.answer is not None
    assert record.answer.satisfied
