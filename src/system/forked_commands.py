"""Commands of this project without the seconds that importing their libraries takes.

A search starts dozens of commands, and each would import torch, Lightning and the exporter anew.
Here one process imports them, and every command is a forked copy of it, with the arguments,
environment, output and signals of a process of its own.
"""

from __future__ import annotations

import atexit
import functools
import json
import math
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from src.system import machine
from src.system.fork_server import LENGTH, MOST_DESCRIPTORS, NUMBER, READY, Request
from src.system.process_stat import fields_after_name

_ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.05


def are_possible() -> bool:
    """Return True where a copy of a process that has imported torch works like a new one.

    macOS does not allow it beside its own libraries. A copy cannot use a GPU that its parent has
    looked at.
    """
    return platform.system() == "Linux" and not machine.may_have_gpu()


class _Answers:
    """The numbers that a server sends.

    Args:
        channel: socket to the server.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._received = b""

    def next(self, timeout: float | None = None) -> int | None:
        """Return the next number; None if the server has ended.

        Raises:
            TimeoutError: none came for a number of seconds.
        """
        self._channel.settimeout(timeout)
        while len(self._received) < NUMBER.size:
            try:
                part = self._channel.recv(NUMBER.size - len(self._received))
            except BlockingIOError as error:  # with a timeout of 0
                raise TimeoutError from error
            except ConnectionResetError:  # it was killed
                part = b""
            if not part:
                return None
            self._received += part
        number: int = NUMBER.unpack(self._received)[0]
        self._received = b""
        return number


class ForkedCommand:
    """A command that runs in a copy of the server, with the interface of ``subprocess.Popen``.

    Args:
        pid: number of its process.
        answers: of the server.
    """

    def __init__(self, pid: int, answers: _Answers) -> None:
        self.pid = pid
        self._answers = answers
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; None while the command runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, negative for the number of the signal that ended the command.

        Args:
            timeout: seconds to wait; None to wait for the end.

        Raises:
            subprocess.TimeoutExpired: the command still runs.
        """
        if self.returncode is not None:
            return self.returncode
        end = math.inf if timeout is None else time.monotonic() + timeout
        try:
            code = self._answers.next(timeout)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0) from error
        if code is None:  # the server was killed: nobody will know how its command ends
            while _is_alive(self.pid):
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
                time.sleep(_POLL_SECONDS)
            code = -signal.SIGKILL
        self.returncode = code
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the command; none if it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM to the command."""
        self.send_signal(signal.SIGTERM)


class ForkServer:
    """Starts commands, one at a time, as copies of a process that has imported modules.

    Args:
        modules: names of the modules to import.
        environment: of the server.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "src.system.fork_server", str(theirs.fileno()), *modules],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._answers = _Answers(self._requests)
        self._command: ForkedCommand | None = None
        self._is_ready = False

    def wait_until_ready(self) -> None:
        """Wait until the modules are imported.

        Raises:
            ChildProcessError: the server has ended.
        """
        if not self._is_ready:
            self._is_ready = self._next() == READY

    def start(
        self,
        module: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        output: IO[bytes] | None = None,
        kept_open: Sequence[int] = (),
    ) -> ForkedCommand | None:
        """Start ``python -m MODULE ARGV...`` in a session of its own, with an empty input.

        Args:
            module: of the command.
            argv: the command line, without the program's name.
            environment: all of its variables.
            output: file for the output; by default it goes where this process's goes.
            kept_open: descriptors that it inherits, under other numbers.

        Returns:
            The command; None if the server was killed, or runs another command.
        """
        if self._command is not None and self._command.poll() is None:
            return None
        written = [output.fileno()] * 2 if output else [sys.stdout.fileno(), sys.stderr.fileno()]
        descriptors = [*written, *kept_open]
        if len(descriptors) > MOST_DESCRIPTORS:
            raise ValueError(f"at most {MOST_DESCRIPTORS} descriptors, found {len(descriptors)}")
        request = Request(module, list(argv), dict(environment), str(Path.cwd()))
        content = json.dumps(asdict(request)).encode()
        self._requests.settimeout(None)
        try:
            socket.send_fds(self._requests, [LENGTH.pack(len(content))], descriptors)
            self._requests.sendall(content)
            self._command = ForkedCommand(self._next(), self._answers)
        except (BrokenPipeError, ConnectionResetError, ChildProcessError):
            return None
        return self._command

    def has_ended(self) -> bool:
        """Return True if the server was killed."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the server. A command that runs is not affected."""
        self._requests.close()
        if not self._is_ready:  # it looks at the socket after its imports, which take seconds
            self._process.kill()

    def _next(self) -> int:
        number = self._answers.next()
        if number is None:
            raise ChildProcessError("the server has ended")
        return number


def server_of(imported: tuple[str, ...]) -> ForkServer | None:
    """Return the server of this process that has imported modules.

    It ends with this process. If it was killed, another one is started.

    Returns:
        The server; None if it ended while it imported the modules.
    """
    if _started(imported).has_ended():
        _started.cache_clear()
    server = _started(imported)
    try:
        server.wait_until_ready()
    except ChildProcessError:
        return None
    return server


@functools.cache
def _started(modules: tuple[str, ...]) -> ForkServer:
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    server = ForkServer(modules, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    atexit.register(server.close)
    return server


def _is_alive(pid: int) -> bool:
    """Return False for a process that has ended, also if nobody has asked for its exit code."""
    try:
        return fields_after_name(Path(f"/proc/{pid}/stat"))[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False
