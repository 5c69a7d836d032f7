"""The parent's hold on a worker process: start, ask, end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import src
from src.errors import one_line
from src.formats.base import Unavailable

_ROOT = Path(src.__file__).parent.parent


class WorkerError(Exception):
    """A worker raised, died or did not answer in time; the message says which, in one line."""


class WorkerProcess:
    """One exported file, loaded in a process of its own.

    Args:
        name: the format.
        folder: where it was exported to.
        device: ``cpu`` or ``cuda``.
        threads: intra-op threads.
        timeout: seconds that an answer may take before the worker is killed.
    """

    def __init__(self, name: str, folder: Path, device: str, threads: int, timeout: float) -> None:
        self._timeout = timeout
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
        self._connection, theirs = Pipe()
        command = [sys.executable, "-m", "src.benchmark.worker", name, str(folder), device]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(threads), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                cwd=_ROOT,
                # Thread pools are sized when a runtime is imported.
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )

    def ask(
        self, do: str, images: NDArray[np.float32] | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """The worker's answer to one request.

        Raises:
            Unavailable: the format cannot run on that device here.
            WorkerError: the request failed.
        """
        request = {"do": do, **arguments}
        if images is not None:
            request["shape"] = images.shape
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            if images is not None:
                self._connection.send_bytes(
                    np.ascontiguousarray(images, dtype=np.float32).tobytes()
                )
            answer: dict[str, Any] = json.loads(self._receive(do))
        except (EOFError, ConnectionError, BrokenPipeError) as error:
            raise WorkerError(self._death()) from error
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, K) for images (N, 3, H, W).

        Raises:
            WorkerError: the request failed.
        """
        answer = self.ask("predict", images)
        try:
            data = self._receive("predict")
        except (EOFError, ConnectionError) as error:
            raise WorkerError(self._death()) from error
        return np.frombuffer(data, dtype=np.float32).reshape(answer["shape"])

    def close(self) -> None:
        """End the process, at once; nothing is left behind."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _receive(self, doing: str) -> bytes:
        if not self._connection.poll(self._timeout):
            self._process.kill()
            raise WorkerError(f"no answer to {doing} within {self._timeout:g} s; killed")
        return self._connection.recv_bytes()

    def _death(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        last = one_line(self._log.read().decode(errors="replace"))[-300:]
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the worker process ended with {cause}" + (f": {last}" if last else "")
