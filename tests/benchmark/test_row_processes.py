"""Successive worker processes of a row, with planted formats and with fake processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.benchmark.row_processes import RowProcesses
from src.benchmark.suite import measure
from src.run.folder import Run
from src.run.row import Profile
from src.worker import protocol
from src.worker.errors import WorkerError
from tests.benchmark.planted_formats import OPTIONS, Data, only, silent

PROCESSES = 3
SEVERAL = replace(OPTIONS, processes=PROCESSES, rounds=2)


def test_each_round_is_stored_with_the_process_that_it_was_measured_in(run: Run) -> None:
    only(run, "eager", "talking")
    measure(run, Data(), SEVERAL, silent)
    rows = run.read_benchmark().rows
    for row in rows:
        started = (run.exports / row.format / "started").read_text().split()
        assert len(set(started)) == PROCESSES
        assert len(row.loads_seconds or []) == PROCESSES
        assert [cell.process_of_round for cell in row.latency] == [
            {"0": 0, "1": 0, "2": 1, "3": 1, "4": 2, "5": 2}
        ] * len(SEVERAL.batch_sizes)
        assert {cell.processes for cell in row.latency} == {PROCESSES}
    assert [cell.speedup and cell.speedup.processes for cell in rows[1].latency] == [PROCESSES] * 2


LATER = {
    "unloadable-later": "ValueError: no such file",
    "shifted-later": "logits differ by",
    "elsewhere-silently-later": "asked for device cpu, runs with gpu",
    "crashing-later": "SIGABRT",
    "nan-of-three-later": "logits of 1 images are not finite",
}


def test_a_failure_in_a_later_process_fails_the_row(run: Run) -> None:
    only(run, "eager", *LATER, "elsewhere-later")
    options = replace(SEVERAL, processes=2, rounds=1)
    rows = {row.format: row for row in measure(run, Data(), options, silent).rows}
    assert rows["eager"].status == "ok"
    for name, reason in LATER.items():
        assert rows[name].status == "failed", name
        assert reason in str(rows[name].reason)
        assert rows[name].latency == []
    assert rows["elsewhere-later"].status == "skipped"


PROFILE = Profile(time={}, nodes={}, operators={})


class FakeWorker:
    """A fake worker that logs its requests."""

    def __init__(self, log: list[str], load_seconds: float) -> None:
        self.log, self.load_seconds = log, load_seconds

    def begin(self, request: protocol.Request[Any]) -> None:
        self.log.append(f"begin {request.name}")

    def end(self, request: protocol.Request[Any]) -> protocol.Answer:
        self.log.append(f"end {request.name}")
        return protocol.Imported(import_seconds=1.0)

    def ask(self, request: protocol.Request[Any], *_: Any) -> protocol.Answer:
        self.log.append(request.name)
        settings = {"device": "cpu", "threads": 1}
        answers: dict[str, protocol.Answer] = {
            "load": protocol.Loaded(
                import_seconds=0.0,
                load_seconds=self.load_seconds,
                nice=0,
                requested=settings,
                effective={"runtime": "fake", **settings},
            ),
            "hold": protocol.Held(first_inference_seconds=0.5),
            "finish": protocol.Profiled(profile=PROFILE),
        }
        return answers[request.name]

    def predict(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, :3]

    def close(self) -> None:
        self.log.append("close")


def fakes(log: list[str], *load_seconds: float) -> RowProcesses:
    left = iter([FakeWorker(log, seconds) for seconds in load_seconds])
    images = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    logits = images.reshape(2, -1)[:, :3]
    start: Any = lambda: next(left)  # noqa: E731
    return RowProcesses(start, classes=3, reference=(images, logits), tolerance=1e-3)


def test_the_profile_is_that_of_the_last_process() -> None:
    log: list[str] = []
    workers = fakes(log, 1.0, 1.0)
    for _ in range(2):
        workers.begin()
        workers.load()
    assert workers.finish() == PROFILE
    assert log.count("finish") == 1


def test_a_process_ends_before_the_next_starts_and_begins_to_import() -> None:
    log: list[str] = []
    workers = fakes(log, 2.0, 3.0)
    workers.begin()
    loaded, first = workers.load(), workers.check()
    assert (loaded.import_seconds, loaded.load_seconds) == (1.0, 2.0)
    assert (first.first_inference_seconds, loaded.effective["runtime"]) == (0.5, "fake")
    workers.begin()
    assert log == [
        *("begin import_runtime", "end import_runtime", "load", "hold"),
        *("close", "begin import_runtime"),
    ]
    assert workers.number == 1
    assert workers.load_seconds == [2.0]
    workers.load()
    assert workers.load_seconds == [2.0, 3.0]


def test_a_request_without_a_process_is_an_error() -> None:
    workers = fakes([], 1.0)
    workers.close()
    with pytest.raises(WorkerError, match="not running"):
        workers.finish()
    workers.begin()
    workers.close()
    with pytest.raises(WorkerError, match="not running"):
        workers.load()
