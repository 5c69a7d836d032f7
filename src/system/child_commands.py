r"""Commands of this project in processes of their own, which get the signals of this one.

A terminal sends Ctrl-C, Ctrl-\ and Ctrl-Z to the processes in its foreground. A command gets a
session of its own, so that only this process receives them and passes each on once, wherever it
came from: a second Ctrl-C stops a training at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Protocol

from src.system import forked_commands, signals
from src.system.folder_lock import HELD_BY_PARENT

_ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 1.0


class Command(Protocol):
    """A command in a process of its own, as ``subprocess.Popen`` has it."""

    @property
    def pid(self) -> int:
        """The number of its process, which leads a session."""

    def poll(self) -> int | None:
        """Return the exit code; None while the command runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, or raise ``subprocess.TimeoutExpired``."""

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the command has ended."""

    def terminate(self) -> None:
        """Send SIGTERM."""


def run_in_subprocess(
    module: str,
    argv: Sequence[str],
    log: Path | None = None,
    *,
    kept_open: Sequence[int] = (),
    held: Path | None = None,
    imported: Sequence[str] = (),
) -> int:
    """Run a command of this project in a new process.

    Args:
        module: of the command.
        argv: the command line, without the program's name.
        log: file for the output; by default it goes where this process's goes.
        kept_open: descriptors that the new process inherits.
        held: folder that this process has locked, also for the new process.
        imported: modules that this and later commands import. Where it is possible they are
            imported once, for all commands of this process.

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
    if held is not None:
        environment[HELD_BY_PARENT] = str(held.resolve())
    server = None
    if imported and forked_commands.are_possible():
        server = forked_commands.server_of(tuple(imported))
    with (
        log.open("wb") if log else nullcontext() as output,
        signals.noting_signals() as early,  # that come before wait_for handles them
    ):
        child: Command | None = None
        if server is not None:
            child = server.start(module, argv, environment, output, kept_open)
        return wait_for(child or start(command, environment, output, kept_open), early)


def start(
    command: Sequence[str],
    environment: dict[str, str] | None = None,
    output: IO[bytes] | None = None,
    kept_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, for :func:`wait_for`.

    Its input is empty, because its parent is the one that the terminal belongs to.

    Args:
        command: the program and its arguments.
        environment: all of its variables; by default those of this process.
        output: file for the output; by default it goes where this process's goes.
        kept_open: descriptors that the new process inherits.
    """
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=tuple(kept_open),
        start_new_session=True,
    )


def wait_for(child: Command, early: Sequence[int] = ()) -> int:
    """Return the exit code of a command. Pass signals on to it and still wait for its end.

    A signal that this process has blocked comes from a program that simulates it, as Ray does with
    Ctrl-C. The command gets SIGTERM then, and also where a handler of another signal raises an
    exception: no command outlives this process. Ctrl-Z stops the command with this process, and
    both go on together.

    Args:
        child: the command.
        early: numbers of signals that came before. Some may come until this function handles them.

    Raises:
        Stopped: a signal came, and the command has ended.
    """
    received: list[int] = []
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        if number in blocked:  # by the child as well, which inherits this
            child.terminate()
        else:
            child.send_signal(number)

    def pause(number: int, _: FrameType | None) -> None:
        _signal_group(child, signal.SIGSTOP)
        with signals.handling(signal.SIG_DFL, signal.SIGTSTP):
            signal.raise_signal(number)  # returns when this process goes on
        _signal_group(child, signal.SIGCONT)

    with (
        signals.handling(pass_on, *signals.STOPPING, signal.SIGQUIT),
        signals.handling(pause, signal.SIGTSTP),
    ):
        for number in early:
            pass_on(number, None)
        try:
            code = _exit_code(child)
        except BaseException:  # of a handler of another signal, such as that of a SLURM job
            child.terminate()
            _exit_code(child)
            raise
    if received:
        raise signals.Stopped(received[0])
    return code


def _exit_code(child: Command) -> int:
    """Return the exit code of a command once it has ended."""
    while True:
        # Python runs a handler between two instructions. A wait without a timeout would delay the
        # handler of a signal that came just before, or that another thread received.
        with suppress(subprocess.TimeoutExpired):
            return child.wait(_POLL_SECONDS)


def _signal_group(child: Command, number: int) -> None:
    """Send a signal to a command and the processes that it started; none if it has ended."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
