"""An exam loses no measurement, replaces no other file, and takes no damaged bundle for sound."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src import formats
from src.bundle import card
from src.bundle.card import Shipment
from src.run import exam as run_exam
from src.shipped import (
    exam,
    exam_files,
    exam_output,
    exam_record,
    file_hash,
    machine,
    measure,
    predict,
    predict_threads,
    summary,
    untimed,
)
from src.shipped.accuracy import LEAST_SAME
from src.shipped.answers import Answers
from src.shipped.exam_files import ExamError
from src.shipped.measure import Measurement, Sessions
from src.shipped.predict_opening import UnusableModelError, expected_answer
from tests.golden.pixels import GOLDEN
from tests.support import planted_exam
from tests.support.bundle_program import described

IMAGES = 32
Facts = dict[str, Any]
Arrays = dict[str, Any]


def write_exam(folder: Path, facts: Facts, arrays: Arrays) -> None:
    """Write facts and arrays with the hash of the latter, as a careful forger would."""
    path = folder / "exam" / "answers.npz"
    np.savez(path, **arrays)
    facts = {**facts, "hashes": {**facts["hashes"], path.name: file_hash.sha256_of(path)}}
    (folder / "exam" / "exam.json").write_text(json.dumps(facts))


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Facts, Arrays]:
    """The folder of a bundle with a sound exam, its facts, and its arrays."""
    folder = tmp_path / "bundle"
    (folder / "exam").mkdir(parents=True)
    taken = planted_exam.exam(folder, IMAGES)
    arrays = {name: getattr(taken, name) for name in ("labels", "answers", "reference")}
    facts = {one.name: getattr(taken, one.name) for one in dataclasses.fields(taken)}
    facts = {name: facts[name] for name in facts.keys() - arrays.keys() - {"folder", "packed"}}
    facts |= {"schema_version": 1, "hashes": {}}
    for name in taken.images:
        (folder / "exam" / name).write_bytes(b"an image")
        facts["hashes"][name] = file_hash.sha256_of(folder / "exam" / name)
    write_exam(folder, facts, arrays)
    described(folder / "model.onnx", GOLDEN.rules[0], threads=2)
    return folder, facts, arrays


class PlantedSessions:
    """Answers as at home, and planted times."""

    settings: dict[str, Any]

    def __init__(self, folder: Path, _: int, __: float, settings: Any, *___: Any) -> None:
        self._exam = exam_files.read(folder)
        PlantedSessions.settings = settings

    def answers(self) -> tuple[Any, list[str]]:
        return self._exam.answers, self._exam.class_names

    def run(self) -> Measurement:
        return planted_exam.measurement()


@pytest.fixture
def bundle(planted: tuple[Path, Facts, Arrays], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(exam, "HERE", planted[0])
    monkeypatch.setattr(exam, "Sessions", PlantedSessions)
    return planted[0]


class FailingStream(io.StringIO):
    """A standard output whose reader has gone, whose disk is full, or where Ctrl-C is pressed."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def write(self, _: str) -> int:
        raise self._error

    def fileno(self) -> int:
        raise OSError("no file")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokenPipeError(32, "Broken pipe"), None),
        (OSError(28, "No space left on device"), None),
        (UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"), None),
        (KeyboardInterrupt(), 130),
    ],
    ids=["pipe", "full", "ascii", "Ctrl-C"],
)
def test_a_print_that_fails_costs_no_measurement(
    bundle: Path,
    tmp_path: Path,
    error: BaseException,
    code: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", FailingStream(error))
        if code is None:
            exam.main(["--output", str(tmp_path)])
        else:
            with pytest.raises(SystemExit) as ended:
                exam.main(["--output", str(tmp_path)])
            assert ended.value.code == code
    assert run_exam.read(tmp_path / "measurement.json").holds
    assert sorted(os.listdir(tmp_path)) == ["bundle", "measurement.json"]  # noqa: PTH208
    (line,) = capsys.readouterr().err.splitlines()
    assert ("measurement.json is written" in line) == (code is not None)


def test_a_file_that_a_killed_exam_has_left_blocks_no_other_exam(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in each container
    killed = exam_output.Output(str(bundle), bundle)  # which never ends
    left = [*bundle.glob(".measurement.json.*")]
    assert len(left) == 1
    exam.main(["--output", str(bundle)])
    assert run_exam.read(bundle / "measurement.json").holds
    assert [*bundle.glob(".measurement.json.*")] == left
    with killed:
        pass
    assert not [*bundle.glob(".measurement.json.*")]


def test_an_earlier_measurement_is_replaced(bundle: Path) -> None:
    exam.main(["--output", str(bundle)])
    path = bundle / "measurement.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"run": "an earlier one"}))
    exam.main(["--output", str(path)])
    assert run_exam.read(path).run == record["run"]


def occupy(bundle: Path, name: str) -> str:
    """Make the place of an output; return it as a user writes it."""
    path = bundle.parent / name
    if name == "pipe":
        os.mkfifo(path)
    elif name == "mine/":
        (path / "measurement.json").mkdir(parents=True)
    elif name in {"notes.json", "empty.json"}:
        path.write_text("" if name == "empty.json" else '{"kind": "notes", "schema_version": 1}')
    elif name == "link.json":
        path.symlink_to(bundle / "model.onnx")
    elif name.startswith("signed"):
        path.parent.mkdir()
        (path.parent / "model.sig").touch()
    return f"{bundle.parent}/{name}"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pipe", "is no regular file"),
        ("mine/", "is a folder"),
        ("notes.json", "is there and no measurement"),
        ("empty.json", "is there and no measurement"),
        ("link.json", "is there and no measurement"),
        ("no/", "is no folder; make it first"),
        ("no/x.json", "is no folder; make it first"),
        ("bundle/model.onnx", "is there and no measurement"),
        ("bundle/expected.json", "is a file of the model"),  # though it is missing
        ("bundle/decoder.json", "is a file of the model"),
        ("bundle/numpy.py", "is a file of the model"),
        ("signed/x.json", "is signed by model.sig"),
        ("x" * 250, "cannot be written"),
    ],
)
def test_an_exam_refuses_a_wrong_output_before_it_measures(
    bundle: Path,
    name: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (bundle / "SHA256SUMS").write_text(f"{'0' * 64}  expected.json\n")
    monkeypatch.setattr(exam, "Sessions", None)  # an exam that began would fail otherwise
    output = occupy(bundle, name)
    before = {path: path.lstat() for path in bundle.parent.rglob("*")}
    with pytest.raises(SystemExit) as ended:
        exam.main(["--output", output])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--output: " in line
    assert told in line
    after = {path: path.lstat() for path in bundle.parent.rglob("*")}
    assert {path: stat.st_mtime_ns for path, stat in after.items()} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


def test_the_default_output_of_a_signed_bundle_is_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "model.sig").touch()
    monkeypatch.chdir(bundle)
    with pytest.raises(SystemExit):
        exam.main([])
    assert "name a file in another folder" in capsys.readouterr().err.splitlines()[-1]
    exam.main(["--output", ".."])
    assert (bundle.parent / "measurement.json").is_file()
    assert not (bundle / "measurement.json").exists()


