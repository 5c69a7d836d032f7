"""Peak memory of each batch size, measured in a separate process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.backends.base import Unavailable
from src.benchmark import memory
from src.benchmark.row_memory import RowMemory
from src.benchmark.suite import measure
from src.report.sections.footnotes import footnotes
from src.run.folder import Run
from src.run.latency import Memory
from src.run.layout import as_dict
from src.worker import protocol
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.memory_peak import MOST_CALLS, peak_when_steady
from tests.benchmark.planted_formats import FEW, HUNGRY_BYTES, Data, only, silent
from tests.report.pages import record
from tests.report.planted import latency, results, row

LIMITS = Limits(threads=1, answer_seconds=9, resident_bytes=10**9)
TWO_SIZES = replace(FEW, batch_sizes=[1, 3], memory=True)
BATCHES = [np.zeros((size, 3, 4, 4), np.float32) for size in (1, 8)]


def test_the_peak_memory_of_a_batch_size_excludes_scoring_and_other_sizes(run: Run) -> None:
    only(run, "eager", "hungry")
    eager, hungry = measure(run, Data(), TWO_SIZES, silent).rows
    one, three = (cell.peak_memory.peak_rss_bytes for cell in hungry.latency if cell.peak_memory)
    assert one is not None
    assert three is not None
    # It was scored, and checked, with 64 images at once.
    assert one < 20 * HUNGRY_BYTES
    assert three - one == pytest.approx(2 * HUNGRY_BYTES, rel=0.5)
    peak = eager.latency[0].peak_memory
    assert peak
    assert peak.peak_rss_bytes is not None
    assert 0 < peak.peak_rss_bytes < one
    assert peak.peak_device_bytes is None
    assert run.read_benchmark().rows[1] == hungry


def test_processes_that_time_a_row_measure_its_memory_before_anything_else(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(run, "eager", "hungry")
    in_own_processes = {each.name: each.latency for each in measured_rows(run)}
    monkeypatch.setattr(memory, "WorkerProcess", None)  # no further process is started
    for each in measured_rows(run, processes=3, max_seconds=60.0):
        for cell, separate in zip(each.latency, in_own_processes[each.name], strict=True):
            assert cell.processes == 3
            assert cell.peak_memory
            assert separate.peak_memory
            peak, expected = cell.peak_memory.peak_rss_bytes, separate.peak_memory.peak_rss_bytes
            assert peak is not None
            assert peak == pytest.approx(expected, abs=HUNGRY_BYTES / 2)


def measured_rows(run: Run, **options: Any) -> list[Any]:
    """The rows of a measurement with a name each."""
    rows = measure(run, Data(), replace(TWO_SIZES, **options), silent).rows
    return [SimpleNamespace(name=row.format, latency=row.latency) for row in rows]


def test_a_process_that_is_killed_by_its_peak_is_replaced() -> None:
    done: list[str] = []

    class Killed:
        def ask(self, request: Any, images: Any) -> Any:
            done.append(f"peak of {len(images)}")
            if len(images) == 8:
                raise WorkerError("8.0 GB resident during peak_memory; killed")
            return protocol.MemoryPeak(peak_rss_bytes=1000)

    processes: Any = SimpleNamespace(
        current=Killed(), begin=lambda: done.append("begin"), load=lambda: done.append("load")
    )
    peaks = RowMemory()
    peaks.plan(BATCHES)
    for _ in range(3):
        peaks.measure_next(processes)
    assert done == ["peak of 1", "peak of 8", "begin", "load"]
    assert peaks.peaks[1] == Memory(peak_rss_bytes=1000)
    assert peaks.peaks[8].memory_reason == "8.0 GB resident during peak_memory; killed"


def counted(values: list[int]) -> tuple[list[int], Iterator[int]]:
    calls: list[int] = []

    def read() -> Iterator[int]:
        for value in [*values, *[values[-1]] * MOST_CALLS]:
            calls.append(value)
            yield value

    return calls, read()


@pytest.mark.parametrize(
    ("peaks", "expected", "calls"),
    [
        ([100, 100, 100], 100, 3),
        ([100, 200, 200, 200], 200, 4),  # what is allocated in the second call
        ([1000, 1005, 1009], 1009, 3),  # within a hundredth
        ([100, 200, 300, 400, 400, 400], 400, 6),
        ([0, 0, 0], 0, 3),
        ([-100, -100, -100], -100, 3),
        ([100 * 2**step for step in range(MOST_CALLS)], 100 * 2 ** (MOST_CALLS - 1), MOST_CALLS),
    ],
)
def test_a_peak_is_read_when_calls_no_longer_raise_it(
    peaks: list[int], expected: int, calls: int
) -> None:
    read, values = counted(peaks)
    assert peak_when_steady(lambda: None, lambda: next(values)) == expected
    assert len(read) == calls


class Process:
    """A fake worker that counts the workers that exist at the same time."""

    alive = 0
    most: dict[str, int] = {}  # noqa: RUF012  # put back by the fixture
    lock = threading.Lock()

    def __init__(
        self,
        name: str,
        folder: Path,
        device: str,
        limits: Limits,
        batch_maker: None,
        python: None,
    ) -> None:
        assert limits.exclusive
        self.name, self.device = name, device
        self.peak_device_bytes = 7 if device == "cuda" else None
        with self.lock:
            Process.alive += 1
            self.most[device] = max(self.most.get(device, 0), Process.alive)

    def ask(self, request: protocol.Request[Any], images: Any = None) -> Any:
        time.sleep(0.01)  # so that those that run at once meet
        if self.name == "killed" and isinstance(request, protocol.PeakMemory):
            raise WorkerError("8.0 GB resident during peak_memory; killed")
        if self.name == "gone":
            raise Unavailable("not installed: torch")
        return None if images is None else protocol.MemoryPeak(peak_rss_bytes=1000 * len(images))

    def close(self) -> None:
        with self.lock:
            Process.alive -= 1


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> type[Process]:
    monkeypatch.setattr(memory, "WorkerProcess", Process)
    monkeypatch.setattr(Process, "most", {})
    monkeypatch.setattr(memory.machine, "usable_cores", lambda: 3)
    return Process


def planted(name: str, device: str = "cpu", ok: bool = True) -> Any:
    return SimpleNamespace(
        name=name,
        device=device,
        ok=ok,
        classes=3,
        memory=RowMemory(),
        batch_maker=None,
        python=None,
    )


def test_files_on_a_gpu_are_measured_one_by_one(processes: type[Process]) -> None:
    rows = [
        planted(f"{device}{number}", device) for number in range(4) for device in ("cuda", "cpu")
    ]
    memory.measure(rows, BATCHES, Path(), LIMITS, silent)
    assert processes.most == {"cpu": 3, "cuda": 1}
    assert processes.alive == 0
    for measured_row in rows:
        on_gpu = 7 if measured_row.device == "cuda" else None
        assert measured_row.memory.peaks == {
            size: Memory(peak_rss_bytes=1000 * size, peak_device_bytes=on_gpu) for size in (1, 8)
        }


def test_a_file_whose_memory_cannot_be_measured_says_why_and_stays_ok(
    processes: type[Process],
) -> None:
    rows = [planted("killed"), planted("gone"), planted("failed", ok=False), planted("good")]
    memory.measure(rows, BATCHES[:1], Path(), LIMITS, silent)
    assert as_dict(rows[0].memory.peaks[1]) == {
        "peak_rss_bytes": None,
        "peak_device_bytes": None,
        "memory_reason": "8.0 GB resident during peak_memory; killed",
    }
    assert rows[1].memory.peaks[1] == Memory(memory_reason="not installed: torch")
    assert rows[2].memory.peaks == {}
    assert rows[3].memory.peaks[1].peak_rss_bytes == 1000
    assert processes.alive == 0
    measured = results(row("onnx", latency=[latency(8, 0.1, **as_dict(rows[0].memory.peaks[1]))]))
    assert (
        "onnx on cpu: its memory at batch 8 is not known "
        "(8.0 GB resident during peak_memory; killed)"
    ) in [*footnotes(record(measured))]
