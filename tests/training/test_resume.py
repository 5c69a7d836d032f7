"""A training that is killed or stopped and resumed ends as an uninterrupted one, bit for bit."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import torch

from tests.support.training_process import (
    checkpoint,
    finish,
    require_same,
    signalling,
    start_and_signal,
)
from tests.support.warm_command import command

# Everything random is on: crops, mixing, dropout, order of the images. MnasNet has dropout and
# BatchNorm as EfficientNet-B0 has, and a quarter of the weights, which each epoch writes.
TRAINING = (
    "model=torchvision/mnasnet0_5",
    "data.image_size=32",
    "data.num_workers=1",
    "data.batch_size=8",
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


def train_on(folder: Path, *options: str) -> str:
    """Train to the end in a process that is not interrupted; return what it prints."""
    folder.mkdir(exist_ok=True)
    done = command(folder, "src.train", *TRAINING, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_whole(folder: Path, *options: str) -> Path:
    train_on(folder, *options)
    return checkpoint(folder)


def train_killed(folder: Path, *options: str) -> Path:
    """Train, kill at the start of the second epoch, and resume."""
    words = signalling(folder, signal.SIGKILL, [0], epoch=1)
    done = command(folder, "src.train", *words, *TRAINING, *options)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert torch.load(checkpoint(folder), weights_only=True)["epoch"] == 0
    printed = train_on(folder, *options, "ckpt_path=last")
    require_none_left_in(folder)
    assert "epoch 1/" not in printed
    assert "epoch 2/" in printed
    return checkpoint(folder)


def require_none_left_in(folder: Path) -> None:
    """Require that no process works in a folder, soon after its training was killed there.

    A worker of a DataLoader looks every five seconds for the process that started it.
    """
    deadline = time.monotonic() + 30
    while left := [
        path.parent.name for path in Path("/proc").glob("[0-9]*/cwd") if at(path, folder)
    ]:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def at(link: Path, folder: Path) -> bool:
    try:
        return link.readlink() == folder.resolve()
    except OSError:  # it has ended, or is another user's
        return False


def train_stopped(folder: Path, *options: str) -> Path:
    """Train, stop by SIGTERM within the second optimizer step, and resume."""
    process = start_and_signal(folder, signal.SIGTERM, [2], *TRAINING, *options)
    printed = finish(process, 128 + signal.SIGTERM)
    line = printed.strip().splitlines()[-1]
    assert line.startswith("stopped by SIGTERM; saved lightning_logs/")
    assert "last.ckpt at step 4 of epoch 1; go on with: python -m src.train " in line
    assert line.endswith(" ckpt_path=last")
    saved = torch.load(checkpoint(folder), weights_only=True)
    assert saved["Digits"]["seen"] == 4 * 8
    train_on(folder, *options, "ckpt_path=last")
    return checkpoint(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_whole(tmp_path_factory.mktemp("whole"))


def test_a_killed_training_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    require_same(whole, train_killed(tmp_path / "killed"))


@pytest.mark.slow
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
    uninterrupted = train_whole(tmp_path / "whole", *options)
    require_same(uninterrupted, train_killed(tmp_path / "killed", *options))
    require_same(uninterrupted, train_stopped(tmp_path / "stopped", *options))