def test_a_file_that_cannot_be_written_any_more_is_told_with_the_figures(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exam_output.os, "fsync", full)
    with pytest.raises(SystemExit) as ended:
        exam.main(["--output", str(tmp_path)])
    assert "--output: " in str(ended.value.code)
    assert "No space left on device" in str(ended.value.code)
    assert "result: holds here" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["bundle"]  # noqa: PTH208


def test_a_sound_exam_is_read(planted: tuple[Path, Facts, Arrays]) -> None:
    taken = exam_files.read(planted[0])
    assert taken.labels.tolist() == [image % 10 for image in range(IMAGES)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch", 0),
        ("batch", 2.5),
        ("batch", 10**9),
        ("batch", True),
        ("tolerance", "0.05"),
        ("tolerance", float("nan")),
        ("max_drop", None),
        ("home", {}),
        ("home", {**planted_exam.HOME, "threads": "2"}),
        ("model_files", []),
        ("model_files", {}),
        ("model_files", {"../model.onnx": "0" * 64}),
        ("hashes", {"../model.onnx": "0" * 64}),
        ("positions", ["0"] * IMAGES),
        ("class_names", "0123456789"),
        ("content", "words"),
        ("decoder", "another"),
        ("run", 5),
        ("measured_verdict", "good"),
        ("surprise", 1),
    ],
)
def test_a_wrong_fact_of_an_exam_is_one_line(
    planted: tuple[Path, Facts, Arrays], name: str, value: Any
) -> None:
    folder, facts, arrays = planted
    write_exam(folder, facts | {name: value}, arrays)
    require_refused(folder, name)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("labels", lambda labels: labels * 0 + 99),
        ("labels", lambda labels: labels - 1),
        ("labels", lambda labels: labels + 0.5),
        ("labels", lambda labels: labels[1:]),
        ("answers", lambda answers: answers.astype("U8")),
        ("answers", lambda answers: answers * np.nan),
        ("answers", lambda answers: answers.astype(int)),
        ("reference", lambda answers: answers * np.inf),
        ("reference", lambda answers: answers[:, 1:]),
    ],
)
def test_wrong_arrays_of_an_exam_are_one_line(
    planted: tuple[Path, Facts, Arrays], name: str, change: Callable[[Any], Any]
) -> None:
    folder, facts, arrays = planted
    with np.errstate(all="ignore"):
        write_exam(folder, facts, arrays | {name: change(arrays[name])})
    require_refused(folder, name)


