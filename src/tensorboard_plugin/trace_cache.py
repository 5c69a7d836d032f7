"""Results of parsed traces: bounded, and one trace is parsed at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

from src.errors import LightshipError

MAX_BYTES = 128 * 2**20
_MAX_FAILURES = 64


class TraceCache:
    """Keeps results by file, its size and its time of change.

    A parse takes seconds and many times the file's size. So the requests of a reader who clicks
    through traces wait for one another, and none repeats the work of another.

    Args:
        max_bytes: of all results together; the ones used longest ago are dropped.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._parsing = threading.Lock()
        self._results: OrderedDict[Hashable, bytes] = OrderedDict()
        self._failures: OrderedDict[Hashable, str] = OrderedDict()

    def get(self, path: Path, view: Hashable, parse: Callable[[Path], bytes]) -> bytes:
        """Return the result of ``parse`` for a file.

        Args:
            path: the file.
            view: tells results of the same file apart.
            parse: makes a result from the file.

        Raises:
            LightshipError: the file is damaged; this is remembered as well.
            OSError: the file is gone.
        """
        status = path.stat()
        key = (path, status.st_size, status.st_mtime_ns, view)
        if (result := self._known(key)) is not None:
            return result
        with self._parsing:
            if (result := self._known(key)) is not None:
                return result
            try:
                result = parse(path)
            except LightshipError as error:
                with self._lock:
                    self._failures[key] = str(error)
                    if len(self._failures) > _MAX_FAILURES:
                        self._failures.popitem(last=False)
                raise
            self._keep(key, result)
            return result

    def _known(self, key: Hashable) -> bytes | None:
        with self._lock:
            if key in self._failures:
                raise LightshipError(self._failures[key])
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def _keep(self, key: Hashable, result: bytes) -> None:
        with self._lock:
            self._results[key] = result
            while self._results and sum(map(len, self._results.values())) > self._max_bytes:
                self._results.popitem(last=False)
