"""CIFAR-10 from a small archive in its real format: a tar of pickled batches, checked by MD5."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from src.data.datasets.cifar10 import CIFAR10Data
from src.data.datasets.cifar100 import CIFAR100Data
from src.errors import UsageError

PER_BATCH = 40


def write_archive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    contents: dict[str, bytes] = {}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {
            "data": generator.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8),
            "labels": [index % 10 for index in range(PER_BATCH)],
        }
        contents[name] = pickle.dumps(batch)
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    contents["batches.meta"] = pickle.dumps({"label_names": names})
    archive = folder / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    def digest(content: bytes) -> str:
        return hashlib.md5(content).hexdigest()  # noqa: S324  # torchvision's choice

    monkeypatch.setattr(CIFAR10, "tgz_md5", digest(archive.read_bytes()))
    for attribute in ("train_list", "test_list"):
        listed = [[name, digest(contents[name])] for name, _ in getattr(CIFAR10, attribute)]
        monkeypatch.setattr(CIFAR10, attribute, listed)
    meta = {**CIFAR10.meta, "md5": digest(contents["batches.meta"])}
    monkeypatch.setattr(CIFAR10, "meta", meta)


def test_an_archive_in_place_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archive(tmp_path, monkeypatch)
    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", None)
    data = CIFAR10Data(str(tmp_path), image_size=32, num_workers=0)
    data.prepare_data()
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [180, 20, 40]
    assert data.class_names == CIFAR10(str(tmp_path)).classes
    image, label = data.dataset("train", augment=True)[0]
    assert image.shape == (3, 32, 32)
    assert label == data.dataset("train").targets[0]


def test_a_missing_archive_without_a_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    with pytest.raises(UsageError, match=r"data.root: .*cifar-10-python.tar.gz.*no network"):
        CIFAR10Data(str(tmp_path)).prepare_data()


def test_cifar100_takes_its_fine_classes_from_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    names = [f"thing {number}" for number in range(100)]
    contents = {"meta": pickle.dumps({"fine_label_names": names})}
    for split, per_class in (("train", 10), ("test", 2)):
        labels = [index % 100 for index in range(100 * per_class)]
        pixels = generator.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        contents[split] = pickle.dumps({"data": pixels, "fine_labels": labels})
    archive = tmp_path / CIFAR100.filename
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{CIFAR100.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    def digest(content: bytes) -> str:
        return hashlib.md5(content).hexdigest()  # noqa: S324  # torchvision's choice

    monkeypatch.setattr(CIFAR100, "tgz_md5", digest(archive.read_bytes()))
    monkeypatch.setattr(CIFAR100, "train_list", [["train", digest(contents["train"])]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", digest(contents["test"])]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": digest(contents["meta"])})
    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", None)
    data = CIFAR100Data(str(tmp_path), image_size=32, num_workers=0)
    assert data.class_names == names
    assert [data.count(split) for split in ("train", "val", "test")] == [900, 100, 200]