@pytest.mark.parametrize("text", ['"x"', "[" * 200_000, "null", '{"schema_version": 1}'])
def test_another_text_than_an_exam_is_one_line(
    planted: tuple[Path, Facts, Arrays], text: str
) -> None:
    (planted[0] / "exam" / "exam.json").write_text(text)
    require_refused(planted[0], "")


def require_refused(folder: Path, told: str) -> None:
    with pytest.raises(ExamError, match="unpack the zip file again") as caught:
        exam_files.read(folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_more_threads_than_cores_are_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 3)
    with pytest.raises(SystemExit):
        exam.main(["--threads", "4", "--output", str(bundle)])
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("--threads: expected a number from 1 to 3, the usable cores here, found 4")
    )
    exam.main(["--threads", "3", "--output", str(bundle)])


@pytest.mark.parametrize(
    ("measured", "cores", "words", "threads"),
    [
        (2, 8, [], 2),
        (8, 3, [], 3),  # the quota of a container
        (None, 3, [], 3),
        (2, 8, ["--threads", "5"], 5),
        (3, 8, ["--threads", "measured"], 3),
    ],
)
def test_an_exam_names_its_threads_to_the_runtime(
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    measured: int | None,
    cores: int,
    words: list[str],
    threads: int,
) -> None:
    described(bundle / "model.onnx", GOLDEN.rules[0], threads=measured)
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    monkeypatch.setattr(predict_threads, "HERE", bundle)
    exam.main([*words, "--output", str(bundle)])
    assert PlantedSessions.settings == {"threads": threads}


def test_an_exam_of_answers_names_its_threads_to_the_runtime(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described(bundle / "model.onnx", GOLDEN.rules[0], threads=8)
    monkeypatch.setattr(machine, "usable_cores", lambda: 3)
    loaded: list[Any] = []

    class Loading(Slow):
        def ask(self, name: str, **request: Any) -> dict[str, Any]:
            loaded.append(request)
            raise ExamError("no more is asked")

    monkeypatch.setattr(untimed, "Process", Loading)
    with pytest.raises(SystemExit):
        exam.main(["--answers", "--output", str(bundle)])
    assert loaded == [{"settings": {"threads": 3}, "timed": False}]


@pytest.mark.parametrize("words", [[], ["--answers"]])
def test_an_exam_records_the_threads_that_the_runtime_was_told(
    answering: type[Answering],
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    """No system is asked: some do not count threads, and a runtime may start a second pool."""
    monkeypatch.setattr(answering, "fails", ("pipeline", 1), raising=False)
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    exam.main([*words, "--threads", "3", "--output", str(bundle)])
    record = run_exam.read(bundle / "measurement.json")
    assert record.environment.threads == record.row.setting("threads") == 3


def test_an_exam_beside_a_damaged_description_is_one_line(bundle: Path) -> None:
    (bundle / "model.json").write_text("{")
    with pytest.raises(SystemExit, match=r"^error: model\.json: .*; unpack the zip file again$"):
        exam.main(["--output", str(bundle)])


EXPECTED = {"image": "x.png", "class": "a", "probabilities": [0.5, 0.5], "tolerance": 0.01}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        "[" * 200_000,
        *(json.dumps(EXPECTED | change) for change in (
            {"image": "../x.png"},
            {"class": None},
            {"probabilities": [0.5]},
            {"probabilities": ["0.5", 0.5]},
            {"probabilities": [float("nan"), 0.5]},
            {"tolerance": "0"},
        )),
    ],
)  # fmt: skip
def test_a_damaged_expected_answer_is_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "expected.json"
    path.write_text(json.dumps(EXPECTED))
    assert expected_answer(tmp_path, classes=2) == EXPECTED
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UnusableModelError, match=r"expected\.json: .*; unpack the zip file again"):
        expected_answer(tmp_path, classes=2)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"decoder": "zzz"}', '{"decoder": []}'])
