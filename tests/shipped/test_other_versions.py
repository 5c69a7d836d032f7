"""A model file that its runtime cannot open: the message names the versions, where they differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.shipped import predict
from src.shipped.predict import Model
from tests.golden.pixels import GOLDEN
from tests.support.bundle_program import described

RULE = GOLDEN.rules[0]
VERSIONS = [
    ("onnxruntime>=9999.1,<10000", "onnxruntime==9999.1.0", "onnxruntime 9999.1.0, and here is "),
    ("numpy>=9.1\ntorch==9.1.*", "numpy==9.1.0\ntorch==9.1.0+cpu", "numpy 9.1.0, and here is "),
]


@pytest.mark.parametrize(("asked", "lock", "told"), VERSIONS)
def test_a_file_that_another_version_cannot_open_names_both_versions(
    asked: str, lock: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"of a later version")
    folder = described(tmp_path / "model.onnx", RULE)
    (folder / "requirements.txt").write_text(asked)
    (folder / "requirements.lock").write_text(f"{lock}\nother==1.0\n# a remark\n")
    with pytest.raises(predict.UnusableModelError) as refused:
        Model(folder)
    assert f"; it was packed with {told}" in str(refused.value)
    assert str(refused.value).endswith(": pip install -r requirements.txt")
    assert "other" not in str(refused.value).partition("packed with")[2]


@pytest.mark.parametrize("lock", [None, "", "onnxruntime=={here}\n", "onnxruntime=={here}+cpu\n"])
def test_a_damaged_file_with_the_same_versions_is_told_without_them(
    lock: str | None, tmp_path: Path
) -> None:
    import onnxruntime

    (tmp_path / "model.onnx").write_bytes(b"damaged")
    folder = described(tmp_path / "model.onnx", RULE)
    if lock is not None:
        (folder / "requirements.txt").write_text("onnxruntime>=1,<2\nnot-installed>=1\n")
        here = lock.format(here=onnxruntime.__version__)
        (folder / "requirements.lock").write_text(f"{here}not-installed==1.0\n")
    with pytest.raises(
        predict.UnusableModelError, match=r"^model\.onnx cannot be opened: "
    ) as told:
        Model(folder)
    assert "packed with" not in str(told.value)
