"""Published data sets of photographs, read from small archives in their real formats offline."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import Flowers102, Food101, Imagenette, OxfordIIITPet, utils

from src.data.dataset_module import DatasetModule
from src.data.datasets.flowers102 import Flowers102Data
from src.data.datasets.food101 import Food101Data
from src.data.datasets.imagenette import ImagenetteData
from src.data.datasets.pets import PetsData
from src.data.pipeline.split import SPLITS
from src.errors import UsageError

BREEDS = ("Abyssinian", "great_pyrenees", "pug")
KINDS: list[type[DatasetModule]] = [Flowers102Data, PetsData, Food101Data, ImagenetteData]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", refuse)


def jpeg(level: int) -> bytes:
    """Return a small JPEG of one grey level, by which a test recognises the image."""
    content = io.BytesIO()
    Image.new("RGB", (24, 16), (level, level, level)).save(content, "JPEG")
    return content.getvalue()


def pack(path: Path, files: dict[str, bytes]) -> str:
    """Write an archive and return its MD5, which torchvision checks.

    The header has no time, so archives of the same files are equal in every second.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        gzip.GzipFile(path, "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return digest(path.read_bytes())


def digest(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()  # noqa: S324  # torchvision's choice


def levels(data: DatasetModule) -> dict[str, set[tuple[str, int]]]:
    """Return the classes and grey levels of each split."""
    by_split = {}
    for split in SPLITS:
        images, indices = data.load()[split]
        by_split[split] = {
            (
                data.class_names[images.targets[index]],
                images.image(int(index)).getpixel((0, 0))[0],
            )
            for index in indices
        }
    return by_split


def test_flowers_are_read_from_their_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "flowers-102"
    images = {f"jpg/image_{number:05d}.jpg": jpeg(number) for number in range(1, 7)}
    files = {"image": pack(folder / "102flowers.tgz", images)}
    matrices = {
        "label": ("imagelabels.mat", {"labels": [[2, 1, 2, 1, 2, 1]]}),
        "setid": ("setid.mat", {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6]]}),
    }
    for key, (name, content) in matrices.items():
        savemat(folder / name, content)
        files[key] = digest((folder / name).read_bytes())
    names = {key: name for key, (name, _) in Flowers102._file_dict.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", {key: (names[key], files[key]) for key in names})
    data = Flowers102Data(str(tmp_path), num_workers=0)
    assert len(data.class_names) == 102
    split_levels = levels(data)
    assert split_levels["train"] == {("hard-leaved pocket orchid", 1), ("pink primrose", 2)}
    assert split_levels["test"] == {("hard-leaved pocket orchid", 5), ("pink primrose", 6)}


def pack_pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetModule:
    folder = tmp_path / "oxford-iiit-pet"
    images, lists = {}, {"trainval": "", "test": ""}
    for label, breed in enumerate(BREEDS):
        for number in range(15):
            images[f"images/{breed}_{number}.jpg"] = jpeg(label * 20 + number)
            lists["trainval" if number < 10 else "test"] += f"{breed}_{number} {label + 1} 1 1\n"
    texts = {f"annotations/{name}.txt": text.encode() for name, text in lists.items()}
    sums = [pack(folder / "images.tar.gz", images), pack(folder / "annotations.tar.gz", texts)]
    resources = [(url, md5) for (url, _), md5 in zip(OxfordIIITPet._RESOURCES, sums, strict=True)]
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", resources)
    return PetsData(str(tmp_path), num_workers=0)


def test_pets_are_read_from_their_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_pets(tmp_path, monkeypatch)
    assert data.class_names == ["Abyssinian", "Great Pyrenees", "Pug"]
    split_levels = levels(data)
    assert [len(split_levels[split]) for split in SPLITS] == [27, 3, 15]
    assert ("Pug", 40 + 12) in split_levels["test"]
    assert not split_levels["train"] & split_levels["val"]


def pack_food(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetModule:
    dishes = ("apple_pie", "waffles")
    listed: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
    files = {}
    for label, dish in enumerate(dishes):
        names = [f"{dish}/{number}" for number in range(14)]
        listed["train"][dish], listed["test"][dish] = names[:10], names[10:]
        for number, name in enumerate(names):
            files[f"food-101/images/{name}.jpg"] = jpeg(label * 20 + number)
    for split, content in listed.items():
        files[f"food-101/meta/{split}.json"] = json.dumps(content).encode()
    monkeypatch.setattr(Food101, "_MD5", pack(tmp_path / "food-101.tar.gz", files))
    return Food101Data(str(tmp_path), num_workers=0)


def test_food_is_read_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_food(tmp_path, monkeypatch)
    assert data.class_names == ["apple_pie", "waffles"]
    split_levels = levels(data)
    assert [len(split_levels[split]) for split in SPLITS] == [18, 2, 8]
    assert ("waffles", 20 + 13) in split_levels["test"]


def pack_imagenette(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetModule:
    files = {}
    for label, name in enumerate(Imagenette._WNID_TO_CLASS):
        for number in range(12):
            split = "train" if number < 10 else "val"
            path = f"imagenette2-160/{split}/{name}/{name}_{number}.JPEG"
            files[path] = jpeg(label * 12 + number)
    sums = pack(tmp_path / "imagenette2-160.tgz", files)
    archives = {**Imagenette._ARCHIVES, "160px": (Imagenette._ARCHIVES["160px"][0], sums)}
    monkeypatch.setattr(Imagenette, "_ARCHIVES", archives)
    return ImagenetteData(str(tmp_path), size="160px", num_workers=0)


def test_imagenette_is_read_from_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pack_imagenette(tmp_path, monkeypatch)
    assert data.class_names[:2] == ["tench", "English springer"]
    split_levels = levels(data)
    assert [len(split_levels[split]) for split in SPLITS] == [90, 10, 20]
    assert ("tench", 11) in split_levels["test"]


@pytest.mark.parametrize("whole_archives", [0, 1])
@pytest.mark.parametrize("pack_data", [pack_pets, pack_food, pack_imagenette])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_an_interrupted_unpacking_is_done_again(
    pack_data: Callable[[Path, pytest.MonkeyPatch], DatasetModule],
    whole_archives: int,
    kind: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pack_data(tmp_path / "data", monkeypatch)
    expected = levels(pack_data(tmp_path / "whole", monkeypatch))
    real, calls = utils.extract_archive, []

    def interrupted(archive: str, to_path: str, *_: object) -> None:
        """Unpack a few files of an archive, from each of its ends."""
        calls.append(archive)
        if len(calls) <= whole_archives:
            real(archive, to_path)
            return
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            tar.extractall(to_path, [*members[:3], *members[-1:]], filter="data")
        raise kind("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(utils, "extract_archive", interrupted)
        if whole_archives < len(data.source.packed()):
            with pytest.raises((KeyboardInterrupt, UsageError)):
                data.prepare_data()
    assert levels(data) == expected
    assert not list(tmp_path.rglob("*.unpacking"))


def test_a_whole_data_set_without_its_archive_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pack_imagenette(tmp_path, monkeypatch)
    expected = levels(data)
    (tmp_path / "imagenette2-160.tgz").unlink()
    assert levels(data) == expected
    tmp_path.chmod(0o500)
    assert levels(data) == expected
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("pack_data", [pack_imagenette, pack_food, pack_pets])
def test_an_interrupted_unpacking_without_its_archive_is_refused(
    pack_data: Callable[[Path, pytest.MonkeyPatch], DatasetModule],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pack_data(tmp_path, monkeypatch)
    expected = levels(data)
    *_, archive = (tmp_path / name for name in data.source.packed())
    content = archive.read_bytes()
    archive.unlink()
    top = data.source.folders()[0].relative_to(tmp_path).parts[0]
    marker = tmp_path / f".{top}.unpacking"
    marker.touch()
    for _ in range(2):
        with pytest.raises(UsageError, match=r"unpacking was interrupted; found no such") as caught:
            data.prepare_data()
        assert f"expected {archive}, as" in str(caught.value)
        assert f"or {marker} if nothing is missing" in str(caught.value)
    marker.unlink()  # the first remedy
    assert levels(data) == expected
    marker.touch()
    for folder in data.source.folders():  # the second one
        shutil.rmtree(folder)
    archive.write_bytes(content)  # as a download does
    assert levels(data) == expected
    assert not marker.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_download_is_an_error_in_one_line(
    kind: type[DatasetModule], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"data.root: expected .*or a network") as caught:
        kind(str(tmp_path)).prepare_data()
    assert "no network" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_published_data_sets_are_augmented_in_training(tmp_path: Path) -> None:
    data = PetsData(str(tmp_path), image_size=32, num_workers=0)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    assert data.source.augmentation(data.preprocessing)(image).size == (32, 32)
