"""Cache of decoded images on disk, for several trainings and processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from src.data.cache.disk import DiskCache
from src.data.cache.folder import NAME, CacheFolder
from src.data.cache.policy import Cache
from src.data.datasets.digits import Digits
from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.image_files import ImageFiles
from src.errors import UsageError
from tests.data.datasets.test_image_folder import fill
from tests.support.user_files import add_user_files, contents, leave_unfinished

PICTURES = 5


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    fill(tmp_path / "cat", PICTURES)
    return ImageFiles(sorted(map(str, (tmp_path / "cat").iterdir())), range(PICTURES))


def keep(files: ImageFiles, folder: Path, count: int = PICTURES, **options: Any) -> Any:
    cache = Cache("disk", str(folder), options.pop("gigabytes", None))
    return cache.keep(
        "train", files, np.arange(count), skip_unreadable=False, processes=1, **options
    )


def entries(folder: Path) -> list[Path]:
    return [path for path in (folder / NAME).iterdir() if path.is_dir()]


def pixels(images: Any, count: int = PICTURES) -> list[bytes]:
    return [images.image(index).tobytes() for index in range(count)]


def test_images_in_the_disk_cache_are_those_of_the_files(files: ImageFiles, tmp_path: Path) -> None:
    before = pixels(files)
    kept = keep(files, tmp_path / "cache", count=4)
    for path in files.paths:
        Path(path).unlink()
    assert pixels(kept, 4) == before[:4]
    assert kept.name(0) == files.name(0)
    with pytest.raises(UnreadableImageError):
        kept.image(4)  # not among those that were kept


def test_cached_images_of_different_sizes_keep_their_sizes(tmp_path: Path) -> None:
    sizes = [(3, 5), (8, 2), (1, 1)]
    for number, size in enumerate(sizes):
        Image.effect_noise(size, 90).convert("RGB").save(tmp_path / f"{number}.png")
    files = ImageFiles([str(tmp_path / f"{number}.png") for number in range(3)], range(3))
    kept = keep(files, tmp_path / "cache", count=3)
    assert [kept.image(index).size for index in range(3)] == sizes
    assert pixels(kept, 3) == pixels(files, 3)


def test_a_second_training_with_a_disk_cache_decodes_nothing(
    files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pixels(keep(files, tmp_path / "cache"))

    def refuse(*_: object) -> None:
        raise AssertionError("it was decoded again")

    monkeypatch.setattr(ImageFiles, "image", refuse)
    assert pixels(keep(files, tmp_path / "cache")) == before


def test_a_file_that_changed_is_decoded_again(tmp_path: Path) -> None:
    path = tmp_path / "0.bmp"  # not compressed, so of the same size whatever it shows
    files = ImageFiles([str(path)], [0])
    Image.new("RGB", (2, 2), "blue").save(path)
    keep(files, tmp_path / "cache", count=1)
    changed = path.stat().st_mtime_ns
    Image.new("RGB", (2, 2), "red").save(path)
    os.utime(path, ns=(changed + 1, changed + 1))
    kept = keep(files, tmp_path / "cache", count=1)
    assert kept.image(0).getpixel((0, 0)) == (255, 0, 0)
    assert len(entries(tmp_path / "cache")) == 2


@pytest.mark.parametrize("change", ["resize", "shrunk", "fewer"])
def test_an_option_that_changes_pixels_has_its_own_cache_entry(
    files: ImageFiles, tmp_path: Path, change: str
) -> None:
    preprocessing = Digits(image_size=8).preprocessing
    keep(files, tmp_path / "cache")
    changed: dict[str, Any] = {
        "resize": {"files": files, "resize": preprocessing},
        "shrunk": {"files": files.shrunk(8)},
        "fewer": {"files": files, "count": 2},
    }
    keep(folder=tmp_path / "cache", **changed[change])
    assert len(entries(tmp_path / "cache")) == 2


def test_a_failed_cache_entry_is_removed(files: ImageFiles, tmp_path: Path) -> None:
    Path(files.paths[3]).write_bytes(b"nothing")
    with pytest.raises(UnreadableImageError):
        keep(files, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_the_leftover_of_a_killed_process_is_removed(files: ImageFiles, tmp_path: Path) -> None:
    ours = tmp_path / "cache" / NAME
    ours.mkdir(parents=True)
    leftover = leave_unfinished(ours / "deadbeef.pictures")
    (leftover / "pixels").write_bytes(b"half")
    keep(files, tmp_path / "cache")
    assert not leftover.exists()
    assert {path.name for path in ours.iterdir()} == {
        "lock",
        *(e.name for e in entries(ours.parent)),
    }


def test_unreadable_images_are_left_out_of_the_cache_if_skipped(
    files: ImageFiles, tmp_path: Path
) -> None:
    Path(files.paths[1]).write_bytes(b"nothing")
    folder = CacheFolder(tmp_path / "cache", 10**9)
    kept = DiskCache(files, np.arange(PICTURES), folder, "key", skip_unreadable=True)
    assert kept.image(2).tobytes() == files.image(2).tobytes()
    with pytest.raises(UnreadableImageError):
        kept.image(1)


def test_the_least_recently_used_cache_entry_is_removed_unless_in_use(
    files: ImageFiles, tmp_path: Path
) -> None:
    size = len(b"".join(pixels(files)))
    folder = CacheFolder(tmp_path / "cache", 3 * size + 2000)  # the index is beside the pixels
    used = DiskCache(files, np.arange(PICTURES), folder, "in_use")
    for name in ("old", "new"):
        DiskCache(files, np.arange(PICTURES), folder, name)
    for age, name in enumerate(("new", "old", "in_use")):
        os.utime(folder.entry(name), (1000 - age, 1000 - age))
    DiskCache(files, np.arange(PICTURES), folder, "old")  # is used again
    DiskCache(files, np.arange(PICTURES), folder, "fresh")
    assert {entry.stem for entry in entries(tmp_path / "cache")} == {"in_use", "old", "fresh"}
    assert pixels(used) == pixels(files)


def test_images_that_do_not_fit_into_the_cache_are_refused(
    files: ImageFiles, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"data\.cache: expected images that take 10 bytes"):
        keep(files, tmp_path / "cache", gigabytes=1e-8)
    assert entries(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_written_is_named(files: ImageFiles, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UsageError, match=r"data\.cache_dir"):
        keep(files, tmp_path / "cache")


def test_a_cache_removes_nothing_but_its_own_entries(
    files: ImageFiles, elsewhere: Path, tmp_path: Path
) -> None:
    pixels_of = len(b"".join(pixels(files)))
    folder = CacheFolder(Path(), pixels_of + 1000)  # room for one
    folder.path.mkdir()
    add_user_files(elsewhere)
    add_user_files(folder.path)
    before = contents(elsewhere)
    for key in ("first", "second"):
        DiskCache(files, np.arange(PICTURES), folder, key)
    entry = folder.entry("second")
    assert [path for path in entries(Path()) if path.stem in {"first", "second"}] == [entry]
    assert contents(elsewhere, without=[entry, folder.path / "lock"]) == before


def test_a_users_file_in_a_cache_entry_stays(files: ImageFiles, tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path, len(b"".join(pixels(files))) + 1000)
    DiskCache(files, np.arange(PICTURES), folder, "first")
    notes = folder.entry("first") / "notes.txt"
    notes.write_text("mine")
    DiskCache(files, np.arange(PICTURES), folder, "second")
    assert list(folder.entry("first").iterdir()) == [notes]
    DiskCache(files, np.arange(PICTURES), folder, "first")  # there is no such entry any more
    assert notes.read_text() == "mine"


def test_processes_that_start_together_fill_the_cache_once(
    files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A lock on a file is of who opened it, so that threads wait for each other as processes do.
    read: list[int] = []
    original = ImageFiles.image
    monkeypatch.setattr(
        ImageFiles, "image", lambda self, index: (read.append(index), original(self, index))[1]
    )
    threads = [threading.Thread(target=keep, args=(files, tmp_path / "cache")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 2 * PICTURES  # to guess the size, and to fill
    assert len(entries(tmp_path / "cache")) == 1


def test_a_worker_that_is_spawned_maps_the_file_itself(files: ImageFiles, tmp_path: Path) -> None:
    kept = keep(files, tmp_path / "cache")
    assert len(pickle.dumps(kept)) < 5000 + len(pickle.dumps(files))
    assert pixels(pickle.loads(pickle.dumps(kept))) == pixels(files)  # noqa: S301  # our own


def test_a_worker_that_is_forked_reads_the_same(files: ImageFiles, tmp_path: Path) -> None:
    kept = keep(files, tmp_path / "cache")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_bytes_of, [(kept, index) for index in range(PICTURES)]) == pixels(files)


def _bytes_of(item: tuple[Any, int]) -> bytes:
    return item[0].image(item[1]).tobytes()


@pytest.mark.parametrize("options", [{"cache_dir": "there"}, {"cache_gigabytes": 1.0}])
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_an_option_of_the_disk_without_it_is_refused(cache: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"data\.cache=disk beside it"):
        Digits(cache=cache, **options)


def test_a_cache_is_where_caches_of_the_user_are(
    files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    Cache("disk", None, None).keep("train", files, np.arange(2), skip_unreadable=False, processes=1)
    assert len(entries(tmp_path / "caches")) == 1


def test_a_data_set_in_memory_is_not_cached_on_disk(tmp_path: Path) -> None:
    data = Digits(cache="disk", cache_dir=str(tmp_path))
    with pytest.raises(UsageError, match="in memory already"):
        data.train_dataloader()


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_validation_sees_the_same_bits_with_a_cache(tmp_path: Path, cache: Any) -> None:
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / "photos" / name, 20, seed)
    options: dict[str, Any] = {"cache_dir": str(tmp_path / "cache")} if cache == "disk" else {}
    batches = [
        next(iter(module.val_dataloader()))
        for module in (
            ImageFolder(str(tmp_path / "photos"), image_size=8, num_workers=0, **cache_options)
            for cache_options in ({}, {"cache": cache, **options})
        )
    ]
    assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))
