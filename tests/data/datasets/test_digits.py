from __future__ import annotations

import numpy as np
import torch

from src.data.datasets.digits import Digits
from src.data.pipeline.split import Split

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def test_the_splits_are_whole_disjoint_and_in_proportion() -> None:
    data = Digits()
    parts = {split: data.dataset(split) for split in SPLITS}
    assert [len(parts[split]) for split in SPLITS] == [1077, 180, 540]
    everything = np.concatenate([part.indices for part in parts.values()])
    assert sorted(everything) == list(range(1797))
    for part in parts.values():
        shares = np.bincount(part.targets, minlength=10) / len(part)
        assert abs(shares - 0.1).max() < 0.01


def test_the_split_follows_its_own_seed_alone() -> None:
    torch.manual_seed(1)
    first = Digits().dataset("test").indices
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002  # the state that must not matter
    assert (Digits().dataset("test").indices == first).all()
    assert (Digits(split_seed=1).dataset("test").indices != first).any()


def test_batches_are_all_images_once_in_order_and_unaugmented() -> None:
    data = Digits(image_size=16)
    images, labels = (np.concatenate(part) for part in zip(*data.batches("val", 50), strict=True))
    assert images.shape == (180, 3, 16, 16)
    assert images.dtype == np.float32
    assert (labels == data.dataset("val").targets).all()
    np.testing.assert_array_equal(images[7], data.dataset("val")[7][0].numpy())
    assert images.min() >= -1
    assert images.max() <= 1


def test_training_is_augmented_and_evaluation_is_not() -> None:
    data = Digits(image_size=16)
    varied = data.dataset("train", augment=True)
    assert not torch.equal(varied[0][0], varied[0][0])
    plain = data.dataset("train")
    assert torch.equal(plain[0][0], plain[0][0])


def test_selection_images_are_training_images_that_are_not_calibrated_on() -> None:
    data = Digits(image_size=8)
    calibration = {image.numpy().tobytes() for image in data.calibration_images(100)}
    selection = data.judging_images(100, 60)
    assert selection is not None
    images, labels = selection
    assert images.shape == (60, 3, 8, 8)
    drawn = [image.numpy().tobytes() for image in images]
    assert not calibration & set(drawn)
    training = {image.numpy().tobytes(): label for image, label in data.dataset("train")}
    assert [training[image] for image in drawn] == labels.tolist()
    # As many as there are, and none rather than those that were calibrated on.
    rest = data.judging_images(1070, 60)
    assert rest is not None
    assert len(rest[0]) == 7
    assert data.judging_images(1077, 60) is None
    assert data.judging_images(100, 0) is None


def test_calibration_sees_training_images_only_and_always_the_same() -> None:
    data = Digits(image_size=8)
    drawn = data.calibration_images(50)
    assert torch.equal(drawn, Digits(image_size=8).calibration_images(50))
    training = {image.numpy().tobytes() for image, _ in data.dataset("train")}
    assert all(image.numpy().tobytes() in training for image in drawn)
