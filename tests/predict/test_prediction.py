"""Prediction around a file that needs no runtime: order, memory, what cannot be read, output."""

from __future__ import annotations

import csv
import errno
import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from src.data.preprocessing import Preprocessing
from src.errors import LightshipError, UsageError
from src.predict import images as pictures
from src.predict.exported import ExportedFile, NoAnswerError
from src.predict.options import PredictOptions
from src.predict.output import open_writer
from src.predict.stage import Prediction, predictions, softmax
from src.run.facts import PreprocessingFacts
from src.run.layout import as_dict
from src.run.reading import convert
from src.system import os_errors
from src.system.signals import Stopped
from src.worker.process import EVALUATION_BATCH
from tests.support import photos


class Planted:
    """Answers with the means of the channels; remembers how many images there were at once."""

    def __init__(self) -> None:
        self.preprocessing = Preprocessing(8)
        self.class_names = list(photos.CLASSES)
        self.batches: list[int] = []

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        return images.mean(axis=(2, 3))


def planted() -> tuple[Planted, ExportedFile]:
    file = Planted()
    return file, cast("ExportedFile", file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos.write(tmp_path_factory.mktemp("photos"), 4)


def test_a_folder_is_looked_through_in_order(folder: Path, tmp_path: Path) -> None:
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not an image")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "one.jpg").write_bytes((folder / "sea" / "00.jpg").read_bytes())
    found = pictures.find([str(tmp_path), str(folder / "leaf" / "01.jpg")])
    assert found == [inner / "one.jpg", folder / "leaf" / "01.jpg"]
    assert pictures.find([str(folder)]) == sorted(folder.rglob("*.*"))


def test_what_is_no_image_and_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"IMAGE: .*found nowhere.jpg, which is neither"):
        pictures.find(["nowhere.jpg"])
    with pytest.raises(UsageError, match=r"IMAGE: expected images in a folder; found none in"):
        pictures.find([str(tmp_path)])


