"""The record of a twin while it is made: what was found so far is on disk at any time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import torch

from src.run.twin import Twin
from src.system import machine


class Account:
    """A record whose changes are written, with the time and memory so far.

    Args:
        record: as far as the twin was made, by this command or earlier ones.
        write: writes a record.
        clock: seconds.
    """

    def __init__(
        self,
        record: Twin,
        write: Callable[[Twin], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record = record
        self._write = write
        self._clock = clock
        self._started = clock()
        self._before = record.seconds

    def note(self, **changes: object) -> None:
        """Change fields of the record, and write it."""
        seconds = self._before + self._clock() - self._started
        rss, device = self.record.peak_rss_bytes or 0, self.record.peak_device_bytes
        if torch.cuda.is_available():
            peaks = map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count()))
            device = max(device or 0, *peaks)
        self.record = msgspec.structs.replace(
            self.record,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=seconds,
            peak_rss_bytes=max(rss, machine.peak_rss_bytes()),
            peak_device_bytes=device,
            **changes,
        )
        self._write(self.record)

    @contextlib.contextmanager
    def noting(self, changes: Callable[[], dict[str, object]]) -> Iterator[None]:
        """Note changes after a block, also after one that was stopped or failed."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk: the first error says it
                self.note(**changes())
            raise
        self.note(**changes())
