"""Atomic writes and the cache on file systems with other locks: NFS, and those without locks."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.data.cache.disk import DiskCache
from src.data.cache.folder import CacheFolder
from src.data.pipeline.image_files import ImageFiles
from src.system import atomic_files, file_locks, partial_files
from tests.data.datasets.test_image_folder import fill
from tests.support.user_files import leave_unfinished

NO_LOCKS = [errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL]


@pytest.fixture(params=NO_LOCKS, ids=lambda number: errno.errorcode[number])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let every lock fail as on a file system without locks. Return the error's number."""

    def refuse(*_: Any) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)
    return int(request.param)


@pytest.fixture
def nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let locks depend on the mode in which the file was opened, as on NFSv4."""
    flock = fcntl.flock

    def as_nfs(file: Any, operation: int) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        refused_mode = {fcntl.LOCK_EX: os.O_RDONLY, fcntl.LOCK_SH: os.O_WRONLY}
        if refused_mode[operation & ~fcntl.LOCK_NB] == mode:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", as_nfs)


def write_all(folder: Path) -> None:
    atomic_files.write_text(folder / "best.ckpt", "all")
    for text in ("first", "second"):
        with atomic_files.whole_folder(folder / "onnx") as fresh:
            (fresh / "model").write_text(text)
    assert (folder / "best.ckpt").read_text() == "all"
    assert (folder / "onnx" / "model").read_text() == "second"
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "onnx"}


def test_files_and_folders_are_written_where_the_file_system_has_no_locks(
    no_locks: int, tmp_path: Path
) -> None:
    write_all(tmp_path)


def test_unfinished_folders_stay_where_the_file_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = leave_unfinished(tmp_path / "onnx")

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        assert partial_files.remove(tmp_path) == []
    assert partial_files.remove(tmp_path) == [left]


@pytest.mark.usefixtures("nfs")
def test_unfinished_files_in_use_are_locked_on_nfs(tmp_path: Path) -> None:
    write_all(tmp_path)
    left = leave_unfinished(tmp_path / "eager")
    with (
        atomic_files.whole_folder(tmp_path / "onnx"),
        atomic_files.whole_file(tmp_path / "best.ckpt"),
    ):
        assert partial_files.remove(tmp_path) == [left]


def images_on_disk(folder: Path) -> tuple[CacheFolder, Any]:
    """Return a cache and two entries of it that are in use."""
    fill(folder / "cat", 3)
    images = ImageFiles(sorted(map(str, (folder / "cat").iterdir())), range(3))
    size = sum(len(images.image(index).tobytes()) for index in range(3))
    cache = CacheFolder(folder, size * 2 + 2000)
    return cache, [DiskCache(images, np.arange(3), cache, name) for name in ("one", "two")]


def test_decoded_images_are_kept_where_the_file_system_has_no_locks(
    no_locks: int, tmp_path: Path
) -> None:
    cache, [one, two] = images_on_disk(tmp_path)
    assert one.image(0).tobytes() == two.image(0).tobytes()
    with pytest.raises(Exception, match=r"data\.cache: expected"):
        cache.make_room(2000)  # without locks every entry may be in use
    assert cache.entry("one").is_dir()


@pytest.mark.usefixtures("nfs")
def test_decoded_images_in_use_stay_in_the_cache_on_nfs(tmp_path: Path) -> None:
    cache, held = images_on_disk(tmp_path)
    del held[1]
    os.utime(cache.entry("one"), (0, 0))  # the oldest entry, which is removed first
    cache.make_room(2000)
    assert cache.entry("one").is_dir()
    assert not cache.entry("two").is_dir()


def test_a_lock_raises_other_errors_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with (tmp_path / "x").open("w") as file, pytest.raises(OSError, match="Input/output"):
        file_locks.lock_exclusive(file.fileno())