def test_a_damaged_decoder_is_one_line(tmp_path: Path, text: str) -> None:
    assert predict.chosen_decoder(tmp_path) == "pillow"
    (tmp_path / "decoder.json").write_text(text)
    with pytest.raises(UnusableModelError, match=r"decoder\.json: .*; unpack the zip file again"):
        predict.chosen_decoder(tmp_path)


@pytest.mark.parametrize(
    "change", [{"model": 5}, {"sha256": []}, {"threads": "2"}, {"input": {}}, {"preprocessing": 1}]
)
def test_a_damaged_description_is_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "model.onnx").write_bytes(b"a model")
    path = described(tmp_path / "model.onnx", GOLDEN.rules[0]) / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UnusableModelError, match=r"model\.json: .*; unpack the zip file again"):
        predict.Model(tmp_path)


def test_an_unknown_decoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"a model")
    folder = described(tmp_path / "model.onnx", GOLDEN.rules[0])
    with pytest.raises(UnusableModelError, match="a decoder out of pillow, pillow_draft"):
        predict.Model(folder, decoder="another")


def test_a_missing_program_of_the_exam_is_one_line(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "HERE", bundle)
    monkeypatch.syspath_prepend(bundle)
    monkeypatch.setattr(sys, "argv", ["predict.py", "--exam"])
    with pytest.raises(SystemExit) as ended:
        predict.main()
    assert ended.value.code == "error: exam.py is missing; unpack the zip file again"


@pytest.mark.parametrize(("seconds", "sessions"), [(1.0, 1), (25.0, 2), (29.0, 2), (31.0, 3)])
def test_a_session_starts_only_if_the_time_of_the_last_one_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, sessions: int
) -> None:
    now = [0.0]

    class Planted:
        """A process whose session takes 10 s."""

        def __init__(self, folder: Path) -> None:
            pass

        def ask(self, name: str, **_: Any) -> dict[str, Any]:
            now[0] += 5.0 if name == "warm_up" else 0.0
            times = {"seconds": [0.001], "elapsed_seconds": 0.001, "cpu_seconds": 0.001}
            return {
                "warm": True,
                "settled": True,
                "bytes": 1,
                **times,
                "request_cpu_seconds": 0.0,
            }

        def close(self) -> None:
            pass

    monkeypatch.setattr(measure, "Process", Planted)
    timed = Sessions(
        tmp_path, 0, seconds, {"threads": 2}, lambda _: None, clock=lambda: now[0]
    ).run()
    assert len(timed.loaded) == 2 * sessions


def test_a_file_is_as_fast_as_itself_where_the_process_that_is_loaded_first_is_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []

    class Planted:
        """A process that is slower for its whole life where it was loaded before another."""

        def __init__(self, folder: Path) -> None:
            self._seconds = 0.0

        def ask(self, name: str, **_: Any) -> dict[str, Any]:
            if name == "load":
                # One process alone is loaded for the memory, then they come in pairs.
                self._seconds = 0.00105 if len(loaded) % 2 else 0.001
                loaded.append(self)
            return {
                "warm": True,
                "settled": True,
                "bytes": 1,
                "seconds": [self._seconds],
                "elapsed_seconds": self._seconds,
                "cpu_seconds": self._seconds,
                "request_cpu_seconds": 0.0,
            }

        def close(self) -> None:
            pass

    monkeypatch.setattr(measure, "Process", Planted)
    ratio = Sessions(tmp_path, 0, 1e6, {"threads": 2}, lambda _: None).run().same_file_twice
    assert ratio is not None
    assert ratio.value == pytest.approx(1, abs=0.01)
    assert ratio.low < 1 < ratio.high


