"""The answers of an exam from a process: batch by batch, as where the model was packed."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.shipped import measure, model_process, predict
from src.shipped.exam_files import ExamError
from src.shipped.model_process import Process, all_logits
from src.shipped.session import Session


class Model:
    """A model whose logits are the image's number and the size of its batch."""

    def logits(self, images: list[Any]) -> Any:
        return np.array([[float(image), len(images)] for image in images])


def session(images: int, batch: int) -> Session:
    """A session of an exam of arrays, without files and runtime."""
    made = Session.__new__(Session)
    planted: Any = made
    planted._exam = SimpleNamespace(batch=batch, labels=np.zeros(images))
    planted._tensors = list(np.arange(images))
    planted._model = Model()
    return made


class Asked:
    """A process that answers by a session at once, as slowly as it is told by a clock."""

    def __init__(self, session: Session, seconds_an_image: float = 0.0) -> None:
        self._session = session
        self._seconds = seconds_an_image
        self.requests: list[dict[str, Any]] = []

    def ask(self, name: str, **request: Any) -> dict[str, Any]:
        self.requests.append({"do": name, **request})
        answer: dict[str, Any] = getattr(self._session, name)(**request)
        if answer["shape"][0] * self._seconds > model_process.ANSWER_SECONDS:
            raise ExamError(f"no answer to {name} within {model_process.ANSWER_SECONDS:g} s")
        return answer


@pytest.mark.parametrize(("images", "batch"), [(1, 4), (4, 4), (5, 4), (8, 4), (3, 1), (512, 64)])
def test_the_exam_is_answered_batch_by_batch_with_the_last_one_filled_up(
    images: int, batch: int
) -> None:
    process: Any = Asked(session(images, batch))
    logits = all_logits(process, lambda _: None)
    assert logits[:, 0].tolist() == list(range(images))
    assert set(logits[:, 1].tolist()) == {batch}
    assert len(process.requests) == math.ceil(images / batch)


def test_a_slow_machine_has_the_limit_of_an_answer_for_each_batch() -> None:
    seconds = 0.9 * model_process.ANSWER_SECONDS / 64
    process: Any = Asked(session(512, 64), seconds)
    assert len(all_logits(process, lambda _: None)) == 512
    slower: Any = Asked(session(512, 64), 2 * seconds)
    with pytest.raises(ExamError, match="no answer to batch within 300 s"):
        all_logits(slower, lambda _: None)


def test_the_timing_answers_the_exam_batch_by_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Planted(Asked):
        def __init__(self, folder: Path) -> None:
            super().__init__(session(10, 4))

        def ask(self, name: str, **request: Any) -> dict[str, Any]:
            return {"class_names": ["a"]} if name == "load" else super().ask(name, **request)

        def close(self) -> None: ...

    monkeypatch.setattr(measure, "Process", Planted)
    lines: list[str] = []
    logits, class_names = measure.Sessions(tmp_path, 0, 1.0, {"threads": 1}, lines.append).answers()
    assert (len(logits), class_names) == (10, ["a"])
    assert lines[-1] == "answering the exam, 8 images so far"


@pytest.mark.parametrize("embedded", [False, True])
def test_a_timed_call_is_that_of_the_runtime_alone(embedded: bool) -> None:
    given: list[Any] = []

    def runtime(images: Any) -> str:
        given.append(images)
        return "not looked at"

    model: Any = predict.Model.__new__(predict.Model)
    model.embedded, model._runtime = embedded, runtime
    image = np.ones((3, 2, 2), np.float32)
    call = model.call([image])
    assert given == []
    assert [call(), call()] == ["not looked at"] * 2
    first, second = given
    assert first is second  # nothing is copied within the call
    assert first.shape == (image.shape if embedded else (1, *image.shape))


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (
            "tempfile.TemporaryFile",
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            r"no temporary file can be made \(No usable temporary directory found.*TMPDIR=/path",
        ),
        ("tempfile.TemporaryFile", OSError(errno.ENOSPC, "No space left"), "can be made .*space"),
        (
            "subprocess.Popen",
            BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
            "no process can be started: Resource temporarily unavailable",
        ),
        ("subprocess.Popen", OSError(errno.ENOMEM, "Cannot allocate"), "started: Cannot allocate"),
    ],
)
def test_a_process_that_cannot_be_started_is_one_line(
    call: str, error: OSError, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose disk is read-only, or whose number of processes is limited."""

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(f"src.shipped.model_process.{call}", refuse)
    with pytest.raises(ExamError, match=told) as refused:
        Process(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, ""), OSError(errno.EINVAL, "")])
def test_a_process_that_has_died_is_told_by_its_last_words_on_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """Windows has another error than BrokenPipeError for a pipe without a reader."""
    (tmp_path / "session.py").write_text("import sys; sys.exit('no such kernel')\n")
    process = Process(tmp_path)

    def refused(_: str) -> int:
        raise error

    monkeypatch.setattr(process._process, "stdin", SimpleNamespace(write=refused, close=int))
    try:
        with pytest.raises(ExamError, match="ended: exit code 1: no such kernel"):
            process.ask("load")
    finally:
        process.close()


@pytest.mark.parametrize(("timed", "raised"), [(True, [(os.PRIO_PROCESS, 0, -20)]), (False, [])])
def test_only_a_process_that_is_timed_takes_the_time_of_other_programs(
    monkeypatch: pytest.MonkeyPatch, timed: bool, raised: list[Any]
) -> None:
    """An exam of answers takes hours on an emulator, at the priority of any other program."""
    asked: list[Any] = []
    monkeypatch.setattr(os, "setpriority", lambda *words: asked.append(words))
    session = object.__new__(Session)
    model = SimpleNamespace(class_names=["cat"], embedded=False, call=lambda _: int)
    session._program = SimpleNamespace(Model=lambda **_: model)
    monkeypatch.setattr(session, "_first_input", lambda: np.zeros((1, 3, 2, 2), np.float32))
    monkeypatch.setattr(session, "_once", lambda: 0.5)
    assert session.load({}, timed=timed)["first_seconds"] == 0.5
    assert asked == raised


def test_the_limit_of_an_answer_is_that_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "session.py").write_text("import sys; sys.stdin.read()\n")
    process = Process(tmp_path, answer_seconds=0.2)
    try:
        with pytest.raises(ExamError, match=r"no answer to load within 0\.2 s"):
            process.ask("load")
    finally:
        process.close()
