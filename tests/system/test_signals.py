"""Signals: a stopped command leaves its finished work on disk and prints how to continue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from src.cli.entry_point import run_command
from src.run.folder import Run
from src.system import child_commands, signals
from src.system.signals import Stopped
from tests.conftest import ROOT
from tests.support import slurm_job
from tests.support.training_process import (
    checkpoint,
    finish,
    require_same,
    start,
    start_and_signal,
)
from tests.training.test_resume import TRAINING


@pytest.fixture(autouse=True)
def _react_to_ctrl_c() -> Iterator[None]:
    """Stop ignoring Ctrl-C in this process and its children.

    A shell lets a background command (``&``) ignore SIGINT, and children inherit that.
    """
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


pytestmark = pytest.mark.usefixtures("reacts_to_hang_up")

ALL = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@ALL
def test_a_signal_ends_a_command_with_one_line_and_its_exit_code(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = signal.getsignal(number)
    cleaned = []

    def command() -> None:
        try:
            with signals.resume_advice(lambda: "go on with: this"):
                signal.raise_signal(number)
        except Exception:
            cleaned.append("taken for a failure")
        finally:
            cleaned.append("left")

    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert ended.value.code == 128 + number
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert capsys.readouterr().err == f"stopped by {name}; go on with: this\n"
    assert cleaned == ["left"]
    assert signal.getsignal(number) == earlier


@ALL  # SIGINT by a shell in the background, SIGHUP by nohup
def test_a_signal_that_is_ignored_stays_ignored(number: signal.Signals) -> None:
    earlier = signal.signal(number, signal.SIG_IGN)
    try:
        run_command(lambda: signal.raise_signal(number))
    finally:
        signal.signal(number, earlier)


def test_a_second_hang_up_does_not_interrupt_the_clean_up() -> None:
    cleaned = []

    def command() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)
            cleaned.append("all")

    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert ended.value.code == 128 + signal.SIGHUP
    assert cleaned == ["all"]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_busy_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = """
import os, subprocess, sys
from multiprocessing import Pipe
ours, theirs = Pipe()
code = '''
import sys, time
from src.worker import server as worker
worker.serve = lambda *_: (print("busy", file=sys.stderr, flush=True), time.sleep(600))
worker.main(sys.argv[1:])
'''
child = subprocess.Popen(
    [sys.executable, "-c", code, "eager", ".", "cpu", "1", str(theirs.fileno()), "ordinary"],
    pass_fds=[theirs.fileno()], stderr=subprocess.PIPE,
)
child.stderr.readline()
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    pid = int(ended.stdout)
    wait_until(lambda: not alive(pid))


@ALL
def test_a_sweep_waits_for_its_training_to_stop(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"""
import signal, sys, time
def stop(number, frame):
    time.sleep(0.5)
    open("saved", "w").close()
    sys.exit(7)
signal.signal({int(number)}, stop)
open("ready", "w").close()
time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    wait_until((tmp_path / "ready").is_file)
    waiting, wait = tmp_path / "waiting", child.wait

    def noted_wait(seconds: float | None = None) -> int:
        waiting.touch()
        return wait(seconds)

    monkeypatch.setattr(child, "wait", noted_wait)

    def press() -> None:
        """Send the signal to this thread once the sweep waits."""
        wait_until(waiting.exists)
        signal.pthread_kill(threading.get_ident(), number)

    with ThreadPoolExecutor() as threads, signals.stopping_on_signals():
        threads.submit(press)
        with pytest.raises(Stopped) as stopped:
            child_commands.wait_for(child)
    assert stopped.value.exit_code == 128 + number
    assert (tmp_path / "saved").is_file()
    assert child.returncode == 7


EXPORTED = (
    "model=resnet34",
    "data.image_size=32",
    "data.num_workers=1",
    "data.mixup=0.2",
    "trainer.accumulate_grad_batches=2",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=7",
    "trainer.limit_val_batches=2",
    "benchmark.enabled=false",
    "export.preflight=false",
    "export.formats=[eager]",
    "export.calibration_images=8",
    "profiler=none",
)


@pytest.mark.slow
def test_ctrl_c_saves_and_exports_the_best_so_far(tmp_path: Path) -> None:
    process = start_and_signal(tmp_path / "run", signal.SIGINT, [2], *EXPORTED, epoch=1)
    printed = finish(process, 130)
    assert "stopping after this step; press Ctrl-C again to stop at once" in printed
    line = printed.strip().splitlines()[-1]
    assert "at step 4 of epoch 2, exported the best checkpoint (measure it with: python -m " in line
    assert "\neager: ok, " in printed
    run = Run(checkpoint(tmp_path / "run").parent.parent)
    assert run.read_manifest().formats["eager"].status == "ok"
    assert run.read_manifest().checkpoint.epoch == 0


@pytest.mark.slow
def test_ctrl_c_again_stops_at_once(tmp_path: Path) -> None:
    # The second Ctrl-C comes before the optimizer's step, which accumulates four batches.
    options = (*EXPORTED, "trainer.accumulate_grad_batches=4")
    process = start_and_signal(tmp_path / "run", signal.SIGINT, [4, 5], *options, epoch=1)
    printed = finish(process, 130)
    assert "exporting" not in printed
    assert printed.strip().splitlines()[-1].startswith("stopped by Ctrl-C; go on with: ")
    assert torch.load(checkpoint(tmp_path / "run"), weights_only=True)["Digits"]["seen"] == 0


@pytest.mark.slow
def test_a_requeued_slurm_job_resumes_bit_for_bit(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    tools = tmp_path / "tools"
    slurm_job.plant_scontrol(tools, f'echo "$@" >> {requests}')
    options = TRAINING
    finish(start(tmp_path / "whole", *options))
    with pytest.MonkeyPatch.context() as patch:
        slurm_job.enter(patch, f"{tools}:{os.environ['PATH']}")
        process = start_and_signal(tmp_path / "job", signal.SIGUSR1, [2], *options)
        printed = finish(process, 128 + signal.SIGUSR1)
        assert "stopped by SIGUSR1; saved " in printed
        assert requests.read_text() == "requeue 4711\n"
        assert not list(tmp_path.rglob("hpc_ckpt*"))
        finish(start(tmp_path / "job", *options, "ckpt_path=last"))
    require_same(checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "job"))
