"""Worker processes of one row, one after the other.

A file's speed differs from process to process because of address space layout randomisation, the
state of the heap after the imports, and the placement of pages and threads. So each process starts
a new Python interpreter: a fork of a process that has imported the runtime would inherit its
memory layout.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.benchmark.statistics import fidelity
from src.run.row import Profile
from src.worker import protocol
from src.worker.errors import WorkerError
from src.worker.process import WorkerProcess
from src.worker.requested_settings import other_setting

Images = NDArray[np.float32]


class RowProcesses:
    """One exported file, loaded in successive processes.

    Args:
        start: starts and returns a new process.
        classes: K, the number of classes that every answer must have.
        reference: images (n, 3, H, W) and the trained network's logits (n, K) for them.
        tolerance: see :class:`src.formats.base.Format`.
    """

    def __init__(
        self,
        start: Callable[[], WorkerProcess],
        classes: int,
        reference: tuple[Images, Images],
        tolerance: float | None,
    ) -> None:
        self._start = start
        self._classes = classes
        self._reference = reference
        self._tolerance = tolerance
        self._worker: WorkerProcess | None = None
        self._loaded: protocol.Loaded | None = None
        self.number = -1  # of the current process
        self.load_seconds: list[float] = []  # one value per process

    @property
    def current(self) -> WorkerProcess:
        """The process that is running.

        Raises:
            WorkerError: there is none.
        """
        if self._worker is None:
            raise WorkerError("the worker process is not running")
        return self._worker

    def begin(self) -> None:
        """End the current process and start the next one, which begins to import the runtime.

        Raises:
            WorkerError: either has died.
        """
        if self._worker is not None:
            self.close()
        self._worker = self._start()
        self.number += 1
        self._worker.begin(protocol.ImportRuntime())

    def load(self) -> protocol.Loaded:
        """Wait until the new process has imported the runtime, and load the file in it.

        Raises:
            Unavailable: the format cannot run here.
            WorkerError: it fails.
        """
        imported = self.current.end(protocol.ImportRuntime())
        loaded = self.current.ask(protocol.Load(classes=self._classes))
        self._loaded = msgspec.structs.replace(loaded, import_seconds=imported.import_seconds)
        self.load_seconds.append(loaded.load_seconds)
        return self._loaded

    def check(self) -> protocol.Held:
        """Compare the logits of the loaded file with those of the trained network.

        Returns:
            The duration of the first call.

        Raises:
            WorkerError: a call fails, the runtime runs with other settings than requested, or the
                logits are not those of the trained network.
        """
        problem = other_setting(self._loaded) if self._loaded else "nothing is loaded"
        if problem is not None:
            raise WorkerError(problem)
        images, logits = self._reference
        first = self.current.ask(protocol.Hold(), images[:1])
        problem = fidelity.mismatch(self.current.predict(images), logits, self._tolerance)
        if problem is not None:
            raise WorkerError(problem)
        return first

    def replace_if_ended(self) -> None:
        """Load and check the file in a new process if the current one has ended.

        Raises:
            Unavailable: the format cannot run here.
            WorkerError: the new process fails.
        """
        if self._worker is not None and self._worker.has_ended:
            self.begin()
            self.load()
            self.check()

    def finish(self) -> Profile:
        """Return the profile of the current process.

        Raises:
            WorkerError: the process died.
        """
        return self.current.ask(protocol.Finish()).profile

    def close(self) -> None:
        """End the current process, if there is one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
