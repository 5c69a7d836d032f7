"""Prediction around a file that needs no runtime: order, memory, what cannot be read, output."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from src.benchmark.process import EVALUATION_BATCH
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.predict import pictures
from src.predict.exported import ExportedFile
from src.predict.options import PredictOptions
from src.predict.output import open_writer
from src.predict.stage import Prediction, predictions, softmax
from tests import photos


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
    with pytest.raises(UsageError, match=r"broken.png: expected an image that Pillow can decode"):
        list(predictions(planted()[1], paths, "raise"))
    file, exported = planted()
    found = list(predictions(exported, paths, "skip"))
    assert [each.problem is None for each in found] == [True, False, True]
    assert [each.path for each in found] == paths
    assert file.batches == [2]
    assert found[1].top(file.class_names, 3) == []
    [alone] = predictions(exported, [broken], "skip")
    assert "Pillow can decode" in str(alone.problem)
    assert file.batches == [2]


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
        assert not path.exists()
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


def test_nothing_to_write_is_still_json(tmp_path: Path) -> None:
    with open_writer(tmp_path / "none.json", ["a"], 1):
        pass
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_what_was_begun_when_it_failed_is_not_left(tmp_path: Path) -> None:
    def fail() -> None:
        with open_writer(tmp_path / "half.csv", ["a"], 1) as write:
            write(Prediction(Path("x"), np.array([1.0])))
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top: expected a positive number; found 0"),
        ({"output": "answers.txt"}, "output: expected a name that ends with .csv or .json"),
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
        assert Preprocessing.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
