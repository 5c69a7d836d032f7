"""Classify images with the model beside this file. It needs onnxruntime, numpy and Pillow.

python predict.py IMAGE...     the likeliest classes of each image
python predict.py --check      does the model give here what it gave where it was made?
python predict.py --exam       the same on many images, with the speed here; also --exam --help
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]

HERE = Path(__file__).resolve().parent
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

PLAIN, DRAFT = "pillow", "pillow_draft"  # decoders
MOST_PIXELS = 178_956_970  # limit against decompression bombs
LONGEST_SIDE = 1 << 20
LONGEST_RATIO = 32  # of an image's sides: the ends of a longer one are cut off before the resizing
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # not by Pillow itself
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Model:
    """The model with its class names and its preprocessing, which are in the file's metadata.

    Args:
        path: of the model.
        most_pixels: limit of an image; a larger one is refused before it is decoded.
        decoder: ``pillow``, or ``pillow_draft``, which is faster for large JPEGs and less exact; by
            default the one that this folder was made with.
    """

    def __init__(
        self,
        path: Path = HERE / "model.onnx",
        most_pixels: int = MOST_PIXELS,
        decoder: str | None = None,
    ) -> None:
        import onnxruntime as ort  # here, so that the other functions can be used without it

        self._most_pixels = most_pixels
        self._decoder = decoder or chosen_decoder()
        self._session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.class_names: list[str] = json.loads(metadata["class_names"])
        self._preprocessing: dict[str, Any] = json.loads(metadata["preprocessing"])
        self._embedded = "preprocessing_embedded" in metadata
        # Pixels as uint8 (H, W, 3), or normalised float32 (3, H, W).
        takes = json.loads(metadata.get("input", '{"normalised": true}'))
        self._takes_pixels = not takes["normalised"]

    def probabilities(self, file: str | Path | IO[bytes]) -> Array:
        """Return the probability of each class, (K,), for an image file of any kind and size."""
        probabilities: Array = self.answer([self.prepare(file)])[0]
        return probabilities

    def prepare(self, file: str | Path | IO[bytes]) -> Array:
        """Return the model's input for an image file.

        Raises:
            UnreadableImageError: the file cannot be decoded.
        """
        rule = self._preprocessing
        at_least = None if self._embedded else least_side(self._decoder, rule)
        image = read_image(file, self._most_pixels, at_least)
        if self._embedded:
            return np.asarray(image)
        return as_input(resize(image, rule), rule, takes_pixels=self._takes_pixels)

    def answer(self, images: Sequence[Array]) -> Array:
        """Return probabilities (n, K) for n prepared images.

        They are computed as one batch. A model with its preprocessing inside takes images of
        different sizes, one at a time.

        Raises:
            ValueError: the model gives anything else, such as NaN.
        """
        classes = len(self.class_names)
        if self._embedded:
            answers = [self._session.run(None, {"image": image})[0][None] for image in images]
            return np.concatenate([require_answer(answer, 1, classes) for answer in answers])
        return softmax(self.logits(images))

    def logits(self, images: Sequence[Array]) -> Array:
        """Return logits (n, K) for n prepared images, computed as one batch.

        Of a model with its preprocessing inside they are the logarithms of its probabilities.

        Raises:
            ValueError: the model gives anything else, such as NaN.
        """
        if self._embedded:
            return np.asarray(np.log(np.maximum(self.answer(images), np.finfo(np.float32).tiny)))
        answer = self._session.run(None, {"images": np.stack(images)})[0]
        return require_answer(answer, len(images), len(self.class_names))


def softmax(logits: Array) -> Array:
    """Return the probabilities of logits (n, K)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def likeliest(probabilities: Array, count: int) -> list[int]:
    """Return the ``count`` likeliest classes of one image, (K,), the likeliest first."""
    best: list[int] = np.argsort(-probabilities, kind="stable")[:count].tolist()
    return best


def require_answer(answer: Array, images: int, classes: int) -> Array:
    """Return the model's answer in float64, (n, K).

    Raises:
        ValueError: it does not hold one finite number for each image and class.
    """
    if answer.dtype.kind != "f":
        raise ValueError(f"an answer of {answer.dtype} instead of floating-point logits")
    if answer.shape != (images, classes):
        raise ValueError(f"logits of shape {list(answer.shape)} instead of [{images}, {classes}]")
    wide: Array = answer.astype(np.float64)
    wrong = int((~np.isfinite(wide)).any(axis=1).sum())
    if wrong:
        raise ValueError(f"logits of {wrong} images are not finite")
    return wide


class UnreadableImageError(ValueError):
    """The file is not an image, or cannot be decoded here."""


def read_image(
    path: str | Path | IO[bytes], most_pixels: int = MOST_PIXELS, at_least: int | None = None
) -> Image.Image:
    """Return the image in a file, upright by its EXIF orientation, as RGB in 8 bits.

    With ``at_least``, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if both sides stay at least
    so long. This takes a fraction of the time, because libjpeg leaves out the high frequencies.

    Raises:
        UnreadableImageError: the file cannot be decoded, or the image is larger than
            ``most_pixels`` or ``LONGEST_SIDE``.
    """
    try:
        with Image.open(path, formats=formats()) as file:
            require_bounded(file.size, most_pixels)
            if at_least is not None:
                file.draft(None, (at_least, at_least))  # has an effect on JPEG only
            file.load()
            image = as_rgb(file)
            method = UPRIGHT.get(file.getexif().get(ORIENTATION))
            return image if method is None else image.transpose(method)
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise UnreadableImageError(" ".join(f"{error}".split()) or type(error).__name__) from error


