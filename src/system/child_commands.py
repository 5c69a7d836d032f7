"""Commands of this project in processes of their own, which get the signals of this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import FrameType

from src.system import signals

_ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 1.0


def run_in_subprocess(
    module: str, argv: Sequence[str], log: Path | None = None, *, kept_open: Sequence[int] = ()
) -> int:
    """Run a command of this project in a new process.

    Args:
        module: of the command.
        argv: the command line, without the program's name.
        log: file for the output; by default it goes where this process's goes.
        kept_open: descriptors that the new process inherits.

    Returns:
        The exit code; negative for the number of the signal that ended it.

    Raises:
        Stopped: a signal came, and the command has ended.
    """
    inherited = os.environ.get("PYTHONPATH")
    # The project's root, so that the module is found from any working folder.
    paths = [str(_ROOT), *([inherited] if inherited else [])]
    command = [sys.executable, "-m", module, *argv]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with log.open("wb") if log else nullcontext() as output:
        child = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, pass_fds=tuple(kept_open)
        )
        return wait_for(child)


def wait_for(child: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a command. Pass signals on to it and still wait for its end.

    A signal that this process has blocked comes from a program that simulates it, as Ray does with
    Ctrl-C. The command gets SIGTERM then.

    Raises:
        Stopped: a signal came, and the command has ended.
    """
    received: list[int] = []
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        if number in blocked:  # by the child as well, which inherits this
            child.terminate()
        # A terminal sends Ctrl-C to all processes of a command, including the child.
        elif number != signal.SIGINT or not sys.stdin.isatty():
            child.send_signal(number)

    with signals.handling(pass_on, signal.SIGINT, signal.SIGTERM):
        code = None
        while code is None:
            # Python runs a handler between two instructions. A wait without a timeout would delay
            # the handler of a signal that came just before, or that another thread received.
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(_POLL_SECONDS)
    if received:
        raise signals.Stopped(received[0])
    return code
