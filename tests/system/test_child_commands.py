"""Signals for commands in processes of their own."""

from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from src.system import child_commands
from src.system.signals import Stopped

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
