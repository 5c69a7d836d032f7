"""Results that take seconds to make from files: kept within bounds, and made one at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.errors import LightshipError

MAX_BYTES = 128 * 2**20
_MAX_FAILURES = 64


@dataclass(frozen=True)
class PassingResult:
    """A result that may be another the next time, though its files are the same: it is not kept."""

    content: bytes


Make = Callable[[], bytes | PassingResult]


class ResultCache:
    """Keeps results by the files that they are made from, with size and time of change.

    Parsing a trace takes seconds and many times the file's size in memory. So the requests of a
    reader who clicks through traces wait for one another, and none repeats the work of another.
    The same lock keeps matplotlib, which is not thread-safe, in one thread at a time.

    Args:
        max_bytes: of all results together; the ones used longest ago are dropped.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._making = threading.Lock()
        self._lock = threading.Lock()  # of the two below; held for moments only
        self._results: OrderedDict[Hashable, bytes] = OrderedDict()
        self._failures: OrderedDict[Hashable, LightshipError] = OrderedDict()

    def get(self, files: Sequence[Path], view: Hashable, make: Make) -> bytes:
        """Return a result.

        Args:
            files: that it is made from.
            view: tells results of the same files apart.
            make: makes it.

        Raises:
            LightshipError: a file is damaged; this is remembered as well, unless an OSError is
                the cause: the next attempt to read may succeed.
        """
        key = (view, *map(_version, files))
        known = self._known(key)
        if known is None:
            with self._making:
                known = self._known(key)  # by a request that had the lock before
                if known is None:
                    known = self._make(key, make)
        if isinstance(known, LightshipError):
            raise known.with_traceback(None)  # else each request would make it longer
        return known

    def _known(self, key: Hashable) -> bytes | LightshipError | None:
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
            return self._failures.get(key)

    def _make(self, key: Hashable, make: Make) -> bytes | LightshipError:
        try:
            result = make()
        except LightshipError as error:
            if _is_passing(error):
                raise
            failure = error.with_traceback(None)  # its frames hold what was parsed
            failure.__cause__ = failure.__context__ = None
            with self._lock:
                self._failures[key] = failure
                if len(self._failures) > _MAX_FAILURES:
                    self._failures.popitem(last=False)
            return failure
        if isinstance(result, PassingResult):
            return result.content
        with self._lock:
            self._results[key] = result
            total = sum(map(len, self._results.values()))
            while total > self._max_bytes:
                total -= len(self._results.popitem(last=False)[1])
        return result


def _is_passing(error: BaseException | None) -> bool:
    """Return True if an OSError is in the chain of causes."""
    while error is not None:
        if isinstance(error, OSError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _version(file: Path) -> Hashable:
    """Return what tells versions of a file apart."""
    try:
        status = file.stat()
    except OSError:  # making the result tells why
        return (file,)
    return (file, status.st_size, status.st_mtime_ns)
