"""A model in a copy of the process that has opened it, as ``gunicorn --preload`` makes one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class OneProcess:
    """An opened model file that answers in the process that has opened it, and in no copy of it.

    A fork copies no threads. So a runtime waits in the copy for its own ones without end:
    https://github.com/microsoft/onnxruntime/issues/9800

    Args:
        call: of the runtime.
        metadata: of the runtime.
    """

    def __init__(self, call: Callable[[Array], Array], metadata: dict[str, Any]) -> None:
        self._call = call
        self.metadata = metadata
        self._process = os.getpid()

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it.

        Raises:
            RuntimeError: this process is a copy.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                "the model was opened in another process, of which this one is a copy without its "
                "threads; open it after the fork, in each process (gunicorn without --preload, or "
                "multiprocessing with spawn)"
            )
        return self._call(images)
