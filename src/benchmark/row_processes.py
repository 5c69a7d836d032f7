"""The worker processes of one row, one after the other.

A file's speed differs from process to process: address space layout randomisation, the heap that
the imports left, how pages and threads come to lie on the machine. Python is executed anew for
each, for a fork of a process that has imported the runtime would have its parent's layout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.benchmark.statistics import fidelity
from src.worker.process import WorkerError, WorkerProcess

Images = NDArray[np.float32]


class SuccessiveWorkers:
    """One exported file, loaded in a new process as often as it is asked for.

    Args:
        start: the next process.
        classes: K, as every answer is to have them.
        probe: images (n, 3, H, W) and the trained network's logits (n, K) for them.
        tolerance: see :class:`src.formats.base.Format`.
    """

    def __init__(
        self,
        start: Callable[[], WorkerProcess],
        classes: int,
        probe: tuple[Images, Images],
        tolerance: float | None,
    ) -> None:
        self._start = start
        self._classes = classes
        self._probe = probe
        self._tolerance = tolerance
        self._worker: WorkerProcess | None = None
        self._loaded: dict[str, Any] = {}
        self.number = -1  # of the present one
        self.load_seconds: list[float] = []  # of each

    @property
    def present(self) -> WorkerProcess:
        """The present process.

        Raises:
            WorkerError: there is none.
        """
        if self._worker is None:
            raise WorkerError("the worker process is not running")
        return self._worker

    def begin(self) -> None:
        """End the present process, and start the next one, which begins to import the runtime.

        Raises:
            WorkerError: either has died.
        """
        if self._worker is not None:
            self.close()
        self._worker = self._start()
        self.number += 1
        self._worker.begin("import_runtime")

    def load(self) -> dict[str, Any]:
        """Wait for the process that was begun, and load the file in it.

        Returns:
            What the worker says of the import and the load.

        Raises:
            Unavailable: the format cannot run here.
            WorkerError: it fails.
        """
        imported = self.present.end("import_runtime")
        self._loaded = {**self.present.ask("load", classes=self._classes), **imported}
        self.load_seconds.append(self._loaded["load_seconds"])
        return self._loaded

    def check(self) -> dict[str, Any]:
        """Ask what was loaded for the answers that the trained network gave.

        Returns:
            What the worker says of its first call.

        Raises:
            WorkerError: it fails, runs with other settings, or is not the trained network.
        """
        problem = _other_settings(self._loaded["requested"], self._loaded["effective"])
        if problem is not None:
            raise WorkerError(problem)
        images, logits = self._probe
        first = self.present.ask("hold", images[:1])
        problem = fidelity.what_is_wrong(self.present.predict(images), logits, self._tolerance)
        if problem is not None:
            raise WorkerError(problem)
        return first

    def finish(self) -> dict[str, Any]:
        """The profile of the present process.

        Raises:
            WorkerError: the process died.
        """
        profile: dict[str, Any] = self.present.ask("finish")["profile"]
        return profile

    def close(self) -> None:
        """End the present process, if there is one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _other_settings(requested: dict[str, Any], effective: dict[str, Any]) -> str | None:
    """Why a row does not run as it was asked to, or None if it does."""
    for name, wanted in requested.items():
        if name in effective and effective[name] != wanted:
            return f"asked for {name} {wanted}, runs with {effective[name]}"
    return None
