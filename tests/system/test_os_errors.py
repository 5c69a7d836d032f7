"""One-line explanations of disk, memory, process and GPU failures; a defect keeps its traceback."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from src.cli.entry_point import run_command
from src.system import os_errors

# Real errors of torch, numpy and the system, and the line that explains each.
EXPLAINED = {
    "GPU memory": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore about it."),
        "out of memory: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ),
    "memory": (
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 4000000000000 bytes. Error code 12"
        ),
        "out of memory: .*you tried to allocate 4000000000000 bytes",
    ),
    "numpy's memory": (MemoryError("Unable to allocate 7.45 TiB"), "out of memory: Unable to"),
    "no GPU any more": (
        RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA"),
        "the GPU fails or is gone: CUDA error: unspecified launch failure; see nvidia-smi",
    ),
    "a worker that died": (
        RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed. "),
        "a process that loads images ended: .*killed by signal: Killed.*lower data.num_workers",
    ),
    "a worker that left": (
        RuntimeError("DataLoader worker (pid(s) 4711, 4712) exited unexpectedly"),
        "a process that loads images ended: .*4712\\) exited unexpectedly",
    ),
    "shared memory": (
        RuntimeError("unable to open shared memory object </torch_1> in read-write mode"),
        "shared memory of this machine is used up: .*--shm-size",
    ),
    "no more descriptors": (
        RuntimeError("received 0 items of ancdata"),
        "too many files are open; raise ulimit -n or lower data.num_workers",
    ),
    "no more descriptors for shared memory": (
        RuntimeError(
            "unable to open shared memory object </torch_1> in read-write mode: Too many open "
            "files (24)"
        ),
        "too many files are open; raise ulimit -n",
    ),
    "no more threads": (
        RuntimeError("can't start new thread"),
        "no further process or thread may be started; lower data.num_workers.*--pids-limit",
    ),
    "a missing package": (
        ModuleNotFoundError("No module named 'nncf'", name="nncf"),
        "not installed: nncf; install it, or leave out what needs it",
    ),
    "a full disk": (
        OSError(errno.ENOSPC, "No space left on device", "best.ckpt"),
        "best.ckpt: the disk is full; make room; what was written before is whole",
    ),
    "a failing disk": (OSError(errno.EIO, "Input/output error"), "the disk fails .*another disk"),
    "a read-only disk": (
        OSError(errno.EROFS, "Read-only file system", "x"),
        "x: the disk is read-only; name a folder elsewhere, as trainer.default_root_dir=PATH",
    ),
    "a network disk that was disconnected": (
        OSError(errno.ENOTCONN, "Transport endpoint is not connected", "last.ckpt"),
        "last.ckpt: the network disk that it is on was taken away; connect it again",
    ),
    "a file server that is down": (
        OSError(errno.EHOSTDOWN, "Host is down", "x"),
        "x: the network disk that it is on was taken away",
    ),
    "a folder of others": (PermissionError(errno.EACCES, "", "x"), "x: permission denied; change"),
    "a folder that is gone": (
        FileNotFoundError(errno.ENOENT, "No such file", "version_0/x"),
        "version_0/x: it is not there; if it was before, it or its disk was taken away",
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_system_failure_is_one_line_and_exits_with_1(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error, expected = EXPLAINED[name]

    def command() -> None:
        try:
            raise error
        except type(error) as cause:
            # Libraries wrap errors like this.
            raise RuntimeError("saving failed") from cause

    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(printed)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("wrong"),
        OSError("of no number"),
        KeyError("x"),
        BlockingIOError(errno.EAGAIN, "again"),
    ],
)
def test_an_unexpected_exception_keeps_its_traceback(error: Exception) -> None:
    def command() -> None:
        raise error

    with pytest.raises(type(error)):
        run_command(command)


@pytest.mark.parametrize("way", ["multiprocessing", "subprocess"])
def test_a_limit_of_processes_is_explained(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    def command() -> None:
        if way == "multiprocessing":
            multiprocessing.get_context("fork").Process(target=print).start()
        else:
            subprocess.run(["true"], check=False)

    monkeypatch.setattr(os, "fork", refused)
    monkeypatch.setattr(subprocess, "_fork_exec", refused)
    monkeypatch.setattr(subprocess, "_USE_POSIX_SPAWN", False)
    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert ended.value.code == 1
    assert "error: no further process or thread may be started" in capsys.readouterr().err


def test_notes_of_an_error_are_appended_to_its_line() -> None:
    error = MemoryError("Unable to allocate 7.45 TiB")
    error.add_note("set data.batch_size=8")
    assert os_errors.explain(error) == "out of memory: Unable to allocate 7.45 TiB; " + "".join(
        error.__notes__
    )


class Failing(Dataset[int]):
    """A data set whose loading process is killed, or whose disk fails."""

    def __init__(self, dies: bool) -> None:
        self.dies = dies

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if self.dies:
            os.kill(os.getpid(), 9)
        raise OSError(errno.EIO, "Input/output error", "cat/1.png")


@pytest.mark.parametrize(
    ("dies", "expected"),
    [(True, "a process that loads images ended: "), (False, "the disk fails")],
)
def test_a_real_failure_in_a_loading_process_is_explained(dies: bool, expected: str) -> None:
    loader: Any = DataLoader(Failing(dies), num_workers=1)
    with pytest.raises((RuntimeError, OSError)) as raised:
        list(loader)
    line = os_errors.explain(raised.value)
    assert line
    assert expected in line


def test_a_real_allocation_failure_is_explained() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(10**15)
    assert "out of memory: " in str(os_errors.explain(raised.value))
    assert os_errors.is_out_of_memory(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        (tmp_path / "gone" / "x").open("w")
    assert f"{tmp_path}/gone/x: it is not there" in str(os_errors.explain(raised.value))


def test_an_event_file_on_a_full_disk_is_explained_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter
    from torch.utils.tensorboard import SummaryWriter

    ended = []
    monkeypatch.setattr(threading, "excepthook", ended.append)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def command() -> None:
        writer = SummaryWriter(str(tmp_path))
        monkeypatch.setattr(RecordWriter, "write", full)
        writer.add_scalar("loss", 1.0)
        try:
            writer.close()
        finally:
            other = threading.Thread(target=full)
            other.start()
            other.join()

    with pytest.raises(SystemExit) as exit_:
        run_command(command)
    assert exit_.value.code == 1
    assert capsys.readouterr().err.startswith("error: the disk is full")
    # Only TensorBoard's threads are silenced.
    assert [type(arguments.thread) for arguments in ended] == [threading.Thread]
    assert threading.excepthook == ended.append
