"""Generated JPEG files for scripts/benchmark_pipeline.py, as the test split of a measurement.

Smooth noise with edges and a little grain stands for photographs where weights are random. Where
they are trained, a run's own test images are enlarged, with grain, so that its network knows them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from random_images import RandomImages

from src.data.content_hash import sha256_of_images
from src.data.pipeline.image_file import read_image
from src.data.pipeline.image_files import ImageFiles
from src.data.preprocessing import Preprocessing
from src.data.restore import data_of
from src.run.folder import Run
from src.system import atomic_files

FILES = {320: 32, 512: 32, 1024: 24, 4000: 8}  # number of generated files by their width
TEST_IMAGES = 540  # enlarged ones: one lost label among so many still passes a budget of one point
RATIO = 3 / 4  # height to width
SIDE = 224
QUALITY = 90
GRAIN = 3.0  # standard deviation in levels of 255

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


class Photographs(RandomImages):
    """Generated JPEG files as a test split; exports are calibrated on random images."""

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__(SIDE)
        self.dataset_name = f"generated photographs, {width} pixels wide"
        self.preprocessing = Preprocessing(SIDE, "crop")
        self.paths = photographs(folder, width, FILES[width])

    def count(self, split: str) -> int:
        return len(self.paths)

    def dataset(self, split: str) -> Any:
        images = ImageFiles(self.paths, np.zeros(len(self.paths), np.int64))
        return SimpleNamespace(images=images, indices=np.arange(len(self.paths)))

    def batches(self, split: str, batch_size: int = 64) -> Iterator[Batch]:
        inputs = [self.preprocessing(read_image(path)).numpy() for path in self.paths]
        yield np.stack(inputs), np.zeros(len(inputs), np.int64)


class EnlargedImages:
    """The data of a finished run, whose test images are JPEG files of one width.

    Args:
        run: the run, which is only read.
        folder: of the files, which are made if they are missing.
        width: pixels of the files.
        most: test images, spread over the split.
    """

    def __init__(self, run: Run, folder: Path, width: int, most: int = TEST_IMAGES) -> None:
        self._data = data_of(run)
        test = self._data.dataset("test")
        spread = np.linspace(0, len(test) - 1, min(most, len(test))).round().astype(int)
        indices = test.indices[np.unique(spread)]
        self.dataset_name = f"{self._data.dataset_name}, enlarged to {width} pixels"
        self.class_names = self._data.class_names
        resize = self._data.preprocessing.resize
        # Runs of the same images share the files.
        folder = folder / f"{self._data.sha256('test')[:16]}-{resize}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index in indices.tolist():
            path = folder / f"{width}-{index}.jpg"
            if not path.is_file():
                image = test.images.image(index)
                write_jpeg(path, enlarged(image, width, index, self._data.preprocessing))
            paths.append(str(path))
        labels = np.asarray(test.images.targets)[indices]
        self._test = SimpleNamespace(
            images=ImageFiles(paths, labels), indices=np.arange(len(paths)), targets=labels
        )

    def count(self, split: Any) -> int:
        return len(self._test.indices) if split == "test" else self._data.count(split)

    def sha256(self, split: Any) -> str:
        images, indices = self._test.images, self._test.indices
        return sha256_of_images(images, indices, self._data.class_names)

    def dataset(self, split: Any) -> Any:
        return self._test if split == "test" else self._data.dataset(split)

    def batches(self, split: Any, batch_size: int = 64) -> Iterator[Batch]:
        if split != "test":
            yield from self._data.batches(split, batch_size)
            return
        paths, labels = self._test.images.paths, self._test.targets
        for start in range(0, len(paths), batch_size):
            chosen = paths[start : start + batch_size]
            inputs = [self._data.preprocessing(read_image(path)).numpy() for path in chosen]
            yield np.stack(inputs), labels[start : start + batch_size]


def photographs(folder: Path, width: int, count: int) -> list[str]:
    """Return the paths of ``count`` JPEG files, which are made if they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{width}-{seed}.jpg" for seed in range(count)]
    for seed, path in enumerate(paths):
        if not path.is_file():
            write_jpeg(path, photograph(width, round(RATIO * width), seed))
    return [str(path) for path in paths]


def write_jpeg(path: Path, image: Image.Image) -> None:
    """Write an image as a whole file or none."""
    with atomic_files.whole_file(path) as file:
        image.save(file, "JPEG", quality=QUALITY)


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """Return an image of smooth noise at many scales, with the edges of discs and a little grain.

    The amplitude of a scale falls with its frequency, as it does in photographs.
    """
    random = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for scale in range(2, 9):
        cells = random.random((max(2, 2**scale * height // width), 2**scale, 3))
        layer = Image.fromarray((255 * cells).astype(np.uint8))
        layer = layer.resize((width, height), Image.Resampling.BICUBIC)
        pixels += np.asarray(layer, np.float32) * 0.5 ** (scale - 1)
    y, x = np.ogrid[:height, :width]
    for _ in range(12):
        column, row, radius = random.random(3) * (width, height, 0.15 * width)
        inside = (x - column) ** 2 + (y - row) ** 2 < radius**2
        pixels[inside] = 0.6 * pixels[inside] + 100 * random.random(3)
    pixels += random.normal(0, GRAIN, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def enlarged(
    image: Image.Image, width: int, seed: int, preprocessing: Preprocessing
) -> Image.Image:
    """Return an image as a photograph of some width would show it, with grain.

    Args:
        image: in RGB.
        width: pixels.
        seed: of the grain.
        preprocessing: an image that it squashes is stretched. Another one keeps its shape in the
            middle, and the pixels at its sides are repeated or cut off.
    """
    height = round(RATIO * width)
    filter_ = Image.Resampling[preprocessing.interpolation.upper()]
    if preprocessing.resize == "squash":
        pixels = np.asarray(image.resize((width, height), filter_))
    else:
        own_width = max(round(height * image.width / image.height), 1)
        pixels = np.asarray(image.resize((own_width, height), filter_))
        missing = max(width - own_width, 0)
        pixels = np.pad(pixels, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)), "edge")
        left = (pixels.shape[1] - width) // 2
        pixels = pixels[:, left : left + width]
    rolled = np.roll(grain(width, height), 7919 * (seed + 1))
    return Image.fromarray((pixels.astype(np.int16) + rolled).clip(0, 255).astype(np.uint8))


@functools.lru_cache(1)
def grain(width: int, height: int) -> NDArray[np.int16]:
    """Return noise, (H, W, 3): making it takes longer than everything else of a file."""
    values = np.random.default_rng(0).standard_normal((height, width, 3), np.float32)
    return np.round(GRAIN * values).astype(np.int16)


def newest_run(folder: Path, model: str) -> Run | None:
    """Return the newest run of a network with weights in a folder of runs; None without one."""
    runs: Sequence[Path] = [
        path
        for base in (folder, folder / "lightning_logs")
        for path in (base / model).glob("version_*")
        if Run(path).best_checkpoint.is_file()
    ]
    number = {path: int(path.name.removeprefix("version_")) for path in runs}
    return Run.open(max(runs, key=lambda path: number[path])) if runs else None
