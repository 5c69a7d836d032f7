"""A program of its own opens a bundle's model and images in each usual way."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.bundle.stage import CONTENTS
from src.shipped.predict import Model, UnusableModelError
from src.shipped.predict_images import UnreadableImageError, read_image
from tests.golden.pixels import GOLDEN, IDS
from tests.support import identity_models
from tests.support.bundle_program import described

RULE = GOLDEN.rules[0]
NAME = "orientation_6.jpg"
WAYS: dict[str, Callable[[Path], Any]] = {
    "a path": lambda path: path,
    "its text": str,
    "bytes": Path.read_bytes,
    "a bytearray": lambda path: bytearray(path.read_bytes()),
    "a view of memory": lambda path: memoryview(path.read_bytes()),
    "a file in memory": lambda path: io.BytesIO(path.read_bytes()),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return described(identity_models.onnx_file(RULE, tmp_path / "model"), RULE)


def test_a_model_is_opened_by_a_path_or_its_text(folder: Path) -> None:
    assert Model(str(folder)).class_names == Model(folder).class_names


@pytest.mark.parametrize("way", WAYS)
def test_an_image_is_a_path_its_text_its_content_or_an_opened_file(
    way: str, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / NAME
    path.write_bytes(GOLDEN.file(NAME))
    given = Model(folder).prepare(WAYS[way](path))
    assert np.array_equal(given, GOLDEN.input(0, NAME))


@pytest.mark.parametrize(
    "given", [np.zeros((9, 9, 3), np.uint8), Image.new("RGB", (9, 9)), None, 5, ["a.png"]]
)
def test_what_is_no_file_is_refused_by_its_type(given: Any) -> None:
    with pytest.raises(TypeError, match="expected the path or the content of an image file, found"):
        read_image(given)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"no image", bytes(100)])
def test_bytes_that_are_no_image_are_an_unreadable_image(content: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="image"):
        read_image(content)


def test_a_file_of_a_bundle_that_an_editor_on_windows_has_saved_is_read(folder: Path) -> None:
    about = folder / "model.json"
    text = json.dumps(json.loads(about.read_text(encoding="utf-8")), indent=1)
    about.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert Model(folder).class_names == identity_models.metadata(RULE)["class_names"]
    about.write_bytes(text.encode("utf-16"))
    with pytest.raises(UnusableModelError, match=r"^model\.json: "):
        Model(folder)


TWO_BUNDLES = """
import sys
from one.predict import Model as One
from two.predict import Model as Two
image = sys.argv[1]
assert One is not Two
print(len(One().class_names), len(Two().class_names), One().prepare(image).shape[-1])
"""


def test_two_bundles_are_two_packages_in_one_program(tmp_path: Path) -> None:
    for name, number in (("one", 0), ("two", IDS.index("crop-bicubic-15"))):
        rule = GOLDEN.rules[number]
        folder = described(identity_models.onnx_file(rule, tmp_path / name), rule)
        for file in CONTENTS.glob("*.py"):
            if file.name != "__init__.py":
                (folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "machine.py").write_text("raise ImportError('a module of the program')\n")
    (tmp_path / "image.jpg").write_bytes(GOLDEN.file(NAME))
    ended = subprocess.run(
        [sys.executable, "-c", TWO_BUNDLES, "image.jpg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{3 * 16**2} {3 * 15**2} 16\n"
