"""Two processes train like one with a batch twice as large, and stop together."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.run.folder import Run
from tests.conftest import ROOT
from tests.data.datasets.test_image_folder import fill
from tests.support.training_process import (
    checkpoint,
    finish,
    require_same,
    start,
    start_and_signal,
    wait_until,
)
from tests.support.warm_command import command
from tests.training.test_train import SHORT as SHORT_WITH_STAGES

# LayerNorm instead of BatchNorm, and no stochastic depth: these depend on one process's images.
TRAINING = (
    "model=convnext_t",
    "model.network_options={stochastic_depth_prob: 0.0}",
    "data=image_folder",
    "data.root=../photos",
    "data.image_size=32",
    "data.num_workers=0",
    "trainer.precision=32-true",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=4",
    "export.enabled=false",
    "benchmark.enabled=false",
    "profiler=none",
)
ONE = (*TRAINING, "trainer=cpu", "data.batch_size=16")
TWO = (*TRAINING, "trainer=ddp", "data.batch_size=8")
ALONE = {"OMP_NUM_THREADS": "1"}
PRINTED = "printed.txt"  # of the training that was never stopped


def scalars(folder: Path, name: str) -> list[float]:
    events = EventAccumulator(str(checkpoint(folder).parent.parent))
    events.Reload()
    return [event.value for event in events.Scalars(name)]


def training_losses(printed: str) -> list[str]:
    """Return the mean training loss of each epoch, as the lines of the epochs have it."""
    return re.findall(r"^epoch .*train/loss (\S+)", printed, re.MULTILINE)


def require_close(one: Path, other: Path) -> None:
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in (one, other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=2e-4, msg=name)


def torchrun(folder: Path, *argv: str) -> subprocess.Popen[str]:
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
            *(f"--master-port={port}", "-m", "src.train", *argv),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ALONE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def photos(folder: Path) -> Path:
    """Write 170 images beside the trainings in ``folder``; splits of 119, 17 (odd) and 34."""
    for seed, name in enumerate(("cat", "dog")):
        fill(folder / "photos" / name, 85, seed)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return photos(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the last checkpoint of two processes that were never stopped."""
    folder = photos(tmp_path_factory.mktemp("two")) / "two"
    printed = finish(start(folder, *TWO, **ALONE))
    (folder / PRINTED).write_text(printed)
    return checkpoint(folder)


@pytest.mark.slow
def test_two_processes_train_to_the_same_weights_as_one(whole: Path, place: Path) -> None:
    finish(start(place / "one", *ONE, **ALONE))
    require_close(checkpoint(place / "one"), whole)
    two, one = whole.parents[4], place / "one"
    assert scalars(two, "val/top1") == pytest.approx(scalars(one, "val/top1"), abs=1e-6)
    # One process has 9 of the 17 images, and the other one 8.
    assert scalars(two, "val/loss") == pytest.approx(scalars(one, "val/loss"), rel=1e-3)


@pytest.mark.slow
def test_torchrun_trains_to_the_same_weights(whole: Path, place: Path) -> None:
    finish(torchrun(place / "torchrun", *TWO))
    require_same(whole, checkpoint(place / "torchrun"))
    versions = list((place / "torchrun").glob("lightning_logs/*/*"))
    assert [path.name for path in versions] == ["version_0"]


@pytest.mark.slow
def test_two_stopped_processes_stop_at_the_same_step_and_resume_bit_for_bit(
    whole: Path, place: Path
) -> None:
    # Both processes get the signal, as from a terminal.
    folder = place / "stopped"
    printed = finish(start_and_signal(folder, signal.SIGTERM, [1], *TWO), 143)
    assert printed.count("stopped by SIGTERM; saved ") == 1
    assert torch.load(checkpoint(folder), weights_only=True)["ImageFolder"]["seen"] == 32
    printed = finish(start(folder, *TWO, "ckpt_path=last", **ALONE))
    require_same(whole, checkpoint(folder))
    losses = training_losses((whole.parents[4] / PRINTED).read_text())
    assert training_losses(printed) == losses
    assert len(losses) == 2


def pid_of_second(process: subprocess.Popen[str]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return next(pid for pid, command in commands.items() if "src.train" in command)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to find the second process")
@pytest.mark.parametrize("which", ["first", "second"])
def test_a_training_process_does_not_hang_when_the_other_dies(place: Path, which: str) -> None:
    process = start(place / "run", *TWO, "trainer.max_epochs=200", **ALONE)
    wait_until(process, lambda: checkpoint(place / "run").is_file())
    second = pid_of_second(process)
    try:
        os.kill(process.pid if which == "first" else second, signal.SIGKILL)
        printed, _ = process.communicate(timeout=60)
        wait_until_gone(second)
    finally:
        for pid in (process.pid, second):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert process.returncode != 0, printed
    assert "error: another process of this training ended" in printed
    assert torch.load(checkpoint(place / "run"), weights_only=True)["epoch"] >= 0


def wait_until_gone(pid: int) -> None:
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}/cmdline").is_file() and Path(f"/proc/{pid}/cmdline").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_simultaneous_trainings_get_separate_run_folders(place: Path) -> None:
    both = [start(place / "both", *ONE, "trainer.max_epochs=1", **ALONE) for _ in range(2)]
    for process in both:
        finish(process)
    versions = (place / "both").glob("lightning_logs/convnext_t/*/checkpoints/last.ckpt")
    assert sorted(path.parent.parent.name for path in versions) == ["version_0", "version_1"]


@pytest.mark.slow
def test_two_processes_train_and_one_exports(tmp_path: Path) -> None:
    two = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
    process = command(
        tmp_path, "src.train", *SHORT_WITH_STAGES, *two, "export.formats=[eager,onnx_fp32]"
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("Run folder:") == 1
    assert process.stdout.count("preflight:") == 1
    [folder] = (tmp_path / "lightning_logs").glob("*/version_0")
    run = Run(folder)
    assert [path.name for path in run.folder.parent.iterdir()] == ["version_0"]
    results = run.read_benchmark()
    assert results.dataset.images == 540
    assert [row.status for row in results.rows if row.device == "cpu"] == ["ok", "ok"]
    for rank in (0, 1):
        profile = json.loads((run.profile / f"rank{rank}.json").read_text())
        assert (profile["rank"], profile["notes"]) == (rank, [])
        assert all((run.profile / window["file"]).is_file() for window in profile["windows"])
        assert {f"-rank{rank}." in window["file"] for window in profile["windows"]} == {True}
