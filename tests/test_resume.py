"""A training that is killed and goes on ends as one that was never stopped, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT

# Whatever is random takes part: crops, mixing, dropout (by its chance of stages), the order.
TRAINING = (
    "model=efficientnet_b0",
    "data.image_size=32",
    "data.mixup=0.2",
    "data.cutmix=1.0",
    "trainer.max_epochs=3",
    "trainer.limit_train_batches=6",
    "trainer.limit_val_batches=2",
    "export.enabled=false",
    "benchmark.enabled=false",
    "profiler=none",
)
VARIANTS = {
    "accumulated": ("trainer.accumulate_grad_batches=4", "data.balance=sampler"),
    "averaged": ("finetune.ema_decay=0.9", "finetune.freeze_epochs=1"),
    "workers": ("data.num_workers=2", "data.augment=trivialaugment"),
}


def start(folder: Path, *argv: str, **environment: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "src.train", *argv],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    printed, _ = process.communicate(timeout=500)
    assert process.returncode == code, printed
    return printed


def wait_until(process: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    while not there():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


def checkpoint(folder: Path, name: str = "last") -> Path:
    found = list(folder.glob("lightning_logs/*/version_*/checkpoints"))
    return (found[0] if found else folder / "none") / f"{name}.ckpt"


def tensors(value: Any, place: str = "") -> dict[str, torch.Tensor]:
    """Every tensor in a checkpoint, by where it is."""
    if isinstance(value, torch.Tensor):
        return {place: value}
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list | tuple) else items
    found: dict[str, torch.Tensor] = {}
    for name, each in items:
        found |= tensors(each, f"{place}/{name}")
    return found


def require_same(one: Path, other: Path) -> None:
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    assert first["global_step"] == second["global_step"]
    assert first["lr_schedulers"] == second["lr_schedulers"]
    ours, theirs = tensors(first), tensors(second)
    assert len(ours) > 100
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not torch.equal(ours[name], theirs[name])]


def train_whole(folder: Path, *options: str) -> Path:
    finish(start(folder, *TRAINING, *options))
    return checkpoint(folder)


def train_killed(folder: Path, *options: str) -> Path:
    """Killed after its first epoch, in the second, then taken up."""
    process = start(folder, *TRAINING, *options)
    wait_until(process, lambda: checkpoint(folder).is_file())
    process.kill()
    process.communicate()
    killed = torch.load(checkpoint(folder), weights_only=True)["epoch"]
    assert killed < 2, "it ended before it was killed"
    printed = finish(start(folder, *TRAINING, *options, "ckpt_path=last"))
    assert "epoch 1/3" not in printed
    assert "epoch 3/3" in printed
    return checkpoint(folder)


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    options = ("data.num_workers=1",)
    require_same(
        train_whole(tmp_path / "whole", *options), train_killed(tmp_path / "killed", *options)
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_so_does_one_with_other_options(tmp_path: Path, variant: str) -> None:
    options = VARIANTS[variant]
    require_same(
        train_whole(tmp_path / "whole", *options), train_killed(tmp_path / "killed", *options)
    )
