"""The load test of planted files in real processes: its record, its end and its mistakes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from src import formats
from src.cli.stage_command import parse
from src.errors import LightshipError, UsageError
from src.report.sections import load
from src.run import fingerprint
from src.run.folder import Run
from src.run.serve_test import ServeTest
from src.serve_test import campaign
from src.serve_test.options import ServeTestOptions
from src.serve_test.stage import serve_test
from src.serve_test.streams import ProcessStreams
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.serve_test.simulated import Opened

FORMAT = "talking"
WORDS = (f"format={FORMAT}", "windows=[0,0.002]", "largest_batch=4", "runs=1", "samples=662")
IMAGES = np.zeros((4, 3, 4, 4), np.float32)


def options(run: Run, *words: str) -> ServeTestOptions:
    run.config.write_text("{}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["serve_test", str(run.folder), *WORDS, *words])
        return parse("serve_test", None, ServeTestOptions)[1]


def ignore(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
    """Show no progress."""


class Stop(Exception):  # noqa: N818  # a signal
    """Ends a command when it reports its second rate."""


def stopping() -> Callable[..., None]:
    rates: list[str] = []

    def report(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        if "requests/s" in detail:
            rates.append(detail)
        if len(rates) > 1:
            raise Stop

    return report


def test_a_command_keeps_what_it_has_measured_when_it_is_stopped(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "_ATTEMPTS", 1)  # the machine may be busy
    affinity, priority = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    with pytest.raises(Stop):
        serve_test(run, options(run, "p99_limit=0.01"), "a command", stopping())
    assert os.sched_getaffinity(0) == affinity
    assert os.getpriority(os.PRIO_PROCESS, 0) == priority
    assert not any(alive(pid) for pid in started(run))
    record = run.read_serve_test()
    assert record is not None
    assert record.is_of(FORMAT, fingerprint.of(run.read_manifest().formats[FORMAT].files))
    plain, batching = record.configurations
    assert (batching.window_s, batching.largest_batch, batching.probes) == (0.002, 4, [])
    assert plain.call_s is not None
    [probe] = plain.probes
    assert len(probe.latencies_s) >= 728 or probe.is_cut
    assert min(probe.latencies_s) > 0
    assert probe.batches.keys() == {"1"}
    # There is no time left for another probe, so what is known is all.
    words = ("p99_limit=0.01", "max_seconds=0.01")
    again = serve_test(run, options(run, *words), "a command", ignore)
    known = [each for each in plain.probes if each.verdict != "lagged"]
    assert [each for other in again.configurations for each in other.probes] == known
    assert again == run.read_serve_test()
    assert not again.is_complete
    assert again.enough_seconds is not None
    assert again.enough_seconds > 0.01


def started(run: Run) -> list[int]:
    lines = (run.exports / FORMAT / "started").read_text().splitlines()
    return [int(line) for line in lines]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_the_default_limit_is_ten_times_a_single_call(run: Run) -> None:
    opened = Opened(lambda images: 0.01)
    record = serve_test(run, options(run), "a command", ignore, opened)
    assert record.p99_limit_s == pytest.approx(0.1)
    assert record.is_complete
    assert record.choice is not None
    # It is kept by the next command, which starts nothing.
    again = Opened(lambda images: 0.5)
    assert serve_test(run, options(run), "a command", ignore, again).p99_limit_s == 0.1
    assert again.setups == []
    # Other files, another limit or again=true: all is measured anew.
    (run.exports / FORMAT / "weights").write_text("other")
    with pytest.raises(UsageError, match="another file than was written"):
        serve_test(run, options(run), "a command", ignore, again)
    (run.exports / FORMAT / "weights").write_text(FORMAT)
    slower = Opened(lambda images: 0.02)
    again_record = serve_test(run, options(run, "again=true"), "a command", ignore, slower)
    assert again_record.p99_limit_s == pytest.approx(0.2)
    assert slower.setups


def test_packages_of_another_environment_are_put_under_load_anew(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = SimpleNamespace(identity="planted-1")
    monkeypatch.setattr(type(formats.get(FORMAT)), "environment", environment)
    serve_test(run, options(run), "a command", ignore, Opened(lambda images: 0.01))
    again = Opened(lambda images: 0.5)
    serve_test(run, options(run), "a command", ignore, again)
    assert again.setups == []
    environment.identity = "planted-2"
    serve_test(run, options(run), "a command", ignore, again)
    assert again.setups


def killed_at(number: int) -> Callable[..., None]:
    """Return a report that ends a command before a probe."""
    rates: list[str] = []

    def report(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        rates.extend([detail] if "requests/s" in detail else [])
        if len(rates) == number:
            raise Stop

    return report


def simulated(run: Run, *words: str, report: Callable[..., None] = ignore) -> ServeTest:
    opened = Opened(lambda images: 0.008 + 0.002 * images)
    return serve_test(run, options(run, *words), "a command", report, opened)


def test_a_complete_measurement_is_the_answer_to_the_same_command(run: Run) -> None:
    record = simulated(run, "max_seconds=300", "windows=[0]")
    assert record.is_complete
    before = run.serve_test.read_bytes()
    for seconds in (300, 1):
        words = (f"max_seconds={seconds}", "windows=[0]")
        assert simulated(run, *words, report=killed_at(1)) == record
        assert run.serve_test.read_bytes() == before
    with pytest.raises(Stop):
        simulated(run, "max_seconds=300", "windows=[0]", "runs=2", report=killed_at(1))
    assert run.serve_test.read_bytes() == before


@pytest.mark.parametrize(
    "words", [("again=true", "windows=[0]"), ("windows=[0]", "p99_limit=0.12")]
)
def test_an_earlier_record_stays_until_the_later_one_is_done(
    run: Run, words: tuple[str, ...]
) -> None:
    simulated(run, "windows=[0]")
    before = run.serve_test.read_bytes()
    for number in (1, 2):
        with pytest.raises(Stop):
            simulated(run, *words, report=killed_at(number))
        assert run.serve_test.read_bytes() == before
    run.remove_unfinished()
    assert not simulated(run, *words, "max_seconds=0.01").choice  # nothing to show yet
    assert run.serve_test.read_bytes() == before
    unfinished = run.unfinished_serve_test.read_bytes()
    [first] = json.loads(unfinished)["configurations"][0]["probes"]
    phases: list[str] = []
    record = simulated(run, *words, report=lambda phase, *_: phases.append(phase))
    assert phases[0] == "going on from serve_test.partial.json"
    assert record.configurations[0].probes[0].seconds == first["seconds"]
    assert record == run.read_serve_test()
    assert record.is_complete
    assert not run.unfinished_serve_test.exists()


def test_a_damaged_record_is_measured_anew(run: Run) -> None:
    run.serve_test.write_text("{")
    phases: list[str] = []
    record = simulated(run, "windows=[0]", report=lambda phase, *_: phases.append(phase))
    assert "serve_test.json" in phases[0]
    assert "could not be read" in record.notes[0]
    assert run.read_serve_test() == record


def test_a_link_out_of_the_run_is_not_written_through(run: Run, tmp_path: Path) -> None:
    run.unfinished_serve_test.symlink_to(tmp_path.parent / "elsewhere")
    with pytest.raises(UsageError, match=r"serve_test\.partial"):
        simulated(run, "windows=[0]")
    assert not (tmp_path.parent / "elsewhere").exists()


def test_a_load_test_with_a_late_generator_is_not_complete(run: Run) -> None:
    late = Opened(lambda images: 0.01, lateness=0.01)
    record = serve_test(run, options(run, "windows=[0]"), "a command", ignore, late)
    assert not record.is_complete
    assert "tries again what was given up" in " ".join(load.notes(record))
    assert simulated(run, "windows=[0]").is_complete


def test_streams_and_threads_are_tried_as_they_are_asked_for(run: Run) -> None:
    opened = Opened(lambda images: 0.01)
    words = ("threads=[2]", "streams=[1,3]", "windows=[0,0.002,9]")
    record = serve_test(run, options(run, *words), "a command", ignore, opened)
    tried = [(each.threads, each.streams, each.window_s) for each in record.configurations]
    assert tried == [(2, s, w) for s in (1, 3) for w in (0.0, 0.002)]
    notes = " ".join(record.notes)
    assert "Windows not below the limit of 100 ms were left out: 9000 ms" in notes
    assert record.choice is not None
    assert record.choice.streams == 3


def test_a_format_whose_answers_depend_on_their_batch_is_not_batched(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = formats.get(FORMAT)
    monkeypatch.setattr(type(kind), "mixes_batch", True)
    monkeypatch.setattr(formats, "get", lambda _: kind)
    record = serve_test(run, options(run), "a command", ignore, Opened(lambda images: 0.01))
    assert [each.largest_batch for each in record.configurations] == [1]
    assert "Batching was not tried" in " ".join(record.notes)


@pytest.mark.parametrize(
    "words",
    [
        ("format=none",),
        ("samples=100",),
        ("windows=[]",),
        ("windows=[-1]",),
        ("windows=[0.001,0.001]",),
        ("threads=[0]",),
        ("threads=[257]",),
        ("streams=[2,2000000]",),
        ("p99_limit=0",),
        ("runs=0",),
        ("largest_batch=1",),
        ("windows=[5]", "p99_limit=0.5"),
        ("format=elsewhere",),
        ("device=cuda",),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_measured(
    run: Run, words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as refused:
        serve_test(run, options(run, *words), "a command", ignore)
    assert "\n" not in str(refused.value)
    assert words[0].partition("=")[0] in str(refused.value)
    assert not run.serve_test.exists()


def test_a_file_that_cannot_be_loaded_is_one_line(run: Run) -> None:
    with pytest.raises(LightshipError, match=r"unloadable: ValueError: no such file"):
        serve_test(run, options(run, "format=unloadable"), "a command", ignore)


def test_a_runtime_with_other_settings_than_requested_is_not_put_under_load(run: Run) -> None:
    refused = "elsewhere-silently: asked for device cpu, runs with gpu"
    with pytest.raises(LightshipError, match=refused):
        serve_test(run, options(run, "format=elsewhere-silently"), "a command", ignore)
    assert not run.serve_test.exists()


@contextlib.contextmanager
def streams(run: Run, name: str, count: int = 1, seconds: float = 15) -> Iterator[ProcessStreams]:
    limits = Limits(threads=1, answer_seconds=seconds, resident_bytes=10**10, group="")

    def start() -> WorkerProcess:
        return WorkerProcess(name, run.exports / name, "cpu", limits)

    opening = ProcessStreams(start, count, IMAGES, 3, seconds, at_once=count)
    with contextlib.closing(opening) as opened:
        yield opened


def test_streams_answer_at_the_same_time(run: Run) -> None:
    with streams(run, FORMAT, 2) as opened:
        assert opened.wait(opened.now() + 0.01) == []
        opened.begin(0, 1)
        opened.begin(1, 4)
        answered: list[int] = []
        end = time.monotonic() + 20
        while len(answered) < 2 and time.monotonic() < end:
            answered += [done.stream for done in opened.wait(None)]
        assert sorted(answered) == [0, 1]
        assert 0 < opened.call_seconds(2) < 5


@pytest.mark.parametrize(
    ("name", "reason", "seconds"),
    [
        ("crashing", "SIGABRT", 30),
        ("hanging", "timeout_seconds", 1.5),
        ("nan-of-three", "not finite", 30),
    ],
)
def test_a_stream_that_fails_is_named(run: Run, name: str, reason: str, seconds: float) -> None:
    (run.exports / name).mkdir(exist_ok=True)
    with pytest.raises(WorkerError, match=reason), streams(run, name, seconds=seconds):
        pass