class Slow:
    """A process that answers one image in 10 s, the last class each time."""

    now = 0.0

    def __init__(self, folder: Path, answer_seconds: float) -> None:
        pass

    def ask(self, name: str, **request: Any) -> dict[str, Any]:
        Slow.now += 10.0 if name == "answer" else 0.0
        logits = np.full((1, 3), request.get("image", 0), "<f4")
        return {"logits": base64.b64encode(logits.tobytes()).decode(), "shape": logits.shape}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("most", "seconds", "images"), [(4, 1e6, 4), (4, 25.0, 3), (4, 0.1, 1)])
def test_an_exam_of_answers_ends_at_its_limit_with_those_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, seconds: float, images: int
) -> None:
    monkeypatch.setattr(untimed, "Process", Slow)
    clock = lambda: Slow.now  # noqa: E731
    answered = untimed.answers(tmp_path, most, seconds, {"threads": 2}, lambda _: None, clock)
    assert answered.logits[:, 0].tolist() == list(range(images))
    assert not answered.measurement.merged
    assert answered.stop is None


class Answering:
    """A process that answers as at home, and fails at one request."""

    exam: exam_files.Exam
    fails: tuple[str, int]  # request, and its number
    failure: BaseException | signal.Signals = ExamError(
        "the process that ran the model ended: exit code -9"
    )

    def __init__(self, folder: Path, answer_seconds: float = 1.0) -> None:
        self._asked: dict[str, int] = {}

    def ask(self, name: str, **request: Any) -> dict[str, Any]:
        number = self._asked[name] = self._asked.get(name, 0) + 1
        if (name, number) == self.fails:
            if isinstance(self.failure, signal.Signals):
                signal.raise_signal(self.failure)
                raise AssertionError("the signal was ignored")
            raise self.failure
        if name == "load":
            loaded = planted_exam.measurement().loaded[0]
            return {**loaded, "class_names": self.exam.class_names}
        if name in {"batch", "answer"}:
            logits = self.exam.answers.astype("<f4")
            if name == "answer":
                logits = logits[request["image"]][None]
            return {
                "logits": base64.b64encode(logits.tobytes()).decode(),
                "shape": logits.shape,
                "left": 0,
            }
        times = {"seconds": [0.001], "elapsed_seconds": 0.001, "cpu_seconds": 0.001}
        return {
            "bytes": 1,
            "warm": True,
            "settled": True,
            **times,
            "request_cpu_seconds": 0.0,
        }

    def close(self) -> None:
        pass


