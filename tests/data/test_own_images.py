"""The user's own images in folders and CSV files: links, broken files, many files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.data.cache.memory import MemoryCache
from src.data.datasets.csv_file import CSVFile
from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline.dataset import SkippingDataset
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.image_files import ImageFiles
from src.errors import UsageError
from src.predict.images import find
from tests.data.datasets.test_image_folder import fill, module


def photos(root: Path, count: int = 20) -> Path:
    for seed, name in enumerate(("cat", "dog")):
        fill(root / name, count, seed)
    return root


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (root / "cat" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UsageError, match=r"images within .*link.png, which leads to .*secret"):
        module(root).load()


def test_a_class_folder_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    fill(tmp_path / "elsewhere", 3)
    (root / "eel").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="eel, which leads to"):
        module(root).load()


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    (root / "cat" / "more").symlink_to(root / "cat")
    with pytest.raises(UsageError, match="a link to a folder that holds it"):
        module(root).load()


def test_folders_with_links_to_each_other_end(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    (root / "cat" / "more").symlink_to(root / "dog")
    (root / "dog" / "more").symlink_to(Path("..") / "cat")
    with pytest.raises(UsageError, match="more/more, a link to a folder that holds it"):
        module(root).load()


# Links that lead to nothing, by name; ``{}`` is the folder of the class.
TO_NOTHING = {
    "a link to itself": {"x.jpg": "x.jpg"},
    "a link to itself by its whole path": {"x.jpg": "{}/x.jpg"},
    "two links to each other": {"x.jpg": "y.jpg", "y.jpg": "x.jpg"},
    "a ring of three": {"x.jpg": "y.jpg", "y.jpg": "../cat/z.jpg", "z.jpg": "x.jpg"},
    "a file below a link to itself": {"x.jpg": "x.jpg/0.jpg"},
    "a file below a file": {"x.jpg": "0.png/0.jpg"},
    "a folder that is a link to itself": {"more": "more"},
    "two folders that are links to each other": {"more": "less", "less": "../cat/more"},
    "a file that is not there": {"x.jpg": "gone/x.jpg"},
}


@pytest.mark.parametrize("links", TO_NOTHING)
def test_links_to_nothing_among_images_are_counted(links: str, tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    for name, target in TO_NOTHING[links].items():
        (root / "cat" / name).symlink_to(target.replace("{}", str(root / "cat")))
    data = module(root)
    data.prepare_data()
    assert sum(data.count(split) for split in ("train", "val", "test")) == 40
    assert f": {len(TO_NOTHING[links])} links to nothing" in data.notes[-1]
    assert len(find([str(root)])) == 40


@pytest.mark.parametrize("links", TO_NOTHING)
def test_a_link_to_nothing_in_a_csv_file_is_a_missing_file(links: str, tmp_path: Path) -> None:
    photos(tmp_path)
    for name, target in TO_NOTHING[links].items():
        (tmp_path / "cat" / name).symlink_to(target.replace("{}", str(tmp_path / "cat")))
    first = f"cat/{next(iter(TO_NOTHING[links]))}"
    paths = [f"{name}/{n}.png" for name in ("cat", "dog") for n in range(20)]
    lines = [f"{path},{path[:3]}" for path in [*paths, first]]
    with pytest.raises(UsageError) as caught:
        write_csv(tmp_path / "labels.csv", lines).prepare_data()
    assert f"found {tmp_path}/{first}, which is no file, on line 42; it is a link to " in str(
        caught.value
    )
    with pytest.raises(UsageError, match=r"0\.png, which is no file, on line 42"):
        write_csv(tmp_path / "labels.csv", [*lines[:-1], f"{first}/0.png,cat"]).prepare_data()


def test_a_link_within_the_folder_is_an_image(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    (root / "cat" / "link.png").symlink_to(root / "cat" / "0.png")
    images, _ = module(root).load()["train"]
    assert len(images.targets) == 41


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_in_the_middle_of_an_epoch_is_named(tmp_path: Path, workers: int) -> None:
    root = photos(tmp_path / "photos")
    for name in ("cat", "dog"):
        for number in range(20):
            path = root / name / f"{number}.png"
            path.write_bytes(path.read_bytes()[:200])
    data = ImageFolder(str(root), verify=False, image_size=8, num_workers=workers)
    data.prepare_data()
    with pytest.raises(UnreadableImageError, match=r"photos/(cat|dog)/\d+.png: expected an image"):
        list(data.train_dataloader())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_skipped_images_are_counted_and_every_batch_is_full(
    tmp_path: Path, workers: int, cache: str
) -> None:
    root = photos(tmp_path / "photos")
    broken = [root / "cat" / f"{number}.png" for number in range(0, 20, 3)]
    for path in broken:
        path.write_bytes(path.read_bytes()[:100])
    data = ImageFolder(
        str(root), on_error="skip", image_size=8, batch_size=4, num_workers=workers, cache=cache
    )
    data.prepare_data()
    loader = data.train_dataloader()
    for _ in range(2):
        sizes = [len(labels) for _, labels in loader]
        assert sizes == [4] * 7
    evaluated = sum(len(labels) for split in ("val", "test") for _, labels in data.batches(split))
    assert sorted(data.skipped) == sorted(str(path) for path in broken)
    training = {str(path) for path in broken} & {
        loader.dataset.images.name(int(index)) for index in loader.dataset.indices
    }
    assert evaluated == data.count("val") + data.count("test") == 12 - (7 - len(training))


def test_skipping_ends_if_no_image_can_be_read(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    data = ImageFolder(str(root), on_error="skip", image_size=8, num_workers=0)
    with pytest.raises(UsageError, match="images in the val split that can be read; found none"):
        list(data.train_dataloader())
    training = SkippingDataset(*data.load()["train"], data.preprocessing)
    with pytest.raises(UnreadableImageError):
        training[0]


def test_files_are_listed_and_split_without_opening_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Links within the folder would be looked at; files are not, so that empty ones will do.
    for label in range(100):
        folder = tmp_path / f"class{label:03}"
        folder.mkdir()
        for number in range(20):
            os.close(os.open(folder / f"{number}.jpg", os.O_CREAT))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was opened or asked for its status")

    data = ImageFolder(str(tmp_path), verify=False, num_workers=0)
    assert len(data.class_names) == 100
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", refuse)
        patch.setattr("os.stat", _but_folders(os.stat))
        data.prepare_data()
        parts = data.load()
    assert [len(indices) for _, indices in parts.values()] == [1400, 200, 400]
    assert data.dataset("train").targets.dtype == np.int64


def _but_folders(stat: object) -> object:
    def checked(path: object, *args: object, **options: object) -> object:
        assert not str(path).endswith(".jpg"), path
        return stat(path, *args, **options)

    return checked


def write_csv(path: Path, lines: list[str], head: str = "path,label") -> CSVFile:
    path.write_text("\n".join([head, *lines]) + "\n")
    return CSVFile(str(path), image_size=8, num_workers=0)


def test_a_csv_file_is_split_by_seed(tmp_path: Path) -> None:
    photos(tmp_path)
    lines = [
        f"{name}/{number}.png,{label}"
        for name, label in (("cat", 10), ("dog", 9))
        for number in range(20)
    ]
    data = write_csv(tmp_path / "labels.csv", lines)
    data.prepare_data()
    assert data.class_names == ["9", "10"]  # as numbers
    assert [data.count(split) for split in ("train", "val", "test")] == [28, 4, 8]
    images, label = data.dataset("train")[0]
    assert images.shape == (3, 8, 8)
    assert data.class_names[label] == "10"


def test_a_csv_file_may_say_the_split(tmp_path: Path) -> None:
    photos(tmp_path)
    lines = [
        f"{name}/{number}.png,{name},{'test' if number < 5 else 'train'}"
        for name in ("cat", "dog")
        for number in range(20)
    ]
    data = write_csv(tmp_path / "labels.csv", lines, "path,label,split")
    assert [data.count(split) for split in ("train", "val", "test")] == [27, 3, 10]
    names = {data.dataset("test").images.name(int(at)) for at in data.dataset("test").indices}
    expected = {tmp_path / name / f"{n}.png" for name in ("cat", "dog") for n in range(5)}
    assert names == {str(path) for path in expected}


WRONG = {
    "file,label": ("cat/0.png,cat", "the columns path and label; found file, label"),
    "path,label": ("cat/0.png,", "none on line 2"),
    "path,label,split": ("cat/0.png,cat,later", "later on line 2"),
    "label,path": ("cat,../out.png\ndog,dog/0.png", "which leads to"),
    "label,path,x": ("cat,cat/none.png,\ndog,dog/0.png,", "cat/none.png, which is no file"),
}


@pytest.mark.parametrize("head", WRONG)
def test_a_mistake_in_a_csv_file_is_one_line(tmp_path: Path, head: str) -> None:
    root = photos(tmp_path / "photos", 3)
    Image.new("RGB", (3, 3)).save(tmp_path / "out.png")
    line, message = WRONG[head]
    with pytest.raises(UsageError) as caught:
        write_csv(root / "labels.csv", [line], head).prepare_data()
    assert message in str(caught.value)


def test_a_cache_has_the_images_after_their_files_are_gone(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 5)
    paths = sorted(str(path) for path in (tmp_path / "cat").iterdir())
    files = ImageFiles(paths, range(5))
    before = [np.asarray(files.image(index)) for index in range(5)]
    cache = MemoryCache(files, np.arange(4))
    for path in paths:
        Path(path).unlink()
    for index in range(4):
        assert (np.asarray(cache.image(index)) == before[index]).all()
    with pytest.raises(UnreadableImageError):
        cache.image(4)  # not among those that were kept


def test_a_cache_that_would_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "cat", 5)
    files = ImageFiles([str(path) for path in (tmp_path / "cat").iterdir()], range(5))
    monkeypatch.setattr("src.system.machine.memory_bytes", lambda: 10_000)
    with pytest.raises(UsageError, match=r"data.cache: expected images that take 5000 bytes"):
        MemoryCache(files, np.arange(5))


def test_training_batches_are_uint8_and_are_normalised_as_evaluation_is(tmp_path: Path) -> None:
    data = ImageFolder(str(photos(tmp_path)), augment="none", image_size=8, num_workers=0)
    loader = data.train_dataloader()
    data.trainer = type("Trainer", (), {"precision_plugin": _Untouched()})()
    training = data.dataset("train")
    plain = {training[at][0].numpy().tobytes() for at in range(len(training))}
    for batch in loader:
        assert batch[0].dtype == torch.uint8
        images, labels = data.on_after_batch_transfer(batch, 0)
        assert images.dtype == torch.float32
        assert all(image.numpy().tobytes() in plain for image in images)
        assert labels.dtype == torch.int64


class _Untouched:
    def convert_input(self, value: object) -> object:
        return value
