from __future__ import annotations

import ctypes
import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from src.system import atomic_files
from tests.support.user_files import contents


def test_a_failed_write_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    atomic_files.write_text(path, "old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*/file.txt'"):
        atomic_files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_with_nan_is_refused_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_files.write_json(tmp_path / "file.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_folder_appears_under_its_final_name_when_it_is_complete(tmp_path: Path) -> None:
    place = tmp_path / "exports" / "onnx"
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("first")
        assert not place.exists()
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("second")
        assert (place / "model").read_text() == "first"
    assert (place / "model").read_text() == "second"
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_never_missing_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    place = tmp_path / "onnx"
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("first")
    renamed = []
    if not can_exchange:

        def refuse(*_: Path) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(atomic_files, "_rename_exchange", refuse)
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        renamed.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("second")
    assert (place / "model").read_text() == "second"
    assert len(renamed) == (0 if can_exchange else 3)
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("number", [0, errno.ENOTSUP, errno.EIO])
def test_macos_exchanges_two_names_by_its_own_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    place = tmp_path / "onnx"
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("first")
    exchange = atomic_files._rename_exchange

    called = []

    class MacOS:
        """The C library of macOS, which has no renameat2."""

        def renamex_np(self, first: bytes, second: bytes, flags: int) -> int:
            assert flags == 2
            called.append(first)
            ctypes.set_errno(number)
            if number == 0:
                with monkeypatch.context() as patch:
                    patch.setattr("ctypes.CDLL", CDLL)
                    exchange(Path(os.fsdecode(first)), Path(os.fsdecode(second)))
            return -1 if number else 0

    CDLL = ctypes.CDLL  # noqa: N806
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: MacOS())
    fails = number == errno.EIO
    expected = pytest.raises(OSError, match="Input/output") if fails else nullcontext()
    with expected, atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("second")
    assert len(called) == 1
    assert (place / "model").read_text() == ("first" if fails else "second")
    assert list(tmp_path.iterdir()) == [place]


def test_a_folder_is_restored_if_the_second_of_two_renames_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "onnx"
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("first")

    def refuse(*_: Path) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(atomic_files, "_rename_exchange", refuse)
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target == place and (self / "model").read_text() == "second":
            raise OSError(errno.EIO, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="Input/output"), atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("second")
    assert (place / "model").read_text() == "first"
    assert list(tmp_path.iterdir()) == [place]


def test_a_replaced_folder_keeps_files_of_others(tmp_path: Path) -> None:
    place = tmp_path / "onnx"
    (place / "engines").mkdir(parents=True)
    for name in ("model", "model.data", "notes.txt", "engines/int8.plan"):
        (place / name).write_text("old")
    (place / "link").symlink_to("notes.txt")
    with atomic_files.whole_folder(place, replaced=["model", "model.data"]) as fresh:
        (fresh / "model").write_text("new")
    assert contents(place) == {
        "engines": "folder or pipe",
        "engines/int8.plan": "old",
        "link": "link to notes.txt",
        "model": "new",
        "notes.txt": "old",
    }
    assert list(tmp_path.iterdir()) == [place]
    atomic_files.remove_written(place, ["model"])
    assert (place / "notes.txt").is_file()
    atomic_files.remove_written(place, ["notes.txt", "link", "engines/int8.plan"])
    assert not place.exists()


def test_a_link_to_a_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, place = tmp_path / "target", tmp_path / "onnx"
    target.mkdir()
    (target / "precious").write_text("mine")
    place.symlink_to(target)
    with atomic_files.whole_folder(place, replaced=[]) as fresh:
        (fresh / "model").write_text("new")
    assert contents(tmp_path) == {
        "onnx": "folder or pipe",
        "onnx/model": "new",
        "target": "folder or pipe",
        "target/precious": "mine",
    }


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_files_are_written_where_the_file_system_cannot_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refuse)
    atomic_files.write_text(tmp_path / "file.txt", "all")
    with atomic_files.whole_folder(tmp_path / "onnx") as fresh:
        (fresh / "model").write_text("all")
    assert contents(tmp_path) == {"file.txt": "all", "onnx": "folder or pipe", "onnx/model": "all"}


def test_a_failed_folder_leaves_the_earlier_one(tmp_path: Path) -> None:
    place = tmp_path / "onnx"
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("first")

    def fail() -> None:
        with atomic_files.whole_folder(place) as fresh:
            (fresh / "model").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (place / "model").read_text() == "first"
    assert list(tmp_path.iterdir()) == [place]


def test_sha256_of_a_file_matches_the_published_value(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert atomic_files.sha256(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")
