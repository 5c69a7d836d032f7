from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.datasets import load_digits

from src.data.datasets.digits import DigitImages, Digits
from src.data.pipeline.split import Split
from src.data.restore import data_of
from src.errors import UsageError
from src.run.folder import Run

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


def test_noise_is_that_of_its_seed_in_every_split_and_command() -> None:
    plain, noisy = Digits(image_size=8), Digits(image_size=8, noise=0.3)
    again, other = Digits(image_size=8, noise=0.3), Digits(image_size=8, noise=0.3, noise_seed=1)
    for split in SPLITS:
        assert noisy.sha256(split) == again.sha256(split)
        assert len({data.sha256(split) for data in (plain, noisy, other)}) == 3
    np.random.seed(9)  # noqa: NPY002  # the state that must not matter
    torch.manual_seed(9)
    image = noisy.dataset("test")[5][0]
    assert torch.equal(Digits(image_size=8, noise=0.3).dataset("test")[5][0], image)
    difference = image - plain.dataset("test")[5][0]
    assert 0.05 < float(difference.std()) < 0.6
    # The same noise whatever images a split has.
    elsewhere = Digits(image_size=8, noise=0.3, split_seed=3)
    index = int(noisy.dataset("test").indices[5])
    assert noisy.dataset("test").images.image(index) == elsewhere.dataset("val").images.image(index)


def test_pixels_without_noise_are_those_of_scikit_learn() -> None:
    pixels, _ = load_digits(return_X_y=True)
    images = DigitImages()
    expected = np.round(pixels[17].reshape(8, 8) * 255 / 16).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(images.image(17))[:, :, 0], expected)


def test_fewer_training_images_are_stratified_and_leave_the_other_splits() -> None:
    few, all_images = Digits(train_images=100), Digits()
    assert few.count("train") == 100
    assert np.bincount(few.dataset("train").targets).min() >= 9
    assert set(few.dataset("train").indices) < set(all_images.dataset("train").indices)
    for split in ("val", "test"):
        assert few.sha256(split) == all_images.sha256(split)
    assert few.sha256("train") != Digits(train_images=100, split_seed=1).sha256("train")


@pytest.mark.parametrize(
    "options", [{"noise": -1}, {"noise": 11}, {"noise_seed": -1}, {"train_images": 5}]
)
def test_an_option_out_of_range_is_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"data.{next(iter(options))}"):
        Digits(**options)


def test_more_training_images_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data.train_images: expected at most 1057, or all 1077"):
        Digits(train_images=1070).count("train")
    assert Digits(train_images=1077).count("train") == 1077


def test_a_finished_run_restores_the_same_pixels(tmp_path: Path) -> None:
    options = {"image_size": 8, "noise": 0.4, "noise_seed": 3, "train_images": 50}
    config = {"class_path": "src.data.datasets.digits.Digits", "init_args": options}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": config}))
    restored, made = data_of(Run(tmp_path)), Digits(**options)  # type: ignore[arg-type]
    for split in SPLITS:
        assert restored.sha256(split) == made.sha256(split)
