"""Prediction with a planted file: order, memory, and images without a prediction."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from src.cli.stage_command import parse_with_operands
from src.data.preprocessing import Preprocessing
from src.errors import LightshipError, UsageError
from src.predict import images
from src.predict.exported import ExportedFile, NonFiniteLogitsError
from src.predict.options import PredictOptions
from src.predict.stage import Prediction, predictions, softmax
from src.run.call_size import EVALUATION_BATCH
from src.run.facts import PreprocessingFacts
from src.run.layout import as_dict
from src.run.reading import convert
from tests.support import photos


class ChannelMeans:
    """An exported file whose logits are the means of the channels; records the batch sizes."""

    def __init__(self) -> None:
        self.preprocessing = Preprocessing(8)
        self.class_names = list(photos.CLASSES)
        self.batches: list[int] = []

    def prepare(self, image: Image.Image) -> np.ndarray:
        return self.preprocessing(image).numpy()

    def logits(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(len(batch))
        return batch.mean(axis=(2, 3))


def planted() -> tuple[ChannelMeans, ExportedFile]:
    """Return the same file twice, the second time typed as the real one."""
    file = ChannelMeans()
    return file, cast("ExportedFile", file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos.write(tmp_path_factory.mktemp("photos"), 4)


def test_images_of_a_folder_are_listed_sorted_and_hidden_files_left_out(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not an image")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "one.jpg").write_bytes((folder / "sea" / "00.jpg").read_bytes())
    paths = images.find([str(tmp_path), str(folder / "leaf" / "01.jpg")])
    assert paths == [inner / "one.jpg", folder / "leaf" / "01.jpg"]
    assert images.find([str(folder)]) == sorted(folder.rglob("*.*"))


def test_a_name_that_is_no_image_and_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"IMAGE: .*found nowhere.jpg, which is neither"):
        images.find(["nowhere.jpg"])
    with pytest.raises(UsageError, match=r"IMAGE: expected images in a folder; found none in"):
        images.find([str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("https://example.org/cat.jpg", "download the image, and name its file"),
        ("FTP://example.org/cat.jpg?size=3", "download the image, and name its file"),
        ("s3://photos/cat.jpg", "download the image, and name its file"),
        ("-", "standard input is not read; write the image to a file, and name that"),
        ("photos/*.gif", "no file matches this pattern: mend it, or name the folder"),
        ("photos/[0-9].jpg", "no file matches this pattern: mend it, or name the folder"),
        ("photos /cat.jpg", "mend the path"),
    ],
)
def test_a_name_that_is_no_path_is_refused_with_its_own_remedy(
    name: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").touch()
    monkeypatch.setattr(sys, "argv", ["predict", str(tmp_path), "top=1", name, "--format", "onnx"])
    _, names, options = parse_with_operands("IMAGE", "predict", None, PredictOptions)
    assert (names, options.top, options.format) == ([name], 1, "onnx")
    with pytest.raises(UsageError) as refused:
        images.find(names)
    assert f"found {name}, which is neither; {remedy}" in str(refused.value)


def test_a_pattern_that_no_shell_has_expanded_stands_for_its_matches(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = (folder / "sea" / "00.jpg").read_bytes()
    names = ("a.jpg", "b.jpg", "c [1].jpg", "d.png", "inner/e.jpg")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture)
    monkeypatch.chdir(tmp_path)

    def found(*patterns: str) -> list[str]:
        return [str(path) for path in images.find(patterns)]

    assert found("*.jpg") == ["a.jpg", "b.jpg", "c [1].jpg"]
    assert found("[bd].*", "a.jpg") == ["b.jpg", "d.png", "a.jpg"]
    assert found("c [1].jpg") == ["c [1].jpg"]  # a file's own name comes first
    assert found("in*") == ["inner/e.jpg"]
    assert found("**/*.jpg") == ["a.jpg", "b.jpg", "c [1].jpg", "inner/e.jpg"]
    assert found("**/e.*") == ["inner/e.jpg"]
    assert found(f"{tmp_path}/a*") == [f"{tmp_path}/a.jpg"]


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("gone.jpg", "gone.jpg"),
        ("a[1].jpg", "a[1].jpg"),
        ("*.jpg", "a[1].jpg"),
        ("**/g*", "inner/gone [*].jpg"),
    ],
)
def test_a_link_to_nothing_is_refused_in_one_line(
    name: str, link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(link).parent.mkdir(exist_ok=True)
    Path(link).symlink_to("nowhere")
    with pytest.raises(UsageError) as refused:
        images.find([name])
    assert str(refused.value) == (
        "IMAGE: expected an image file or a folder of them; "
        f"found {link}, which is neither; mend the link, which leads to nothing"
    )


@pytest.mark.parametrize("name", ["pipe.jpg", "*.jpg", "pip[e]*", "/dev/stdin", "/dev/null"])
def test_a_pipe_or_a_device_is_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jpg")
    with pytest.raises(UsageError) as refused:
        images.find([name])
    found = name if name.startswith("/") else "pipe.jpg"
    assert str(refused.value) == (
        f"IMAGE: expected an image file or a folder of them; found {found}, which is neither; "
        "pipes and devices are not read; write the image to a file, and name that"
    )


@pytest.mark.parametrize(
    ("call", "locked", "name"),
    [
        ("scandir", "photos/inner", "photos"),
        ("scandir", "photos/inner", "photos/*/*.jpg"),
        ("scandir", "photos/inner", "photos/**/*.jpg"),
        ("scandir", "photos/inner", "photos/inner/*.jpg"),
        ("stat", "photos/inner/a.jpg", "photos/inner/a.jpg"),
        ("stat", "photos/inner/a.jpg", "photos/inner/*.jpg"),
        ("lstat", "photos/inner/a.jpg", "photos/in*/a.jpg"),
    ],
)
def test_a_folder_that_may_not_be_read_is_refused_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, locked: str, name: str
) -> None:
    """Root may read everything, so the system's call fails by a plan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    picture = (folder / "sea" / "00.jpg").read_bytes()
    for path in ("photos/b.jpg", "photos/inner/a.jpg"):
        (tmp_path / path).write_bytes(picture)
    original = getattr(os, call)

    def refuse(path: Any = ".", *rest: Any, **options: Any) -> Any:
        if not isinstance(path, int) and os.fspath(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", locked)
        return original(path, *rest, **options)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(
        UsageError, match=r"^IMAGE: .*\(Permission denied\); .*permissions"
    ) as error:
        images.find(["photos/b.jpg", name])
    assert f"found {locked} (" in str(error.value)


def test_at_most_two_batches_of_images_are_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    original = images.read_image

    def counted(path: Path) -> Any:
        nonlocal read
        read += 1
        return original(path)

    monkeypatch.setattr(images, "read_image", counted)
    paths = [folder / "sea" / "00.jpg"] * (EVALUATION_BATCH * 4 + 5)
    file, exported = planted()
    stream: Iterator[Prediction] = predictions(exported, paths, "raise")
    next(stream)
    assert read <= 2 * EVALUATION_BATCH
    assert len(list(stream)) == len(paths) - 1
    assert file.batches == [EVALUATION_BATCH] * 4 + [5]


def test_an_unreadable_image_raises_or_is_skipped_as_on_error_says(
    folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("hello")
    paths = [folder / "sea" / "00.jpg", broken, folder / "leaf" / "00.jpg"]
    stopping = predictions(planted()[1], paths, "raise")
    assert next(stopping).path == paths[0]  # it is before the unreadable one
    with pytest.raises(UsageError, match=r"broken.png: expected .* replace or remove the file$"):
        next(stopping)
    assert next(predictions(planted()[1], paths, "mark")).problem is None
    file, exported = planted()
    skipping = list(predictions(exported, paths, "skip"))
    assert [one.problem is None for one in skipping] == [True, False, True]
    assert [one.path for one in skipping] == paths
    assert file.batches == [2]
    assert skipping[1].top(file.class_names, 3) == []
    [alone] = predictions(exported, [broken], "skip")
    assert "Pillow can decode" in str(alone.problem)
    assert file.batches == [2]


UNREADABLE = {
    "text": b"hello",
    "an empty file": b"",
    "half an image": None,
    "a folder": "folder",
    "a link to nothing": "link",
    "a decompression bomb": "bomb",
    "an image on which a library fails": "chokes",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_image_is_an_error_in_one_line(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = folder / "sea" / "00.jpg"
    bad = tmp_path / "bad.jpg"
    content = UNREADABLE[name]
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
        original = images.read_image

        def chokes(path: Path) -> Any:
            if path == bad:
                raise ZeroDivisionError("of a library")
            return original(path)

        monkeypatch.setattr(images, "read_image", chokes)
    marked = list(predictions(planted()[1], [good, bad, good], "mark"))
    assert [one.path for one in marked] == [good, bad, good]
    line = str(marked[1].problem)
    assert line.startswith(f"{bad}: expected an image that Pillow can decode; found ")
    assert line.endswith("; replace or remove the file")  # predict has no data.on_error
    assert "\n" not in line
    assert (marked[0].problem is None) == (good != bad)


class NotFiniteAbove(ChannelMeans):
    """Has no finite logits for images whose mean red is above a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level, self.name = level, "onnx_int8"

    def logits(self, batch: np.ndarray) -> np.ndarray:
        logits = super().logits(batch)
        bad = np.flatnonzero(logits[:, 0] > self.level)
        if len(bad):
            raise NonFiniteLogitsError(self.name, bad.tolist())
        return logits


@pytest.mark.parametrize("on_error", ["mark", "skip", "raise"])
def test_an_image_without_finite_logits_does_not_change_other_predictions(
    folder: Path, on_error: Any
) -> None:
    paths = sorted(folder.rglob("*.*"))
    expected = list(predictions(planted()[1], paths, on_error))
    reds = [float(Preprocessing(8)(images.read_image(path))[0].mean()) for path in paths]
    level = sum(sorted(reds)[-4:-2]) / 2  # three are above it
    bad = [red > level for red in reds]
    assert sum(bad) == 3
    results: list[Prediction] = []
    partial = predictions(cast("ExportedFile", NotFiniteAbove(level)), paths, on_error)
    if on_error == "raise":
        with pytest.raises(LightshipError, match="the logits of onnx_int8 are not finite"):
            results.extend(partial)
        assert len(results) == bad.index(True)
    else:
        results = list(partial)
        assert [one.problem is not None for one in results] == bad
    for one, alone in zip(results, expected, strict=False):
        if one.problem is None:
            assert one.probabilities is not None
            assert alone.probabilities is not None
            assert np.array_equal(one.probabilities, alone.probabilities)
        else:
            assert str(one.path) in str(one.problem)


def test_a_batch_without_any_finite_logits_is_computed_once(folder: Path) -> None:
    file = NotFiniteAbove(-np.inf)
    marked = list(predictions(cast("ExportedFile", file), sorted(folder.rglob("*.*")), "mark"))
    assert all(one.problem for one in marked)
    assert len(file.batches) == 1


def test_the_likeliest_classes_come_first_and_probabilities_sum_to_one() -> None:
    probabilities = softmax(np.array([[1.0, 3.0, 3.0, -1000.0]], np.float32))[0]
    assert probabilities.sum() == pytest.approx(1)
    top = Prediction(Path("x"), probabilities).top(["a", "b", "c", "d"], 3)
    assert [name for name, _ in top] == ["b", "c", "a"]
    assert top[0][1] == pytest.approx(1 / (2 + np.exp(-2)))


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


def test_the_preprocessing_is_the_same_after_json() -> None:
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
