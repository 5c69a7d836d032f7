"""A model file that its runtime cannot open: the message names the versions, where they differ."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from src.shipped import predict, unopened
from src.shipped.predict import Model
from tests.golden.pixels import GOLDEN
from tests.support.bundle_program import described

RULE = GOLDEN.rules[0]
VERSIONS = [
    ("onnxruntime>=9999.1,<10000", "onnxruntime==9999.1.0", "onnxruntime", "9999.1.0"),
    ("numpy>=9.1\ntorch==9.1.*", "numpy==9.1.0\ntorch==9.1.0+cpu", "torch", "9.1.0"),
]


@pytest.mark.parametrize(("asked", "lock", "name", "packed"), VERSIONS)
def test_a_file_that_another_version_cannot_open_names_both_versions(
    asked: str, lock: str, name: str, packed: str, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"of a later version")
    folder = described(tmp_path / "model.onnx", RULE)
    (folder / "requirements.txt").write_text(asked)
    (folder / "requirements.lock").write_text(f"{lock}\nother==1.0\n# a remark\n")
    with pytest.raises(predict.UnusableModelError) as refused:
        Model(folder)
    told = str(refused.value).partition("; it was packed with ")[2]
    assert told == f"{name} {packed}, and here is {version(name)}: pip install {name}=={packed}"


@pytest.mark.parametrize("asked", ["numpy>=9.1\npillow>=99", "simplejpeg>=9", "onnxruntime>=1\n"])
def test_packages_that_read_no_model_and_those_without_a_version_are_no_cause(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unopened, "version", lambda _: None)
    (tmp_path / "model.onnx").write_bytes(b"damaged before it was packed")
    folder = described(tmp_path / "model.onnx", RULE)
    (folder / "requirements.txt").write_text(asked)
    (folder / "requirements.lock").write_text(
        "numpy==9.1.0\npillow==99.0.0\nsimplejpeg==9.0\nonnxruntime==1.0.0\n"
    )
    with pytest.raises(predict.UnusableModelError) as refused:
        Model(folder)
    assert "packed with" not in str(refused.value)


def test_a_file_that_was_cut_short_is_told_before_any_version(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"whole when it was packed")
    folder = described(tmp_path / "model.onnx", RULE)
    (folder / "model.onnx").write_bytes(b"whole when")
    (folder / "requirements.txt").write_text("onnxruntime>=9999.1")
    (folder / "requirements.lock").write_text("onnxruntime==9999.1.0\n")
    with pytest.raises(
        predict.UnusableModelError,
        match=r"; not the file that was packed: model\.onnx; unpack the zip file again$",
    ):
        Model(folder)


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
