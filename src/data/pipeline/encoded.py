"""Image files of a split as bytes, as a deployed program gets them, and that program's inputs."""

from __future__ import annotations

import io
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import Split
from src.data.pipeline.threads import in_order
from src.data.preprocessing import Preprocessing
from src.run.facts import PreprocessingFacts
from src.run.pipeline import REFERENCE, Decoder, ImageSample
from src.shipped import jpeg_decoders, predict_images
from src.shipped.decoder_names import PACKAGES
from src.shipped.jpeg_decoders import MissingDecoderError

MOST_BYTES = 32_000_000  # of a sample, unless one file is larger


class ImagesOfSplit(Protocol):
    """The images of one split: those at ``indices``, (n,)."""

    @property
    def images(self) -> LabelledImages: ...

    @property
    def indices(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class EncodedImages:
    """Image files in memory, with their description."""

    contents: list[bytes]
    facts: ImageSample
    preprocessing: PreprocessingFacts  # with all values, as it travels with an exported file


def sample(
    split: Split, images: ImagesOfSplit, most: int, preprocessing: PreprocessingFacts
) -> EncodedImages:
    """Return at most ``most`` files of a split, spread over it, or its images encoded as PNG.

    Files that the data module has left out as unreadable are not among them.

    Raises:
        UnreadableImageError: a file cannot be decoded any more.
    """
    count = len(images.indices)
    positions = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.int64))
    # A split may be sorted by class, and not every measurement gets to the last file: so any first
    # part of the sample is spread over the split as well.
    positions = np.random.default_rng(0).permutation(positions)
    contents: list[bytes] = []
    for position in positions.tolist():
        content = content_of(images, position)
        if contents and sum(map(len, contents)) + len(content) > MOST_BYTES:
            break
        # Decoded once here, so that a damaged file fails with its name and not within a row.
        _require_readable(content, images.images.name(int(images.indices[position])))
        contents.append(content)
    facts = _facts(split, contents, are_files=isinstance(images.images, ImageFiles))
    if len(contents) < len(positions):
        facts = msgspec.structs.replace(facts, limited_to_bytes=MOST_BYTES)
    return EncodedImages(contents, facts, Preprocessing.of(preprocessing).facts())


def facts_of(images: EncodedImages, positions: Sequence[int]) -> ImageSample:
    """Return the description of some files of a sample, at least one."""
    contents = [images.contents[position] for position in positions]
    facts = _facts(images.facts.split, contents, are_files=images.facts.are_files)
    return msgspec.structs.replace(facts, limited_to_bytes=images.facts.limited_to_bytes)


def applies(decoder: Decoder, images: EncodedImages) -> bool:
    """Return True if a decoder decodes a file of the sample in another way than the reference."""
    rule = rule_of(images.preprocessing)
    return any(_takes(content, decoder, rule) for content in images.contents)


def decoded_by(
    decoder: Decoder,
    images: ImagesOfSplit,
    positions: Sequence[int],
    preprocessing: PreprocessingFacts,
) -> list[NDArray[np.float32] | None]:
    """Return a deployed program's inputs for the images at some positions of a split.

    Returns:
        The input of each image, (3, H, W); None where it is the reference's, because the decoder
        decodes the file in no other way.

    Raises:
        MissingDecoderError: the package of the decoder is not installed.
        UnreadableImageError: a file cannot be decoded.
    """
    rule = rule_of(preprocessing)

    def decode(position: int) -> NDArray[np.float32] | None:
        content = content_of(images, position)
        try:
            if not _takes(content, decoder, rule):
                return None
            return predict_images.preprocess(_read(content, decoder, rule), rule)
        except (MissingDecoderError, MemoryError):
            raise
        except Exception as error:  # a damaged file can make a decoder raise anything
            name = images.images.name(int(images.indices[position]))
            raise UnreadableImageError.of(name, str(error)) from error

    if not isinstance(images.images, ImageFiles):  # PNG, which Pillow decodes for every decoder
        return [None] * len(positions)
    return list(in_order(decode, positions))


def image_of(content: bytes, decoder: Decoder, preprocessing: PreprocessingFacts) -> Image.Image:
    """Return the image of a file as a deployed program decodes it for the network.

    Raises:
        MissingDecoderError: the package of the decoder is not installed.
        UnreadableImageError: it cannot be decoded; the message does not name it.
    """
    try:
        return _read(content, decoder, rule_of(preprocessing))
    except ValueError as error:
        raise UnreadableImageError.of("an image", str(error)) from error


def kind_of(content: bytes) -> str:
    """Return Pillow's name of the format of an image file that it can decode."""
    with Image.open(io.BytesIO(content), formats=predict_images.formats()) as file:
        return file.format or "unknown"


def rule_of(preprocessing: PreprocessingFacts) -> dict[str, object]:
    """Return the preprocessing with all values as the plain values of an exported file."""
    values: dict[str, object] = msgspec.to_builtins(Preprocessing.of(preprocessing).facts())
    return values


def content_of(images: ImagesOfSplit, position: int) -> bytes:
    """Return the bytes of an image's file, or those of a PNG made of an image without one."""
    index = int(images.indices[position])
    if isinstance(images.images, ImageFiles):
        path = images.images.paths[index]
        try:
            with open(path, "rb") as file:  # noqa: PTH123  # as the data module opens it
                return file.read()
        except OSError as error:
            raise UnreadableImageError.of(path, error.strerror or str(error)) from error
    buffer = io.BytesIO()
    images.images.image(index).save(buffer, "PNG")
    return buffer.getvalue()


def _facts(split: str, contents: Sequence[bytes], *, are_files: bool) -> ImageSample:
    """Describe files that can be decoded."""
    kinds: Counter[str] = Counter()
    sizes: list[tuple[int, int]] = []
    for content in contents:
        with Image.open(io.BytesIO(content), formats=predict_images.formats()) as file:
            kinds[file.format or "unknown"] += 1
            sizes.append(file.size)
    return ImageSample(
        split=split,
        images=len(contents),
        are_files=are_files,
        kinds=dict(kinds),
        bytes_p50=round(statistics.median(map(len, contents))),
        width_p50=round(statistics.median(width for width, _ in sizes)),
        height_p50=round(statistics.median(height for _, height in sizes)),
    )


def _require_readable(content: bytes, name: str) -> None:
    try:
        predict_images.read_image(io.BytesIO(content))
        with Image.open(io.BytesIO(content), formats=predict_images.formats()):
            pass
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise UnreadableImageError.of(name, str(error)) from error


def _read(content: bytes, decoder: Decoder, rule: dict[str, object]) -> Image.Image:
    at_least = predict_images.least_side(decoder, rule)
    return predict_images.read_image(io.BytesIO(content), at_least=at_least, decoder=decoder)


def _takes(content: bytes, decoder: Decoder, rule: dict[str, object]) -> bool:
    """Return True if a decoder decodes a file in another way than the reference."""
    if decoder == REFERENCE:
        return False
    with Image.open(io.BytesIO(content), formats=predict_images.formats()) as file:
        if decoder in PACKAGES:
            return jpeg_decoders.takes(file)
        at_least = predict_images.least_side(decoder, rule)
        before = file.size
        file.draft(None, (at_least, at_least) if at_least is not None else None)
        return file.size != before