def require_bounded(size: tuple[int, int], most_pixels: int) -> None:
    """Refuse an image that is too large, by its header, before its pixels take memory."""
    width, height = size
    if width * height > most_pixels or max(size) > LONGEST_SIDE:
        raise ValueError(f"{width}x{height} pixels, more than {most_pixels} or {LONGEST_SIDE} long")


@functools.cache
def formats() -> tuple[str, ...]:
    """Return the formats that Pillow decodes by itself, and HEIF if pillow-heif is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_DECODED)


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB in 8 bits."""
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
        values = np.asarray(image)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise ValueError("pixels beyond 16 bits")
        image = Image.fromarray(np.round(values / 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels")
    elif image.mode in {"P", "PA"}:
        image = image.convert("RGBA")
    return image.convert("RGB")


def chosen_decoder() -> str:
    """Return the decoder that this folder was made with."""
    path = HERE / "decoder.json"
    if not path.is_file():
        return PLAIN
    decoder: str = json.loads(path.read_text(encoding="utf-8"))["decoder"]
    return decoder


def least_side(decoder: str, rule: dict[str, Any]) -> int | None:
    """Return the side below which a decoder makes no image smaller; None if it always makes all."""
    if decoder != DRAFT:
        return None
    size: int = rule["image_size"]
    return size if rule["resize"] == "squash" else round(size / rule["crop_share"])


def preprocess(image: Image.Image, rule: dict[str, Any]) -> Array:
    """Return the network's input, (3, H, W): resized, scaled, normalised as in the evaluation."""
    return as_input(resize(image, rule), rule)


def resize(image: Image.Image, rule: dict[str, Any]) -> Image.Image:
    """Return the image in the model's size, resized and cut as in the evaluation."""
    size = rule["image_size"]
    filter_ = RESAMPLING[rule["interpolation"]]
    if rule["resize"] == "squash":
        return image.resize((size, size), filter_)
    # Cut the ends off a very long image, resize the shorter side, crop the middle.
    shorter = min(image.size)
    left, top = (
        max(side - LONGEST_RATIO * shorter, 0) // (4 * shorter) * (2 * shorter)
        for side in image.size
    )
    image = image.crop((left, top, image.width - left, image.height - top))
    to = round(size / rule["crop_share"])
    width, height = (int(to * side / shorter) for side in image.size)
    image = image.resize((width, height), filter_)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def as_input(image: Image.Image, rule: dict[str, Any], *, takes_pixels: bool = False) -> Array:
    """Return the model's input for an image of its size.

    It is (3, H, W), scaled and normalised, or the pixels (H, W, 3) for a model that normalises them
    itself. The 256 levels are computed and looked up: the same bits in a quarter of the time.
    """
    if takes_pixels:
        return np.asarray(image)
    levels = np.arange(256, dtype=np.float32)[:, None] * np.float32(rule["scale"])
    mean, std = (np.asarray(rule[name], dtype=np.float32) for name in ("mean", "std"))
    table = np.ascontiguousarray(((levels - mean) / std).T)  # (3, 256)
    pixels = np.asarray(image)  # (H, W, 3)
    values = np.empty((3, *pixels.shape[:2]), np.float32)
    for channel in range(3):
        np.take(table[channel], pixels[..., channel], out=values[channel], mode="clip")
    return values


def check(model: Model) -> str | None:
    """Return the reason why this model fails its test on this machine, or None."""
    expected = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
    try:
        probabilities = model.probabilities(HERE / expected["image"])
    except ValueError as error:
        return f"{expected['image']}: {error}"
    difference = float(np.abs(probabilities - np.asarray(expected["probabilities"])).max())
    best = model.class_names[int(probabilities.argmax())]
    print(f"{expected['image']}: {best}, probabilities within {difference:.2g} of the expected")
    if best != expected["class"]:
        return f"expected the class {expected['class']}"
    if difference > expected["tolerance"]:
        return f"expected a difference of {expected['tolerance']} at most"
    return None


def main() -> None:
    if "--exam" in sys.argv[1:]:
        sys.path.insert(0, str(HERE))  # of a program that runs this file from elsewhere
        importlib.import_module("exam").main()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE")
    parser.add_argument("--check", action="store_true", help="try the image that came with it")
    parser.add_argument("--top", type=int, default=5, help="classes to name for each image")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each image")
    arguments = parser.parse_args()
    if not arguments.images and not arguments.check:
        parser.error("name an image, or --check")
    model = Model()
    if arguments.check and (problem := check(model)):
        sys.exit(f"error: {problem}")
    unanswered = 0
    for path in arguments.images:
        try:
            probabilities = model.probabilities(path)
        except ValueError as error:  # the image or the answer is not valid
            print(f"error: {path}: {error}", file=sys.stderr)
            unanswered += 1
            continue
        best = likeliest(probabilities, arguments.top)
        top = [(model.class_names[index], float(probabilities[index])) for index in best]
        if arguments.json:
            named = [{"class": name, "probability": value} for name, value in top]
            print(json.dumps({"image": path, "top": named}))
        else:
            print(f"{path}: " + ", ".join(f"{name} {value:.2%}" for name, value in top))
    if unanswered:
        sys.exit(1)


if __name__ == "__main__":
    main()
