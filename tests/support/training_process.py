"""Commands in processes of their own, and a comparison of the checkpoints that they write."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.conftest import ROOT

_SECONDS = 500


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
    printed, _ = process.communicate(timeout=_SECONDS)
    assert process.returncode == code, printed
    return printed


def wait_until(process: subprocess.Popen[str], is_reached: Callable[[], bool]) -> None:
    until = time.monotonic() + _SECONDS
    while not is_reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, f"not reached after {_SECONDS} s"
        time.sleep(0.005)


def checkpoint(folder: Path, name: str = "last") -> Path:
    """Return the path of a checkpoint of the only run below ``folder``; it may not exist yet."""
    folders = list(folder.glob("lightning_logs/*/version_*/checkpoints"))
    return (folders[0] if folders else folder / "none") / f"{name}.ckpt"


def tensors(value: Any, place: str = "") -> dict[str, torch.Tensor]:
    """Return every tensor in a checkpoint, by its place."""
    if isinstance(value, torch.Tensor):
        return {place: value}
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list | tuple) else items
    by_place: dict[str, torch.Tensor] = {}
    for name, item in items:
        # Some keys hold the path of the run, which differs between runs: keep the last part.
        by_place |= tensors(item, f"{place}/{str(name).rpartition('/')[2]}")
    return by_place


def require_same(first_path: Path, second_path: Path) -> None:
    first, second = (torch.load(path, weights_only=True) for path in (first_path, second_path))
    assert first["global_step"] == second["global_step"]
    assert first["lr_schedulers"] == second["lr_schedulers"]
    one, other = tensors(first), tensors(second)
    assert len(one) > 100
    assert one.keys() == other.keys()
    assert not [name for name in one if not torch.equal(one[name], other[name])]


SEND_SIGNAL = """
import os, signal
from lightning.pytorch import Callback
class SendSignal(Callback):
    def __init__(self, number: int, batches: list[int], epoch: int = 0) -> None:
        self.number, self.batches, self.epoch = number, batches, epoch
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx in self.batches:
            os.kill(os.getpid(), self.number)
"""


def start_and_signal(
    folder: Path, number: int, batches: list[int], *options: str, epoch: int = 0
) -> subprocess.Popen[str]:
    """Start a training that gets a signal at the start of these batches of an epoch."""
    words = signalling(folder, number, batches, epoch)
    return start(folder, *words, *options, PYTHONPATH=f"{ROOT}:{folder}")


def signalling(folder: Path, number: int, batches: list[int], epoch: int) -> list[str]:
    """Return the words that let a training in a folder send itself the signal."""
    folder.mkdir(exist_ok=True)
    (folder / "send_signal.py").write_text(SEND_SIGNAL)
    arguments = {"number": int(number), "batches": batches, "epoch": epoch}
    callback = {"class_path": "send_signal.SendSignal", "init_args": arguments}
    (folder / "signal.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [callback]}}))
    return ["fit", "--config", "signal.yaml"]