@pytest.fixture
def answering(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> type[Answering]:
    monkeypatch.setattr(exam, "Sessions", Sessions)
    for module in (measure, untimed):
        monkeypatch.setattr(module, "Process", Answering)
    monkeypatch.setattr(Answering, "exam", exam_files.read(bundle), raising=False)
    return Answering


@pytest.mark.parametrize("request_", ["peak", "warm_up", "time"])
@pytest.mark.parametrize("is_interrupted", [False, True])
def test_an_exam_whose_timing_fails_keeps_its_answers(
    answering: type[Answering],
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request_: str,
    *,
    is_interrupted: bool,
) -> None:
    monkeypatch.setattr(answering, "fails", (request_, 1), raising=False)
    if is_interrupted:
        monkeypatch.setattr(answering, "failure", KeyboardInterrupt())
    path = bundle / "measurement.json"
    with pytest.raises(SystemExit) as ended:
        exam.main(["--output", str(path)])
    record = run_exam.read(path)
    assert record.holds
    assert record.answers.images == IMAGES
    assert record.row.verdict == "same"
    assert record.cell is record.pipeline is record.same_file_twice is None
    told = capsys.readouterr()
    assert "speed and memory: not measured" in told.out
    assert "result: holds here" in told.out
    if is_interrupted:
        assert ended.value.code == 130
        assert told.err.splitlines()[-1] == f"stopped: {path} is written"
    else:
        assert ended.value.code == (
            "error: the speed is not measured: the process that ran the model ended: exit code -9"
        )


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_an_exam_of_answers_that_fails_keeps_those_that_it_has(
    answering: type[Answering],
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    is_interrupted: bool,
) -> None:
    monkeypatch.setattr(answering, "fails", ("answer", 4), raising=False)
    if is_interrupted:
        monkeypatch.setattr(answering, "failure", KeyboardInterrupt())
    path = bundle / "measurement.json"
    with pytest.raises(SystemExit) as ended:
        exam.main(["--answers", "--output", str(path)])
    record = run_exam.read(path)
    assert (record.answers.images, record.holds) == (3, True)
    told = capsys.readouterr()
    assert f", 3 of {IMAGES} images of " in told.out
    if is_interrupted:
        assert ended.value.code == 130
        assert told.err.splitlines()[-1] == f"stopped: {path} is written"
    else:
        assert str(ended.value.code).startswith(f"error: 3 of {IMAGES} images are answered: ")


ENDING = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(params=ENDING, ids=[number.name for number in ENDING])
def ending(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal to end that is not ignored, as nohup may ignore it."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.SIG_DFL)
    yield number
    assert signal.getsignal(number) == signal.SIG_DFL
    signal.signal(number, before)


@pytest.mark.parametrize(
    ("words", "fails", "images"),
    [
        ([], ("peak", 1), IMAGES),
        ([], ("time", 3), IMAGES),
        (["--answers"], ("answer", 4), 3),
        ([], ("batch", 1), None),
        (["--answers"], ("answer", 1), None),
    ],
)
def test_a_signal_to_end_costs_no_answer_and_leaves_nothing_else(
    answering: type[Answering],
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ending: signal.Signals,
    words: list[str],
    fails: tuple[str, int],
    images: int | None,
) -> None:
    monkeypatch.setattr(answering, "fails", fails, raising=False)
    monkeypatch.setattr(answering, "failure", ending)
    with pytest.raises(SystemExit) as ended:
        exam.main([*words, "--output", str(tmp_path)])
    assert ended.value.code == 128 + ending
    path = tmp_path / "measurement.json"
    expected = ["bundle"] if images is None else ["bundle", "measurement.json"]
    assert sorted(os.listdir(tmp_path)) == expected  # noqa: PTH208
    told = "no measurement was written" if images is None else f"{path} is written"
    assert capsys.readouterr().err.splitlines()[-1] == f"stopped: {told}"
    if images is not None:
        record = run_exam.read(path)
        assert (record.answers.images, record.holds, record.cell) == (images, True, None)


@pytest.mark.parametrize("fails", [("load", 1), ("answer", 1)])
@pytest.mark.parametrize("failure", [ExamError("no such kernel"), KeyboardInterrupt()])
def test_an_exam_without_any_answer_writes_nothing(
    answering: type[Answering],
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: tuple[str, int],
    failure: BaseException,
) -> None:
    monkeypatch.setattr(answering, "fails", fails, raising=False)
    monkeypatch.setattr(answering, "failure", failure)
    with pytest.raises(SystemExit) as ended:
        exam.main(["--answers", "--output", str(bundle)])
    is_interrupted = isinstance(failure, KeyboardInterrupt)
    assert ended.value.code == (130 if is_interrupted else "error: no such kernel")
    assert not [*bundle.glob("*measurement*")]


def test_a_part_of_an_exam_is_another_set_of_images(
    planted: tuple[Path, Facts, Arrays],
) -> None:
    whole = exam_files.read(planted[0])
    part = whole.first(5)
    assert whole.first(IMAGES) is whole
    assert (part.packed, len(part.labels), len(part.images)) == (IMAGES, 5, 5)
    assert part.reference is not None
    assert len(part.answers) == len(part.reference) == len(part.positions) == 5
    assert len({whole.sha256, part.sha256, whole.first(6).sha256}) == 3


@pytest.mark.parametrize("count", [LEAST_SAME - 1, LEAST_SAME])
def test_few_images_are_no_proof_of_the_same_network(
    planted: tuple[Path, Facts, Arrays], count: int
) -> None:
    taken = exam_files.read(planted[0]).first(count)
    answers = Answers.of(taken, taken.answers, taken.class_names)
    untimed_exam = Measurement(2, loaded=[{"embedded": False, "takes_pixels": False}])
    record = exam_record.record_of(taken, answers, untimed_exam, 1.0)
    assert not answers.problems
    *_, last = summary.lines(taken, answers.drift, answers.home, record)
    is_enough = count == LEAST_SAME
    assert answers.verdict == ("same" if is_enough else "inconclusive")
    assert ("holds here" in last) == is_enough
    assert ("too few images" in last) != is_enough


@pytest.mark.parametrize(
    ("measured", "change", "is_problem"),
    [
        ("pass", None, False),
        ("same", None, False),
        ("fail", None, True),
        ("inconclusive", None, False),
        (None, None, False),  # not measured, or only after another decoder
        (None, "flip", True),
        ("inconclusive", "rounding", True),
        ("pass", "flip", True),
        ("pass", "rounding", True),
    ],
)
def test_a_few_images_that_fail_by_chance_are_no_problem_of_answers_as_at_home(
    tmp_path: Path, measured: str | None, change: str | None, *, is_problem: bool
) -> None:
    sound = planted_exam.exam(tmp_path, 64, precision="int8", measured_verdict=measured)
    lost = sound.answers.copy()
    lost[10:14] = np.roll(lost[10:14], 1, axis=1)  # 4 lost and 0 gained: worse than the budget
    taken = dataclasses.replace(sound, answers=lost)
    here = lost.copy()
    if change == "flip":
        here[20, :2] = here[20].max() + np.array([1e-6, 2e-6])  # a near-tie within the tolerance
        taken = dataclasses.replace(taken, tolerance=1.0)
    elif change == "rounding":
        here += np.linspace(0, 1e-3, here.shape[1], dtype=np.float32)
    answers = Answers.of(taken, here, taken.class_names)
    assert answers.verdict == "fail"
    assert bool(answers.problems) == is_problem
    untimed_exam = Measurement(2, loaded=[{"embedded": False, "takes_pixels": False}])
    record = exam_record.record_of(taken, answers, untimed_exam, 1.0)
    lines = list(summary.lines(taken, answers.drift, answers.home, record))
    assert lines[-1].startswith("result: DOES NOT HOLD" if is_problem else "result: holds here")
    (verdict,) = [line for line in lines if line.startswith("verdict: fail")]
    assert ("the answers are those of home" in verdict) != is_problem
    assert "None" not in verdict


@pytest.mark.parametrize("is_beyond", [False, True])
def test_flips_are_not_called_rounding_where_logits_differ_by_more(
    tmp_path: Path, *, is_beyond: bool
) -> None:
    taken = planted_exam.exam(tmp_path, 64, precision="int8", tolerance=0.05)
    top = taken.answers[20].max()
    taken.answers[20, :2] = top + np.array([2e-6, 1e-6])  # a near-tie
    here = taken.answers.copy()
    here[20, 1] = top + (0.05 if is_beyond else 3e-6)
    answers = Answers.of(taken, here, taken.class_names)
    assert (answers.problems, answers.home.flips) == ([], 1)
    assert bool(answers.drift.beyond_rounding) == is_beyond
    untimed_exam = Measurement(2, loaded=[{"embedded": False, "takes_pixels": False}])
    record = exam_record.record_of(taken, answers, untimed_exam, 1.0)
    lines = list(summary.lines(taken, answers.drift, answers.home, record))
    assert any("beyond float32 rounding" in line for line in lines) == is_beyond
    assert lines[-1].startswith("result: 1 answers flip here")
    assert ("within what rounding explains" in lines[-1]) != is_beyond
    assert ("by more than 0.05, as another processor explains" in lines[-1]) == is_beyond


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--images", "3"], "--images: expected it with --answers"),
        (["--answers", "--images", "0"], "--images: expected a number from 1 to 512, found 0"),
        (["--answers", "--seconds", "0"], "--seconds: expected a number above 0"),
    ],
)
def test_an_option_without_an_effect_is_refused(
    bundle: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        exam.main(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_the_card_of_a_signed_bundle_writes_the_measurement_elsewhere() -> None:
    bundling = formats.get("onnx_fp32").bundling
    assert bundling is not None
    assert "--exam --output .." in card._exam(Shipment(bundling, key_sha256="0" * 64))
    assert "--output" not in card._exam(Shipment(bundling))


def test_the_card_of_a_signed_bundle_tells_how_to_import_its_program() -> None:
    bundling = formats.get("onnx_fp32").bundling
    assert bundling is not None
    assert "`python -B`" in card._imported(Shipment(bundling, key_sha256="0" * 64))
    assert not card._imported(Shipment(bundling))
