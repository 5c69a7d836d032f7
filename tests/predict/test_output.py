"""Files of predictions: complete at any moment, and readable by other programs."""

from __future__ import annotations

import csv
import errno
import io
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import LightshipError, UsageError
from src.predict.output import open_writer
from src.predict.stage import Prediction
from src.system import os_errors
from src.system.signals import Stopped


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_written_predictions_can_be_read_after_each_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answers{suffix}"
    names = ['a "quoted", name', "ünlü"]
    written = [
        Prediction(Path("one, two.jpg"), np.array([1 / 3, 2 / 3])),
        Prediction(
            Path("broken.jpg"),
            None,
            UsageError("broken.jpg", expected="an image", found="none", remedy="mend it"),
        ),
    ]
    with open_writer(path, names, 5) as write:
        for count, prediction in enumerate(written, 1):
            write(prediction)
            assert len(predictions_in(path)) == count
    if suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows[0] == [
            *("image", "predicted", "probability", "predicted_2", "probability_2", "error"),
        ]
        assert rows[1] == ["one, two.jpg", names[1], str(2 / 3), names[0], str(1 / 3), ""]
        assert rows[2] == ["broken.jpg", "", "", "", "", str(written[1].problem)]
    else:
        one, two = json.loads(path.read_text(encoding="utf-8"))
        assert one["top"] == [
            {"class": names[1], "probability": 2 / 3},
            {"class": names[0], "probability": 1 / 3},
        ]
        assert two == {"image": "broken.jpg", "top": [], "error": str(written[1].problem)}


def predictions_in(path: Path) -> list[Any]:
    """Return the predictions that a program reads from the file now."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    if path.suffix == ".json":
        content: list[Any] = json.loads(text)
        return content
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_an_output_without_images_is_valid_json_or_csv(tmp_path: Path) -> None:
    for name in ("none.json", "none.csv"):
        with open_writer(tmp_path / name, ["a"], 1):
            pass
        assert predictions_in(tmp_path / name) == []
    assert (tmp_path / "none.csv").read_text() == "image,predicted,probability,error\n"


PREDICTION = Prediction(Path("x"), np.array([0.5, 0.5]))
ENDS = {
    "a defect": RuntimeError("in between"),
    "Ctrl-C": Stopped(signal.SIGINT),
    "an image that cannot be read": UsageError("x", expected="y", found="z", remedy="mend it"),
    "a worker that died": LightshipError("the worker process ended with SIGKILL"),
    "a terminal that was closed": KeyboardInterrupt(),
}


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("name", ENDS)
def test_written_predictions_stay_after_an_error(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"half{suffix}"
    path.write_text("old\n")
    for count in (0, 1, 3):

        def fail(count: int = count) -> None:
            with open_writer(path, ["a", "b"], 2) as write:
                for _ in range(count):
                    write(PREDICTION)
                raise ENDS[name]

        with pytest.raises(type(ENDS[name])):
            fail()
        if count:
            assert len(predictions_in(path)) == count
        else:
            assert path.read_text() == "old\n"  # there was no prediction yet
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_new_output_without_a_prediction_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at once"), open_writer(tmp_path / "x.csv", ["a"], 1):
        raise ValueError("at once")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("room", [0, 1, 60, 150, 151, 200, 1000])
def test_a_full_disk_leaves_complete_predictions(
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
                write(PREDICTION)
                written += 1

    with pytest.raises(OSError, match="No space left") as raised:
        write_many()
    monkeypatch.undo()
    assert "the disk is full" in str(os_errors.explain(raised.value))
    assert raised.value.filename == str(path)
    assert len(predictions_in(path)) == written if written else not path.exists()
    assert written > 0 or room < 200


def test_an_output_that_cannot_be_opened_is_refused_before_any_prediction(tmp_path: Path) -> None:
    for name in (f"{'x' * 300}.csv", "folder.csv"):
        if len(name) < 100:
            (tmp_path / name).mkdir()
        expected = r"output: expected a file that can be written; found"
        with pytest.raises(UsageError, match=expected), open_writer(tmp_path / name, ["a"], 1):
            pytest.fail("it was opened")


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_file_names_of_any_bytes_are_written(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"names{suffix}"
    names = ["caf\udce9.jpg", "line\nbreak.jpg", "\U0001f600.jpg", 'quo"ted.jpg']
    with open_writer(path, ["a", "b"], 1) as write:
        for name in names:
            write(Prediction(Path(name), np.array([0.5, 0.5])))
    read_names = [line["image"] for line in predictions_in(path)]
    assert read_names[1:] == names[1:]
    assert read_names[0] == r"caf\udce9.jpg"
