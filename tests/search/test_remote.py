"""The code of a search that runs on another machine."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.errors import UsageError
from src.search import remote
from src.search.engine import Training
from src.search.remote import Place
from src.search.training import LOGS
from src.system import machine
from src.system.signals import Stopped
from tests.search.test_product import KEY, REQUEST, FakeCommands

TRAINING = Training(REQUEST, KEY, 3, 12)


@pytest.fixture(autouse=True)
def _keep_signals() -> Iterator[None]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir("/")  # and back at the end
    (tmp_path / "search" / LOGS).mkdir(parents=True)
    return Place(tmp_path, Path("search"))


@pytest.mark.parametrize(("cpus", "threads"), [(3, "3"), (4, None)])
def test_a_training_runs_in_the_folder_of_the_command_with_its_variables(
    place: Place, monkeypatch: pytest.MonkeyPatch, cpus: int, threads: str | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # by the cluster
    monkeypatch.delenv("LIGHTSHIP_PLANTED", raising=False)
    commands = FakeCommands(place.working_folder / place.folder, 12)
    seen = []

    def run(module: str, words: Sequence[str], log: Path, *, kept_open: Sequence[int] = ()) -> int:
        names = ("OMP_NUM_THREADS", "LIGHTSHIP_PLANTED")
        seen.append([Path.cwd(), *(os.environ.get(name) for name in names)])
        return commands(module, words, log, kept_open=kept_open)

    monkeypatch.setattr(remote, "run_in_subprocess", run)
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    variables = {"LIGHTSHIP_PLANTED": "yes"}
    result = remote.train(place, TRAINING, cpus, variables)
    assert seen == [[place.working_folder, threads, "yes"]]
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "LIGHTSHIP_PLANTED" not in os.environ
    assert result.trained is not None
    assert (result.trained.epoch, result.failure) == (3, None)
    assert result.machine == platform.node()
    assert (place.working_folder / place.folder / result.trained.run).is_dir()
    # A terminal's Ctrl-C does not reach it, a simulated one does.
    assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failure_is_a_result_and_a_stopped_training_is_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = FakeCommands(place.working_folder / place.folder, 12)
    commands.code = 2
    monkeypatch.setattr(remote, "run_in_subprocess", commands)
    result = remote.train(place, TRAINING, 1, {})
    assert result.trained is None
    assert "data.root: no such" in (result.failure or "")

    def stop(*_: object, **__: object) -> int:
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(remote, "run_in_subprocess", stop)
    result = remote.train(place, TRAINING, 1, {})
    assert (result.trained, result.failure) == (None, None)


def test_a_usage_error_is_a_failure(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise UsageError("data.root", expected="a folder", found="none", remedy="name one")

    monkeypatch.setattr(remote, "run_in_subprocess", fail)
    result = remote.train(place, TRAINING, 1, {})
    assert result.failure == "data.root: expected a folder; found none; name one"


def test_a_training_reacts_to_ctrl_c_before_its_slow_imports(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "src.search.training"
    at_import: list[object] = []

    def find_spec(wanted: str, *_: object) -> None:
        if wanted == name:
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            at_import.append((signal.getsignal(signal.SIGINT), signal.SIGINT in blocked))

    commands = FakeCommands(place.working_folder / place.folder, 12)
    monkeypatch.setattr(remote, "run_in_subprocess", commands)
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(name)
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=find_spec), *sys.meta_path])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited from a shell
    assert remote.train(place, TRAINING, 1, {}).trained is not None
    assert at_import == [(signal.default_int_handler, True)]


def test_a_machine_reads_the_token_or_says_that_there_is_none(place: Place) -> None:
    written = "1234"
    (place.working_folder / place.folder / "token").write_text(written)
    sight = remote.look(place, "token")
    assert sight.token == written
    assert sight.python == platform.python_version()
    assert "torch" in sight.packages
    assert remote.look(place, "other").token is None
    missing = Place(place.working_folder / "none", place.folder)
    assert remote.look(missing, "token").token is None


def test_a_machine_tells_what_the_words_of_the_command_line_name(place: Place) -> None:
    (place.working_folder / "pets").mkdir()
    (place.working_folder / "own.yaml").write_text("a: 1\n")
    words = ("own.yaml", "data.root=pets", "data.path=missing", "x" * 5000)
    sight = remote.look(dataclasses.replace(place, words=words), "token")
    assert sight.files == {
        "own.yaml": hashlib.sha256(b"a: 1\n").hexdigest(),
        "data.root=pets": "a folder",
    }
