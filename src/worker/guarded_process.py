"""The process of a worker and its connection: started, kept within limits, stopped and ended."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

import src
from src.errors import one_line
from src.system.subprocesses import resident_bytes
from src.worker import stopping
from src.worker.errors import TimedOutError, WorkerError

_ROOT = Path(src.__file__).parent.parent
_POLL_SECONDS = 0.2  # between two checks of a worker that has not answered yet
_LAST = 300  # characters of what a worker wrote before its end


@dataclass(frozen=True)
class Limits:
    """Limits and scheduling of one worker.

    Args:
        threads: number of intra-op threads.
        answer_seconds: time limit of one answer; a worker that exceeds it is killed.
        resident_bytes: memory limit; a worker that exceeds it is killed.
        group: prefix of the options that set these limits, for messages.
        high_priority: run at the highest priority if the system allows it, for timing.
        exclusive: no other worker is used at the same time, so the growth of the GPU's memory is
            this worker's, and it is metered.
    """

    threads: int
    answer_seconds: float
    resident_bytes: int
    group: str = "benchmark."
    high_priority: bool = True
    exclusive: bool = False


class GuardedProcess:
    """A child process that answers messages over a pipe, and is killed where it exceeds a limit.

    Args:
        command: its command line; it gets the descriptor of its end of the pipe and its priority
            as two further words.
        environment: all of its environment variables.
        limits: beyond which it is killed.
        own_group: put it into a process group of its own, as a process that is stopped needs: the
            kernel sends SIGHUP to a group that loses its terminal's shell while a process of it
            is stopped, and that must not end this command.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        limits: Limits,
        *,
        own_group: bool,
    ) -> None:
        self._limits = limits
        self._is_stopped = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._connection, its_connection = Pipe()
        descriptor = its_connection.fileno()
        priority = "high" if limits.high_priority else "normal"
        with its_connection:
            self._process = subprocess.Popen(
                [*command, str(descriptor), priority],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                cwd=_ROOT,
                process_group=0 if own_group else None,
                env=environment,
            )

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True if the process has ended by itself or was killed."""
        return self._process.poll() is not None

    def fileno(self) -> int:
        """Return the descriptor that is readable when a message is there, for ``select``."""
        return self._connection.fileno()

    def stop(self) -> None:
        """Stop the process, so that it uses no CPU until the next message."""
        stopping.stop(self._process)
        self._is_stopped = True

    def send(self, *messages: bytes) -> None:
        """Send messages, to a process that goes on if it was stopped.

        Raises:
            WorkerError: the process has ended.
        """
        if self._is_stopped:
            stopping.go_on(self._process)
            self._is_stopped = False
        try:
            for message in messages:
                self._connection.send_bytes(message)
        except ConnectionError as error:
            raise WorkerError(self._death()) from error

    def receive(self, request: str, while_waiting: Callable[[], None]) -> bytes:
        """Return the next message.

        Args:
            request: what the process was asked for, for messages.
            while_waiting: is called a few times a second until the message is there.

        Raises:
            TimedOutError: the process exceeded the time limit.
            WorkerError: it exceeded the memory limit, or has ended.
        """
        end = time.monotonic() + self._limits.answer_seconds
        try:
            while not self._connection.poll(_POLL_SECONDS):
                self._require_within_memory(request)
                if time.monotonic() > end:
                    self.kill()
                    raise TimedOutError(
                        f"no answer to {request} within {self._limits.answer_seconds:g} s "
                        f"({self._limits.group}timeout_seconds); killed"
                    )
                while_waiting()
            return self._connection.recv_bytes()
        except (EOFError, ConnectionError) as error:
            raise WorkerError(self._death()) from error

    def kill(self) -> None:
        """Kill the process, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill the process and free its resources."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _require_within_memory(self, request: str) -> None:
        resident, most = resident_bytes(self._process.pid), self._limits.resident_bytes
        if resident > most:
            self.kill()
            raise WorkerError(
                f"{resident / 1e9:.1f} GB resident during {request}, over "
                f"{self._limits.group}max_memory_bytes={most}; killed"
            )

    def _death(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        last = one_line(self._log.read().decode(errors="replace"))[-_LAST:]
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            cause += " (the kernel does so when memory runs out)"
        return f"the worker process ended with {cause}" + (f": {last}" if last else "")
