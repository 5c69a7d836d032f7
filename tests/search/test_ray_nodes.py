"""Real searches on the digits with a Ray cluster of two nodes, both of them on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.search.test_killed_search import start
from tests.search.test_ray_search import candidates_in, finish, parent_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("settings_of_ray")]
pytest.importorskip("ray")

_START = "from ray.scripts.scripts import main; main()"
_NODE = ("start", "--block", "--num-cpus=1", "--object-store-memory=100000000")


@pytest.fixture
def settings_of_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send nothing to Ray's makers, and give all of a cluster one token."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", uuid.uuid4().hex)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def node(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a node of a cluster in a process group of its own, and end it at the end."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, *_NODE, *words],
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for_runtime(process, log)
        yield process
    finally:
        end(process)


def wait_for_runtime(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while "Ray runtime started" not in log.read_text(errors="replace"):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a node as if its machine had lost its power."""
    members = descendants(process.pid)
    for member in [*members, process.pid]:
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def descendants(ancestor: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = parent_of(int(entry.name))
        except (OSError, ValueError):  # it has ended
            continue
    found, todo = [], [ancestor]
    while todo:
        children = [child for child, parent in parents.items() if parent == todo[-1]]
        todo.pop()
        found += children
        todo += children
    return found


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start two nodes of one CPU; yield the address of the first and the process of the second."""
    address = f"127.0.0.1:{free_port()}"
    head = ("--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false")
    with (
        node(folder / "head.log", *head, f"--temp-dir={folder / 'ray'}"),
        node(folder / "second.log", f"--address={address}") as second,
    ):
        yield address, second


def trainings_in(folder: Path) -> set[int]:
    """Return the processes that train a candidate for a search in ``folder`` now."""
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            if (process / "cwd").resolve() == folder.resolve() and b"/candidates/" in words:
                found.add(int(process.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def test_each_node_takes_a_training(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with cluster(tmp_path_factory.mktemp("ray")) as (address, second):
        process = start(tmp_path, "engine=ray", f"ray.address={address}")
        is_on_both = False
        while process.poll() is None and not is_on_both:
            trainings = trainings_in(tmp_path)
            on_second = trainings & {*descendants(second.pid)}
            is_on_both = bool(on_second) and trainings > on_second
            time.sleep(0.05)
        record = finish(tmp_path, process)
    assert is_on_both
    assert record.engine == "ray"


def test_the_trainings_of_a_lost_node_go_on_on_the_other(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with cluster(tmp_path_factory.mktemp("ray")) as (address, second):
        process = start(tmp_path, "engine=ray", f"ray.address={address}")
        while len(candidates_in(tmp_path)) < 2:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        end(second)
        record = finish(tmp_path, process)
    assert len(record.measured) == 2
