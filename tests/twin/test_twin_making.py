"""The device and the length of a twin's trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from src.errors import UsageError
from src.export.source import Checkpoint
from src.run.folder import Run
from src.twin import making
from src.twin.making import Making
from src.twin.options import TwinOptions


def device(run: Run, **trainer: object) -> torch.device:
    run.config.write_text(yaml.safe_dump({"trainer": trainer}))
    checkpoint = Checkpoint.read(run.best_checkpoint)
    return Making(run, checkpoint, TwinOptions(), lambda *_, **__: None).device


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [(20, 100, 7), (12, -1, 4), (2, 2, 3), (None, 30, 10), (None, None, 3)],
    ids=["stopped early", "no limit", "short", "no progress", "nothing known"],
)
def test_the_epochs_are_a_third_of_those_trained(
    trained: int | None, asked: int | None, expected: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def progress(path: Path) -> tuple[int, float]:
        if trained is None:
            raise UsageError(str(path), expected="a score", found="none", remedy="train again")
        return trained, 0.9

    monkeypatch.setattr(making, "read_progress", progress)
    run.config.write_text(yaml.safe_dump({"trainer": {"max_epochs": asked}}))
    checkpoint = Checkpoint.read(run.best_checkpoint)
    of = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    assert of.epochs == expected


@pytest.mark.parametrize("is_near", [True, False])
def test_a_student_near_its_teacher_has_lower_rates_unless_they_are_given(
    is_near: bool, run: Run
) -> None:
    checkpoint = Checkpoint.read(run.best_checkpoint)

    def rates(**options: float) -> tuple[float, float]:
        of = Making(run, checkpoint, TwinOptions(**options), lambda *_, **__: None)
        return (
            of.rate("distillation", is_near=is_near),
            of.rate("quantization", is_near=is_near),
        )

    assert rates() == ((2e-5, 2e-5) if is_near else (5e-4, 1e-4))
    assert rates(lr=3e-4, quantized_lr=3e-5) == (3e-4, 3e-5)


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, 1.0), (0.25, 0.25), (7, 7), (1.0, 1.0), ("7", 1.0)]
)
def test_the_limit_of_an_epoch_is_that_of_the_run(limit: object, expected: float, run: Run) -> None:
    run.config.write_text(yaml.safe_dump({"trainer": {"limit_train_batches": limit}}))
    checkpoint = Checkpoint.read(run.best_checkpoint)
    found = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None).limit_train_batches
    assert (found, type(found)) == (expected, type(expected))


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
