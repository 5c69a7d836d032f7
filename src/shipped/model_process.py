"""A process that has the model to itself, asked by lines of JSON: ``session.py`` runs in it."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from .exam_files import ExamError
else:  # in the folder of a model
    from exam_files import ExamError

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]

ANSWER_SECONDS = 300.0  # limit of one answer


class Process:
    """A new process that has the model to itself.

    Args:
        folder: of the model and of ``session.py``.
        python: interpreter of an environment with the runtime; by default this one.
        variables: of its environment; by default those of this process.
        answer_seconds: limit of one answer.

    Raises:
        ExamError: there is no place for a temporary file, or no process can be started.
    """

    def __init__(
        self,
        folder: Path,
        python: str = sys.executable,
        variables: Mapping[str, str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._answer_seconds = answer_seconds
        try:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        except OSError as error:  # as in a container whose disk is read-only
            raise ExamError(
                f"no temporary file can be made ({error.strerror or error}); name a folder that "
                "can be written, as in TMPDIR=/path"
            ) from error
        try:
            self._process = subprocess.Popen(
                [python, "-B", folder / "session.py"],  # -B leaves the folder as it is
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=variables,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:  # no memory, or no process more for this user
            self._log.close()
            raise ExamError(f"no process can be started: {error.strerror or error}") from error
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.warm = True

    def ask(self, name: str, **request: Any) -> Json:
        """Return the answer to one request.

        Raises:
            ExamError: it failed, the process died, or it took too long.
        """
        self.begin(name, **request)
        return self.end(name)

    def begin(self, name: str, **request: Any) -> None:
        """Send a request without waiting for its answer."""
        if self._process.stdin is None:
            raise ExamError("the process has no input")
        # It has died, which end() tells. The error is BrokenPipeError, or on Windows another.
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps({"do": name, **request}) + "\n")
            self._process.stdin.flush()

    def end(self, name: str) -> Json:
        """Return the answer to the request that :meth:`begin` sent."""
        try:
            line = self._lines.get(timeout=self._answer_seconds)
        except queue.Empty:
            raise ExamError(f"no answer to {name} within {self._answer_seconds:g} s") from None
        if not line:
            raise ExamError(f"the process that ran the model ended: {self._last_words()}")
        answer: Json = json.loads(line)
        if "error" in answer:
            raise ExamError(f"{name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Kill the process and free its resources."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(OSError):  # a pipe without a reader
                    stream.close()

    def _read(self) -> None:
        if self._process.stdout is not None:
            with contextlib.suppress(ValueError):  # closed while it was read
                for line in self._process.stdout:
                    self._lines.put(line)
        self._lines.put("")

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        words = " ".join(self._log.read().decode(errors="replace").split())[-300:]
        return f"exit code {code}{f': {words}' if words else ''}"


def all_logits(process: Process, report: Callable[[str], None]) -> Array:
    """Return the logits (n, K) of the exam from a process that has loaded the model.

    They are asked for batch by batch, so the limit of one answer is that of a batch.

    Args:
        process: with the model.
        report: gets a line on the progress.

    Raises:
        ExamError: the model fails, or takes too long for a batch.
    """
    batches: list[Array] = []
    answered, left = 0, 1
    while left:
        report(
            f"answering the exam, {answered} images so far" if answered else "answering the exam"
        )
        answer = process.ask("batch", start=answered)
        batches.append(logits_of(answer))
        answered, left = answered + len(batches[-1]), answer["left"]
    return np.concatenate(batches)


def logits_of(answer: Json) -> Array:
    """Return the logits (n, K) in an answer of the process."""
    return np.frombuffer(base64.b64decode(answer["logits"]), "<f4").reshape(answer["shape"])