def test_no_more_than_two_batches_are_read_ahead(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    original = pictures.read_image

    def counted(path: Path) -> Any:
        nonlocal read
        read += 1
        return original(path)

    monkeypatch.setattr(pictures, "read_image", counted)
    paths = [folder / "sea" / "00.jpg"] * (EVALUATION_BATCH * 4 + 5)
    file, exported = planted()
    found: Iterator[Prediction] = predictions(exported, paths, "raise")
    next(found)
    assert read <= 2 * EVALUATION_BATCH
    assert len(list(found)) == len(paths) - 1
    assert file.batches == [EVALUATION_BATCH] * 4 + [5]


def test_an_unreadable_image_stops_or_is_left_out(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("hello")
    paths = [folder / "sea" / "00.jpg", broken, folder / "leaf" / "00.jpg"]
    stopping = predictions(planted()[1], paths, "raise")
    assert next(stopping).path == paths[0]  # which is before it, and stays
    with pytest.raises(UsageError, match=r"broken.png: expected .* replace or remove the file$"):
        next(stopping)
    assert next(predictions(planted()[1], paths, "mark")).problem is None
    file, exported = planted()
    found = list(predictions(exported, paths, "skip"))
    assert [each.problem is None for each in found] == [True, False, True]
    assert [each.path for each in found] == paths
    assert file.batches == [2]
    assert found[1].top(file.class_names, 3) == []
    [alone] = predictions(exported, [broken], "skip")
    assert "Pillow can decode" in str(alone.problem)
    assert file.batches == [2]


PICTURES = {
    "no picture": b"hello",
    "nothing": b"",
    "half a picture": None,
    "a folder": "folder",
    "a link to nothing": "link",
    "a decompression bomb": "bomb",
    "a picture that a library chokes on": "chokes",
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_one_line_of_its_own_that_is(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = folder / "sea" / "00.jpg"
    bad = tmp_path / "bad.jpg"
    content = PICTURES[name]
    if isinstance(content, bytes):
        bad.write_bytes(content)
    elif content is None:
        bad.write_bytes(good.read_bytes()[:300])
    elif content == "folder":
        bad.mkdir()
    elif content == "link":
        bad.symlink_to(tmp_path / "nowhere")
    elif content == "bomb":
        bad.write_bytes(good.read_bytes())
        monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
        monkeypatch.setattr("src.data.pipeline.image_file.MOST_PIXELS", 10, raising=False)
        good = bad
    else:
        original = pictures.read_image

        def chokes(path: Path) -> Any:
            if path == bad:
                raise ZeroDivisionError("of a library")
            return original(path)

        monkeypatch.setattr(pictures, "read_image", chokes)
    found = list(predictions(planted()[1], [good, bad, good], "mark"))
    assert [each.path for each in found] == [good, bad, good]
    line = str(found[1].problem)
    assert line.startswith(f"{bad}: expected an image that Pillow can decode; found ")
    assert line.endswith("; replace or remove the file")  # and no option that is refused here
    assert "\n" not in line
    assert (found[0].problem is None) == (good != bad)


class Partial(Planted):
    """Has no finite answer for pictures of which the red channel is above a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level, self.name = level, "onnx_int8"

    def logits(self, images: np.ndarray) -> np.ndarray:
        answers = super().logits(images)
        bad = np.flatnonzero(answers[:, 0] > self.level)
        if len(bad):
            raise NoAnswerError(self.name, bad.tolist())
        return answers


@pytest.mark.parametrize("on_error", ["mark", "skip", "raise"])
def test_a_picture_without_a_finite_answer_costs_no_other_its_own(
    folder: Path, on_error: Any
) -> None:
    paths = sorted(folder.rglob("*.*"))
    usual = list(predictions(planted()[1], paths, on_error))
    reds = [float(Preprocessing(8)(pictures.read_image(path))[0].mean()) for path in paths]
    level = sum(sorted(reds)[-4:-2]) / 2  # three are above it
    bad = [red > level for red in reds]
    assert sum(bad) == 3
    found: list[Prediction] = []
    partial = predictions(cast("ExportedFile", Partial(level)), paths, on_error)
    if on_error == "raise":
        with pytest.raises(LightshipError, match="the logits of onnx_int8 are not finite"):
            found.extend(partial)
        assert len(found) == bad.index(True)
    else:
        found = list(partial)
        assert [each.problem is not None for each in found] == bad
    for each, before in zip(found, usual, strict=False):
        if each.problem is None:
            assert each.probabilities is not None
            assert before.probabilities is not None
            assert np.array_equal(each.probabilities, before.probabilities)
        else:
            assert str(each.path) in str(each.problem)


def test_a_file_that_answers_nothing_is_asked_once_a_batch(folder: Path) -> None:
    file = Partial(-np.inf)
    found = list(predictions(cast("ExportedFile", file), sorted(folder.rglob("*.*")), "mark"))
    assert all(each.problem for each in found)
    assert len(file.batches) == 1


def test_the_likeliest_come_first_and_add_up_to_one() -> None:
    probabilities = softmax(np.array([[1.0, 3.0, 3.0, -1000.0]], np.float32))[0]
    assert probabilities.sum() == pytest.approx(1)
    top = Prediction(Path("x"), probabilities).top(["a", "b", "c", "d"], 3)
    assert [name for name, _ in top] == ["b", "c", "a"]
    assert top[0][1] == pytest.approx(1 / (2 + np.exp(-2)))


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_what_is_written_can_be_read_again(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answers{suffix}"
    names = ['a "quoted", name', "ünlü"]
    given = [
        Prediction(Path("one, two.jpg"), np.array([1 / 3, 2 / 3])),
        Prediction(
            Path("broken.jpg"),
            None,
            UsageError("broken.jpg", expected="an image", found="none", remedy="mend it"),
        ),
    ]
    with open_writer(path, names, 5) as write:
        for each in given:
            write(each)
            assert len(answers_in(path)) == given.index(each) + 1  # as soon as it is given
    if suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows[0] == [
            *("image", "predicted", "probability", "predicted_2", "probability_2", "error"),
        ]
        assert rows[1] == ["one, two.jpg", names[1], str(2 / 3), names[0], str(1 / 3), ""]
        assert rows[2] == ["broken.jpg", "", "", "", "", str(given[1].problem)]
    else:
        one, two = json.loads(path.read_text(encoding="utf-8"))
        assert one["top"] == [
            {"class": names[1], "probability": 2 / 3},
            {"class": names[0], "probability": 1 / 3},
        ]
        assert two == {"image": "broken.jpg", "top": [], "error": str(given[1].problem)}


def answers_in(path: Path) -> list[Any]:
    """What a program that opens the file now finds in it."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    if path.suffix == ".json":
        found: list[Any] = json.loads(text)
        return found
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_nothing_to_write_is_still_json_and_a_head(tmp_path: Path) -> None:
    for name in ("none.json", "none.csv"):
        with open_writer(tmp_path / name, ["a"], 1):
            pass
        assert answers_in(tmp_path / name) == []
    assert (tmp_path / "none.csv").read_text() == "image,predicted,probability,error\n"


GIVEN = Prediction(Path("x"), np.array([0.5, 0.5]))
ENDS = {
    "a defect": RuntimeError("in between"),
    "Ctrl-C": Stopped(signal.SIGINT),
    "a picture that cannot be read": UsageError("x", expected="y", found="z", remedy="mend it"),
    "a worker that died": LightshipError("the worker process ended with SIGKILL"),
    "a terminal that was closed": KeyboardInterrupt(),
}


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("name", ENDS)
def test_what_was_written_stays_after(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"half{suffix}"
    path.write_text("old\n")
    for count in (0, 1, 3):

        def fail(count: int = count) -> None:
            with open_writer(path, ["a", "b"], 2) as write:
                for _ in range(count):
                    write(GIVEN)
                raise ENDS[name]

        with pytest.raises(type(ENDS[name])):
            fail()
        if count:
            assert len(answers_in(path)) == count
        else:
            assert path.read_text() == "old\n"  # nothing was known yet
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_new_file_without_an_answer_is_not_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at once"), open_writer(tmp_path / "x.csv", ["a"], 1):
        raise ValueError("at once")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("room", [0, 1, 60, 150, 151, 200, 1000])
def test_a_disk_that_is_full_keeps_whole_answers(
    suffix: str, room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"answers{suffix}"

    class Full(io.FileIO):
        def write(self, content: Any, /) -> int:
            left = room - self.tell()
            if left <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(content)[:left])  # as much as there is room for

    def opened(self: Path, mode: str, buffering: int) -> Full:
        return Full(self, mode.replace("b", ""))

    monkeypatch.setattr(Path, "open", opened)
    written = 0

    def write_many() -> None:
        nonlocal written
        with open_writer(path, ["a", "b"], 2) as write:
            for _ in range(100):
                write(GIVEN)
                written += 1

    with pytest.raises(OSError, match="No space left") as raised:
        write_many()
    monkeypatch.undo()
    assert "the disk is full" in str(os_errors.explain(raised.value))
    assert raised.value.filename == str(path)
    assert len(answers_in(path)) == written if written else not path.exists()
    assert written > 0 or room < 200


def test_a_file_that_cannot_be_opened_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    for name in (f"{'x' * 300}.csv", "folder.csv"):
        if len(name) < 100:
            (tmp_path / name).mkdir()
        expected = r"output: expected a file that can be written; found"
        with pytest.raises(UsageError, match=expected), open_writer(tmp_path / name, ["a"], 1):
            pytest.fail("it was opened")


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_names_of_any_bytes_are_written(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"names{suffix}"
    names = ["caf\udce9.jpg", "line\nbreak.jpg", "\U0001f600.jpg", 'quo"ted.jpg']
    with open_writer(path, ["a", "b"], 1) as write:
        for name in names:
            write(Prediction(Path(name), np.array([0.5, 0.5])))
    found = [line["image"] for line in answers_in(path)]
    assert found[1:] == names[1:]
    assert found[0] == r"caf\udce9.jpg"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top: expected a positive number; found 0"),
        ({"output": "answers.txt"}, "output: expected a name that ends with .csv or .json"),
        ({"output": "/dev/null.csv/../../dev"}, "output: expected a name that ends with"),
        ({"on_error": "skip", "top": -1}, "top: expected a positive number; found -1"),
        ({"output": "nowhere/answers.csv"}, "output: expected a file in a folder that exists"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        PredictOptions(**options)
    assert str(caught.value).startswith(message)


def test_an_exported_files_preprocessing_is_made_again_from_its_words() -> None:
    for rule in (
        Preprocessing(24),
        Preprocessing(32, "crop", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic", 0.9),
    ):
        assert (
            Preprocessing.of(
                convert(json.loads(json.dumps(as_dict(rule.facts()))), PreprocessingFacts)
            )
            == rule
        )
