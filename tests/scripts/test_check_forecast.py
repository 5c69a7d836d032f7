"""The forecast beside the trained file: what holds, and the share of unusual weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from src.run.latency import Turn
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import check_forecast

        yield check_forecast


def turns(*seconds: float) -> dict[int, Turn]:
    """A turn for each process."""
    return {
        number: Turn(seconds=[each] * 9, elapsed_seconds=9 * each, cpu_seconds=0, process=number)
        for number, each in enumerate(seconds)
    }


@pytest.mark.parametrize(
    ("size", "forecast", "verdict"),
    [
        (1000, (0.0100, 0.0100, 0.0100, 0.0100), "holds"),
        (1000, (0.0101, 0.0101, 0.0101, 0.0101), "holds"),  # 1 % off, and sure of it
        (1000, (0.0103, 0.0099, 0.0102, 0.0098), "holds"),  # cannot be told from the trained file's
        (1000, (0.0115, 0.0085, 0.0122, 0.0081), "too few rounds to tell"),
        (1000, (0.0105, 0.0105, 0.0105, 0.0105), "DIFFERS"),
        (1000, (0.0095, 0.0095, 0.0095, 0.0095), "DIFFERS"),
        (1005, (0.0100, 0.0100, 0.0100, 0.0100), "holds"),
        (1020, (0.0100, 0.0100, 0.0100, 0.0100), "DIFFERS"),  # a larger file
        (1000, (0.0100,), "too few rounds to tell"),
    ],
)
def test_a_forecast_holds_if_size_and_latency_are_those_of_the_trained_file(
    script: ModuleType, size: int, forecast: tuple[float, ...], verdict: str
) -> None:
    trained = turns(*[0.01] * len(forecast))
    each = script.Comparison("resnet34", "eager", 1000, size, trained, turns(*forecast))
    assert each.verdict == verdict


def test_zero_and_denormal_weights_are_counted(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {
        "conv.weight": torch.tensor([[0.0, 1e-40], [-1e-39, 1.0]]),
        "norm.running_var": torch.tensor([1.0, 1e-30, -2.0, 0.5]),
        "norm.num_batches_tracked": torch.tensor(0),
    }
    monkeypatch.setattr(script.Checkpoint, "read", lambda _: SimpleNamespace(weights=weights))
    run = SimpleNamespace(best_checkpoint=Path("best.ckpt"))
    assert script.weights_of(run) == script.Weights(zero=1 / 8, denormal=2 / 8)
