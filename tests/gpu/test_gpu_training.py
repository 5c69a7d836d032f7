"""Training on a GPU: each precision, device regions in the profile, and resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from src.callbacks.profiler import ProfilerCallback
from src.callbacks.tf32 import Tf32
from src.data.datasets.digits import Digits
from src.models.resnet34 import ResNet34

pytestmark = pytest.mark.gpu


def fit(folder: Path, epochs: int = 1, resume: Path | None = None, **options: Any) -> Trainer:
    """Train ResNet-34 on the digits for some steps."""
    torch.manual_seed(0)
    data = Digits(image_size=32, batch_size=32)
    profile = options.pop("profile", ProfilerCallback(enabled=False))
    trainer = Trainer(
        accelerator="gpu",
        devices=1,
        max_epochs=epochs,
        limit_train_batches=8,
        limit_val_batches=1,
        logger=TensorBoardLogger(str(folder), default_hp_metric=False),
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Tf32(), profile],
        profiler=profile.profiler,
        **options,
    )
    trainer.fit(ResNet34(data.class_names), datamodule=data, ckpt_path=resume, weights_only=True)
    return trainer


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_training_runs_in_each_precision(precision: str, tmp_path: Path) -> None:
    trainer = fit(tmp_path, precision=precision)
    assert torch.isfinite(trainer.callback_metrics["val/loss"])
    assert trainer.global_step == 8


def test_a_compiled_network_trains(tmp_path: Path) -> None:
    data = Digits(image_size=32, batch_size=32)
    trainer = Trainer(
        accelerator="gpu", devices=1, max_epochs=1, limit_train_batches=4, limit_val_batches=0,
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, precision="bf16-mixed",
    )  # fmt: skip
    trainer.fit(ResNet34(data.class_names, compile=True), datamodule=data)
    assert trainer.global_step == 4


def test_tf32_is_turned_off_after_a_fit_on_the_gpu(tmp_path: Path) -> None:
    before = torch.get_float32_matmul_precision()
    fit(tmp_path, precision="32-true")
    assert torch.get_float32_matmul_precision() == before


def test_a_training_trace_contains_device_work(tmp_path: Path) -> None:
    trainer = fit(tmp_path, profile=ProfilerCallback(windows=1))
    content = json.loads((Path(trainer.log_dir or "") / "profile" / "rank0.json").read_text())
    [window] = [window for window in content["windows"] if window["stage"] == "train"]
    assert window["device"]["forward"] > 0
    assert window["device"]["backward"] > 0
    assert sum(window["device"].values()) < 2 * sum(window["regions"].values())


def test_a_training_resumes_from_its_checkpoint_on_the_gpu(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", 2)
    first = fit(tmp_path / "first", 1)
    checkpoint = tmp_path / "last.ckpt"
    first.save_checkpoint(checkpoint)
    rest = fit(tmp_path / "rest", 2, resume=checkpoint)
    assert (rest.current_epoch, rest.global_step) == (2, 16)
    # GPU kernels may add in another order, so the losses are close but not equal bit for bit.
    expected, loss = (float(fit.callback_metrics["val/loss"]) for fit in (whole, rest))
    assert loss == pytest.approx(expected, rel=0.3)
