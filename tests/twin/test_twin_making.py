"""The device of a twin's trainings."""

from __future__ import annotations

import pytest
import torch
import yaml

from src.export.source import Checkpoint
from src.run.folder import Run
from src.twin.making import Making
from src.twin.options import TwinOptions


def device(run: Run, **trainer: object) -> torch.device:
    run.config.write_text(yaml.safe_dump({"trainer": trainer}))
    checkpoint = Checkpoint.read(run.best_checkpoint)
    return Making(run, checkpoint, TwinOptions(), lambda *_, **__: None).device


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "mps", "cuda", "cpu", None])
def test_a_gpu_of_apple_which_has_no_float64_trains_no_twin(
    accelerator: str | None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device(run, accelerator=accelerator) == torch.device("cpu")


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda", None])
@pytest.mark.usefixtures("gpus")
def test_a_gpu_with_cuda_trains_it_unless_the_run_was_kept_to_the_cpu(
    accelerator: str | None, run: Run
) -> None:
    assert device(run, accelerator=accelerator) == torch.device("cuda:0")
    assert device(run, accelerator="cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("devices", "index"),
    [
        ([2], 2),
        ([3, 1], 3),
        ([9], 0),
        ([-1], 0),
        ([], 0),
        (2, 0),
        ("auto", 0),
        (["1"], 0),
        ("2,", 2),
        ("3, 1", 3),
        ("2", 0),
    ],
)
@pytest.mark.usefixtures("gpus")
def test_the_gpu_is_the_first_that_the_run_named(devices: object, index: int, run: Run) -> None:
    assert device(run, accelerator="cuda", devices=devices) == torch.device("cuda", index)
