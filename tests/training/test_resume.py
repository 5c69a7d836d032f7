"""A training that is killed and goes on ends as one that was never stopped, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import ROOT

# Whatever is random takes part: crops, mixing, dropout, the order.
TRAINING = (
    "model=efficientnet_b0",
    "data.image_size=32",
    "data.num_workers=1",
    "data.mixup=0.2",
    "data.cutmix=1.0",
    "trainer.accumulate_grad_batches=2",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=7",
    "trainer.limit_val_batches=2",
    "export.enabled=false",
    "benchmark.enabled=false",
    "profiler=none",
)
VARIANTS = {
    "sampler": ("data.num_workers=0", "data.balance=sampler", "trainer.val_check_interval=3"),
    "averaged": (
        "finetune.ema_decay=0.9",
        "finetune.freeze_epochs=1",
        "finetune.unfreeze_epochs=1",
    ),
    "workers": ("model=convnext_t", "data.num_workers=2", "data.augment=trivialaugment"),
    "patient": ("model=resnet34", "finetune.patience=1", "trainer.max_epochs=3"),
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
        # Some are called by a path, which is another run's.
        found |= tensors(each, f"{place}/{str(name).rpartition('/')[2]}")
    return found


def require_same(one: Path, other: Path) -> None:
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    assert first["global_step"] == second["global_step"]
    assert first["lr_schedulers"] == second["lr_schedulers"]
    ours, theirs = tensors(first), tensors(second)
    assert len(ours) > 100
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not torch.equal(ours[name], theirs[name])]


PRESSING = """
import os, signal
from lightning.pytorch import Callback
class Press(Callback):
    def __init__(self, number: int, batches: list[int], epoch: int = 0) -> None:
        self.number, self.batches, self.epoch = number, batches, epoch
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx in self.batches:
            os.kill(os.getpid(), self.number)
"""


def start_and_press(
    folder: Path, number: int, batches: list[int], *options: str, epoch: int = 0
) -> subprocess.Popen[str]:
    """A training that gets a signal at the beginning of these batches of an epoch."""
    folder.mkdir(exist_ok=True)
    (folder / "pressing.py").write_text(PRESSING)
    given = {"number": int(number), "batches": batches, "epoch": epoch}
    callback = {"class_path": "pressing.Press", "init_args": given}
    (folder / "press.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [callback]}}))
    return start(folder, "fit", "--config", "press.yaml", *options, PYTHONPATH=f"{ROOT}:{folder}")


def train_whole(folder: Path, *options: str) -> Path:
    finish(start(folder, *TRAINING, *options))
    return checkpoint(folder)


def train_killed(folder: Path, *options: str) -> Path:
    """Killed after its first epoch, then taken up."""
    process = start(folder, *TRAINING, *options)
    wait_until(process, lambda: checkpoint(folder).is_file())
    process.kill()
    process.communicate()
    assert torch.load(checkpoint(folder), weights_only=True)["epoch"] == 0
    printed = finish(start(folder, *TRAINING, *options, "ckpt_path=last"))
    assert "epoch 1/" not in printed
    assert "epoch 2/" in printed
    return checkpoint(folder)


def train_stopped(folder: Path, *options: str) -> Path:
    """Asked to stop in the middle of its second batch-pair, then taken up there."""
    process = start_and_press(folder, signal.SIGTERM, [2], *TRAINING, *options)
    printed = finish(process, 128 + signal.SIGTERM)
    line = printed.strip().splitlines()[-1]
    assert line.startswith("stopped by SIGTERM; saved lightning_logs/")
    assert "last.ckpt at step 4 of epoch 1; go on with: python -m src.train " in line
    assert line.endswith(" ckpt_path=last")
    saved = torch.load(checkpoint(folder), weights_only=True)
    assert saved["Digits"]["seen"] == 4 * 32
    finish(start(folder, *TRAINING, *options, "ckpt_path=last"))
    return checkpoint(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_whole(tmp_path_factory.mktemp("whole"))


def test_a_killed_training_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    require_same(whole, train_killed(tmp_path / "killed"))


def test_a_training_stopped_within_an_epoch_ends_with_the_same_weights(
    whole: Path, tmp_path: Path
) -> None:
    require_same(whole, train_stopped(tmp_path / "stopped"))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_resumed_trainings_with_other_options_end_with_the_same_weights(
    tmp_path: Path, variant: str
) -> None:
    options = VARIANTS[variant]
    never = train_whole(tmp_path / "whole", *options)
    require_same(never, train_killed(tmp_path / "killed", *options))
    require_same(never, train_stopped(tmp_path / "stopped", *options))
