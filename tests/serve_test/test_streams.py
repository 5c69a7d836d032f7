"""The start of the streams: side by side, as many at once as there are cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from src.serve_test.streams import ProcessStreams
from src.worker import protocol
from src.worker.errors import WorkerError

IMAGES = np.zeros((2, 3, 4, 4), np.float32)


class FakeWorker:
    """A worker that notes its requests.

    Args:
        log: gets a number and a word for each.
        number: of the worker.
        device: that its runtime runs on.
    """

    def __init__(self, log: list[tuple[int, str]], number: int, device: str = "cpu") -> None:
        self.log, self.number, self.device = log, number, device

    def begin(self, request: protocol.Request[Any], images: Any = None) -> None:
        self.log.append((self.number, f"begin {request.name}"))

    def end(self, request: protocol.Request[Any]) -> Any:
        self.log.append((self.number, f"end {request.name}"))
        return protocol.Loaded(
            import_seconds=0.0,
            load_seconds=0.0,
            nice=0,
            requested={"device": "cpu"},
            effective={"device": self.device},
        )

    def close(self) -> None:
        self.log.append((self.number, "close"))


def starting(log: list[tuple[int, str]], *devices: str) -> Callable[[], Any]:
    workers = iter([FakeWorker(log, number, device) for number, device in enumerate(devices)])
    return lambda: next(workers)


def test_streams_load_and_warm_up_side_by_side_as_many_as_there_are_cores() -> None:
    log: list[tuple[int, str]] = []
    start = starting(log, *["cpu"] * 5)
    opened = ProcessStreams(start, 5, IMAGES, 3, answer_seconds=9, at_once=2)
    assert opened.streams == 5
    requests = ["load", "hold", "warm_up", *["answer_held"] * 4]  # each size twice
    assert log == [
        (number, f"{half} {name}")
        for group in ([0, 1], [2, 3], [4])
        for name in requests
        for half in ("begin", "end")
        for number in group
    ]


def test_a_stream_with_another_setting_than_requested_ends_all() -> None:
    log: list[tuple[int, str]] = []
    start = starting(log, "cpu", "gpu")
    with pytest.raises(WorkerError, match="asked for device cpu, runs with gpu"):
        ProcessStreams(start, 2, IMAGES, 3, answer_seconds=9, at_once=2)
    assert log[-2:] == [(0, "close"), (1, "close")]
