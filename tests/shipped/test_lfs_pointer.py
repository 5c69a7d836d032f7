"""A clone without Git LFS has pointers in the place of large files: every reader says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.errors import UsageError
from src.export.source import Checkpoint
from src.run import fingerprint
from src.run.facts import ExportedFile
from src.run.reading import convert
from src.shipped import lfs_pointer
from src.shipped.predict import Model, UnusableModelError
from tests.golden.pixels import GOLDEN
from tests.support.bundle_program import described

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345678\n"
)
SAID = "; it is a pointer of Git LFS: git lfs pull fetches the file"


@pytest.mark.parametrize(
    ("name", "runtime", "executes"),
    [
        ("model.onnx", "runtime_onnxruntime", None),
        ("model.xml", "runtime_openvino", None),
        ("model.pt", "runtime_torch", "It is a program."),
    ],
)
@pytest.mark.parametrize("is_packed", [True, False])
def test_a_bundle_in_a_clone_says_what_its_model_is(
    name: str, runtime: str, executes: str | None, is_packed: bool, tmp_path: Path
) -> None:
    pytest.importorskip(runtime.removeprefix("runtime_"))
    path = tmp_path / name
    path.write_text(POINTER if is_packed else "the model")
    folder = described(path, GOLDEN.rules[0], runtime, executes=executes)
    path.write_text(POINTER)
    with pytest.raises(UnusableModelError) as refused:
        Model(folder)
    assert str(refused.value).endswith(SAID)
    assert "\n" not in str(refused.value)


def test_an_exported_file_and_a_checkpoint_in_a_clone_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("the model")
    written = [
        convert({"path": file.path, "bytes": file.bytes, "sha256": file.sha256}, ExportedFile)
        for file in fingerprint.taken(tmp_path, [path.name])
    ]
    for text, end in ((POINTER, SAID), ("another model", "")):
        path.write_text(text)
        change = fingerprint.change(written, fingerprint.now(tmp_path, written))
        assert change is not None
        assert change.startswith("model.onnx is another file than was written, of SHA-256 ")
        assert change.endswith(SAID) == bool(end)
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_text(POINTER)
    with pytest.raises(UsageError) as refused:
        Checkpoint.read(checkpoint)
    assert f"{SAID}; name another checkpoint" in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"version 2", b"\x00" * 40, POINTER.encode() + b" " * lfs_pointer.MOST_BYTES]
)
def test_another_file_is_no_pointer(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert not lfs_pointer.is_pointer(path)
    path.write_bytes(content)
    assert lfs_pointer.advice(path) == ""
    assert not lfs_pointer.is_pointer(tmp_path)
