from __future__ import annotations

from pathlib import Path

import pytest

from src import files


def test_text_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "file.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_folder_takes_its_place_when_it_is_full(tmp_path: Path) -> None:
    place = tmp_path / "exports" / "onnx"
    with files.whole_folder(place) as fresh:
        (fresh / "model").write_text("first")
        assert not place.exists()
    with files.whole_folder(place) as fresh:
        (fresh / "model").write_text("second")
        assert (place / "model").read_text() == "first"
    assert (place / "model").read_text() == "second"
    assert list(place.parent.iterdir()) == [place]


def test_a_folder_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "onnx"
    with files.whole_folder(place) as fresh:
        (fresh / "model").write_text("first")

    def fail() -> None:
        with files.whole_folder(place) as fresh:
            (fresh / "model").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (place / "model").read_text() == "first"
    assert list(tmp_path.iterdir()) == [place]


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert files.sha256(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")
