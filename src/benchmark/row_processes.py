"""The worker processes of one row, one after the other.

A file's speed differs from process to process: address space layout randomisation, the heap that
the imports left, how pages and threads come to lie on the machine. Python is executed anew for
each, for a fork of a process that has imported the runtime would have its parent's layout.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.benchmark.statistics import fidelity
from src.run.row import Profile
from src.worker import protocol
from src.worker.process import WorkerError, WorkerProcess

Images = NDArray[np.float32]


class SuccessiveWorkers:
    """One exported file, loaded in a new process as often as it is asked for.

    Args:
        start: the next process.
        classes: K, as every answer is to have them.
        reference_outputs: images (n, 3, H, W) and the trained network's logits (n, K) for them.
        tolerance: see :class:`src.formats.base.Format`.
    """

    def __init__(
        self,
        start: Callable[[], WorkerProcess],
        classes: int,
        reference_outputs: tuple[Images, Images],
        tolerance: float | None,
    ) -> None:
        self._start = start
        self._classes = classes
        self._reference_outputs = reference_outputs
        self._tolerance = tolerance
        self._worker: WorkerProcess | None = None
        self._loaded: protocol.Loaded | None = None
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
        self._worker.begin(protocol.ImportRuntime())

    def load(self) -> protocol.Loaded:
        """Wait for the process that was begun, and load the file in it.

        Raises:
            Unavailable: the format cannot run here.
            WorkerError: it fails.
        """
        imported = self.present.end(protocol.ImportRuntime())
        loaded = self.present.ask(protocol.Load(classes=self._classes))
        self._loaded = msgspec.structs.replace(loaded, import_seconds=imported.import_seconds)
        self.load_seconds.append(loaded.load_seconds)
        return self._loaded

    def check(self) -> protocol.Held:
        """Compare the answers of what was loaded with those of the trained network.

        Returns:
            How long the first call took.

        Raises:
            WorkerError: it fails, runs with other settings, or is not the trained network.
        """
        problem = _other_settings(self._loaded) if self._loaded else "nothing is loaded"
        if problem is not None:
            raise WorkerError(problem)
        images, logits = self._reference_outputs
        first = self.present.ask(protocol.Hold(), images[:1])
        problem = fidelity.what_is_wrong(self.present.predict(images), logits, self._tolerance)
        if problem is not None:
            raise WorkerError(problem)
        return first

    def finish(self) -> Profile:
        """Return the profile of the present process.

        Raises:
            WorkerError: the process died.
        """
        return self.present.ask(protocol.Finish()).profile

    def close(self) -> None:
        """End the present process, if there is one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _other_settings(loaded: protocol.Loaded) -> str | None:
    """Return why a row does not run as it was asked to, or None if it does."""
    effective = loaded.effective
    for name, wanted in loaded.requested.items():
        if name in effective and effective[name] != wanted:
            return f"asked for {name} {wanted}, runs with {effective[name]}"
    return None
