"""The image files of a measurement's pipelines, and the answers of each row after each decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import Row
from src.benchmark.row_pipeline import PipelineFiles
from src.data.pipeline import encoded
from src.data.pipeline.encoded import ImagesOfSplit
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.split import Split
from src.run.facts import PreprocessingFacts
from src.run.pipeline import REFERENCE, Decoder, ImageSample
from src.shipped.decoder_names import PACKAGES
from src.shipped.jpeg_decoders import MissingDecoderError, load
from src.worker.answer import Logits
from src.worker.guarded_process import Limits


class Decoded(NamedTuple):
    """Inputs of a batch of n images after other decoders than the reference.

    Args:
        inputs: (m, 3, H, W), each of them once, though several decoders may give it.
        positions: by decoder, the position in ``inputs`` of each image's, (n,); -1 where it is the
            reference's.
    """

    inputs: NDArray[np.float32]
    positions: dict[Decoder, NDArray[np.int64]]


class _Data(Protocol):
    def dataset(self, split: Split) -> ImagesOfSplit: ...


def chosen(
    data: _Data, split: Split, preprocessing: PreprocessingFacts, options: BenchmarkOptions
) -> PipelineFiles | None:
    """Return the files to time pipelines on, with the decoders that differ on them.

    None if pipelines are not timed. A decoder that decodes every file of the sample as the
    reference does is not timed: it would be the reference. One whose package is not installed is
    left out with that reason.

    Raises:
        UnreadableImageError: a file of the sample cannot be decoded.
    """
    if not options.pipeline:
        return None
    sample = encoded.sample(split, data.dataset(split), options.pipeline_images, preprocessing)
    files = PipelineFiles(sample, [REFERENCE], {})
    for decoder in [name for name in options.decoders if name != REFERENCE]:
        if not encoded.applies(decoder, sample):
            continue
        try:
            if decoder in PACKAGES:
                load(decoder)
            files.decoders.append(decoder)
        except MissingDecoderError as error:
            files.left_out[decoder] = str(error)
    return files


def timed_sample(rows: Sequence[Row], files: PipelineFiles) -> ImageSample:
    """Return the description of the files that a row was timed on; of all if none was timed."""
    timed = sorted({file for row in rows for file in row.pipeline.files})
    return encoded.facts_of(files.sample, timed) if timed else files.sample.facts


def decoded(
    data: _Data,
    split: Split,
    files: PipelineFiles | None,
    positions: Sequence[int],
    reference: NDArray[np.float32],
) -> Decoded:
    """Return the inputs that each decoder but the reference makes of images.

    A decoder that cannot decode a file is left out from then on.

    Args:
        data: of the split.
        split: the split.
        files: with the decoders; None without any.
        positions: of n images in the split.
        reference: the inputs of these images after the reference decoder, (n, 3, H, W).
    """
    distinct: dict[bytes, int] = {}
    inputs: list[NDArray[np.float32]] = []
    positions_of: dict[Decoder, NDArray[np.int64]] = {}
    if files is None:
        return Decoded(reference[:0], {})
    for decoder in [name for name in files.decoders if name != REFERENCE]:
        try:
            others = encoded.decoded_by(
                decoder, data.dataset(split), positions, files.sample.preprocessing
            )
        except UnreadableImageError as error:
            files.decoders.remove(decoder)
            files.left_out[decoder] = str(error)
            continue
        found = np.full(len(positions), -1)
        for index, (own, plain) in enumerate(zip(others, reference, strict=True)):
            if own is None or np.array_equal(own, plain):
                continue
            key = hashlib.sha256(own.tobytes()).digest()
            if key not in distinct:
                distinct[key] = len(inputs)
                inputs.append(own)
            found[index] = distinct[key]
        positions_of[decoder] = found
    return Decoded(np.stack(inputs) if inputs else reference[:0], positions_of)


def number_of_pipelines(rows: Sequence[Row]) -> int:
    """Return the number of pipelines that are timed of rows, with those of their embedded files."""
    return sum((row.pipeline.reason is None) + row.embedded.is_answering for row in rows if row.ok)


def start_embedded(
    rows: Sequence[Row], files: PipelineFiles | None, exports: Path, limits: Limits
) -> None:
    """Load the file with its preprocessing inside of each row that has one, if files are timed."""
    for row in rows if files is not None else ():
        if row.ok:
            row.embedded.start(exports, limits, row.python)


def contents_for(
    rows: Sequence[Row], data: _Data, split: Split, positions: Sequence[int]
) -> list[bytes]:
    """Return the image files at some positions; none if no row takes them.

    Raises:
        UnreadableImageError: a file cannot be read.
    """
    if not any(row.ok and row.embedded.is_answering for row in rows):
        return []
    images = data.dataset(split)
    return [encoded.content_of(images, position) for position in positions]


def add_answers(
    row: Row,
    decoded: Decoded,
    reference: Logits,
    baseline: Logits | None,
    targets: NDArray[np.int64],
) -> None:
    """Classify a batch of n images after each decoder, and count the changed answers.

    An input that several decoders give is classified once.

    Args:
        row: the row; it fails if its file does.
        decoded: as :func:`decoded` returned it.
        reference: the row's logits of the images by the reference decoder, (n, K).
        baseline: the baseline's by the reference decoder, (n, K); None without one.
        targets: (n,).
    """
    changed = row.predict(decoded.inputs) if len(decoded.inputs) else reference[:0]
    if changed is None:
        return
    for decoder, positions in decoded.positions.items():
        otherwise = positions >= 0
        logits = reference.copy()
        logits[otherwise] = changed[positions[otherwise]]
        count = int(otherwise.sum())
        row.pipeline.add_answers(decoder, logits, (reference, baseline), targets, count)
