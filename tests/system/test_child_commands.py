"""Signals for commands in processes of their own."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.system import child_commands
from src.system.signals import Stopped
from tests.conftest import ROOT

# Ends with 7 at SIGTERM.
CHILD = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def blocked_ctrl_c() -> Iterator[None]:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("blocked_ctrl_c")
def test_a_simulated_ctrl_c_ends_a_command_that_does_not_get_a_real_one() -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        timer = threading.Timer(0.2, _thread.interrupt_main)
        timer.start()
        with pytest.raises(Stopped) as caught:
            child_commands.wait_for(child)
    timer.join()
    assert caught.value.signal == signal.SIGINT
    assert child.returncode == 7


def test_a_handler_that_raises_leaves_no_command_behind() -> None:
    def requeue(number: int, _: object) -> None:
        raise Stopped(number)

    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
    assert child.stdout is not None
    earlier = signal.signal(signal.SIGUSR1, requeue)
    try:
        with child.stdout:
            assert child.stdout.readline() == b"ready\n"
            timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            with pytest.raises(Stopped) as caught:
                child_commands.wait_for(child)
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, earlier)
        child.kill()
    assert caught.value.signal == signal.SIGUSR1
    assert child.returncode == 7


# A command that notes each signal that it gets, and whether its parent is still there.
NOTING = """
import os, pathlib, signal, sys, time
received = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, lambda number, _: received.append(number))
print("begun", flush=True)
sys.stdin.read()  # its input is empty
pathlib.Path("pid").write_text(str(os.getpid()))
pathlib.Path("pid").rename("ready")
while not received:
    time.sleep(0.01)
end = time.monotonic() + 5
while not os.path.exists("passed on") and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.1)  # for a second one
pathlib.Path("received").write_text(" ".join(map(str, map(int, received))))
"""
# Runs it as a sweep runs a training, by default as the first process of the terminal's session.
SWEEP = """
import os, pathlib, signal, subprocess, sys
if len(sys.argv) > 1:
    terminal = os.open(sys.argv[1], os.O_RDWR)  # the leader of a session gets what it opens
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
    signal.signal(number, signal.SIG_DFL)
from src.system import child_commands, signals
send = subprocess.Popen.send_signal
def send_and_note(child, number):
    send(child, number)
    pathlib.Path("passed on").touch()
subprocess.Popen.send_signal = send_and_note
with signals.stopping_on_signals():
    try:
        child_commands.run_in_subprocess("noting", [])
    except signals.Stopped as stopped:
        sys.exit(stopped.exit_code)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def sweep(folder: Path, *words: str, prefix: Sequence[str] = (), **options: Any) -> Iterator[Any]:
    """Run SWEEP until its command is ready; end both after the block."""
    (folder / "noting.py").write_text(NOTING)
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", SWEEP, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
        **options,
    )
    ready = folder / "ready"
    try:
        wait_until(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None
        yield process
    finally:
        if process.poll() is None:  # the test has not stopped it, or it has failed
            if ready.exists():
                os.kill(int(ready.read_text()), signal.SIGKILL)
            process.kill()
            process.wait()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ends = os.openpty()
    yield ends
    for descriptor in ends:
        os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal of Linux")
@pytest.mark.parametrize("way", ["typed", "sent"])
@pytest.mark.parametrize("stdin", ["terminal", "nothing", "closed"])
def test_a_command_gets_ctrl_c_once(
    stdin: str, way: str, tmp_path: Path, terminal: tuple[int, int]
) -> None:
    keyboard, screen = terminal
    prefix = ["sh", "-c", 'exec "$@" <&-', "sh"] if stdin == "closed" else []
    source = screen if stdin == "terminal" else subprocess.DEVNULL
    with sweep(
        tmp_path,
        os.ttyname(screen),
        prefix=prefix,
        stdin=source,
        stdout=screen,
        stderr=screen,
        start_new_session=True,
    ) as process:
        if way == "typed":
            os.write(keyboard, b"\x03")
        else:
            os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGINT
    assert (tmp_path / "received").read_text() == str(int(signal.SIGINT))
    assert b"begun" in os.read(keyboard, 1000)


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal of Linux")
@pytest.mark.parametrize(
    ("key", "number"), [(b"\x1c", signal.SIGQUIT), (b"", signal.SIGHUP)], ids=["quit", "hang up"]
)
def test_a_command_gets_the_other_signals_of_a_terminal_once(
    key: bytes, number: signal.Signals, tmp_path: Path, terminal: tuple[int, int]
) -> None:
    keyboard, screen = terminal
    with sweep(
        tmp_path, os.ttyname(screen), stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        if key:
            os.write(keyboard, key)
        else:
            with Path(os.devnull).open() as null:
                os.dup2(null.fileno(), keyboard)  # closes it, as a connection that is lost
        assert process.wait(60) == 128 + number
    assert (tmp_path / "received").read_text() == str(int(number))


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_ctrl_z_stops_a_command_with_its_parent_and_both_go_on(tmp_path: Path) -> None:
    with sweep(tmp_path, stdout=subprocess.DEVNULL, process_group=0) as process:
        pids = [process.pid, int((tmp_path / "ready").read_text())]
        os.kill(process.pid, signal.SIGTSTP)
        wait_until(lambda: all(map(is_stopped, pids)))
        os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: not any(map(is_stopped, pids)))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_stopped_command_stays_stopped_when_its_parent_is_killed(tmp_path: Path) -> None:
    # The kernel ends and wakes a stopped group of its own session that loses its parent.
    with sweep(tmp_path, stdout=subprocess.DEVNULL) as process:
        command = int((tmp_path / "ready").read_text())
        os.kill(command, signal.SIGSTOP)
        wait_until(lambda: is_stopped(command))
        process.kill()
        process.wait()
        try:
            time.sleep(0.2)
            assert is_stopped(command)
        finally:
            os.kill(command, signal.SIGKILL)
