"""The device of a twin's trainings."""

from __future__ import annotations

import pytest
import torch
import yaml

from src.export.source import Checkpoint
from src.run.folder import Run
from src.twin.making import Making
from src.twin.options import TwinOptions


def device(run: Run, accelerator: str | None) -> str:
    trainer = {} if accelerator is None else {"accelerator": accelerator}
    run.config.write_text(yaml.safe_dump({"trainer": trainer}))
    checkpoint = Checkpoint.read(run.best_checkpoint)
    return Making(run, checkpoint, TwinOptions(), lambda *_, **__: None).accelerator


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "mps", "cuda", "cpu", None])
def test_a_gpu_of_apple_which_has_no_float64_trains_no_twin(
    accelerator: str | None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device(run, accelerator) == "cpu"


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda", None])
def test_a_gpu_with_cuda_trains_it_unless_the_run_was_kept_to_the_cpu(
    accelerator: str | None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device(run, accelerator) == "cuda"
    assert device(run, "cpu") == "cpu"
