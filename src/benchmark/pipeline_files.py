"""The image files of a measurement's pipelines, and the answers of each row after each decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

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
from src.run.pipeline import REFERENCE, Decoder
from src.system.console import Report
from src.worker.answer import Logits
from src.worker.process import Limits

# By decoder: True for each image of a batch that it gives other pixels, (n,), and the inputs of
# these images, (m, 3, H, W).
Decoded = Mapping[Decoder, tuple[NDArray[np.bool_], NDArray[np.float32]]]


class _Data(Protocol):
    def dataset(self, split: Split) -> ImagesOfSplit: ...


def chosen(
    data: _Data, split: Split, preprocessing: PreprocessingFacts, options: BenchmarkOptions
) -> PipelineFiles | None:
    """Return the files to time pipelines on, with the decoders that differ on them.

    None if pipelines are not timed. A decoder that gives no file of the sample other pixels is left
    out: it would be timed and scored as the reference.

    Raises:
        UnreadableImageError: a file of the sample cannot be decoded.
    """
    if not options.pipeline:
        return None
    sample = encoded.sample(split, data.dataset(split), options.pipeline_images, preprocessing)
    others = [
        decoder
        for decoder in options.decoders
        if decoder != REFERENCE and encoded.applies(decoder, sample)
    ]
    return PipelineFiles(sample, [REFERENCE, *others])


def decoded(
    data: _Data,
    split: Split,
    files: PipelineFiles | None,
    positions: Sequence[int],
    report: Report,
) -> Decoded:
    """Return the inputs of images that each decoder but the reference gives other pixels.

    A decoder that cannot decode a file is left out, and the report says so.
    """
    if files is None:
        return {}
    images, preprocessing = data.dataset(split), files.sample.preprocessing
    inputs: dict[Decoder, tuple[NDArray[np.bool_], NDArray[np.float32]]] = {}
    for decoder in [decoder for decoder in files.decoders if decoder != REFERENCE]:
        try:
            inputs[decoder] = encoded.decoded_by(decoder, images, positions, preprocessing)
        except UnreadableImageError as error:
            files.decoders.remove(decoder)
            report(f"the decoder {decoder} is left out: {error}")
    return inputs


def start_embedded(
    rows: Sequence[Row], files: PipelineFiles | None, exports: Path, limits: Limits
) -> None:
    """Load the file with its preprocessing inside of each row that has one, if files are timed."""
    for row in rows if files is not None else ():
        if row.ok:
            row.embedded.start(exports, limits)


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


def add_answers(row: Row, inputs: Decoded, reference: Logits, targets: NDArray[np.int64]) -> None:
    """Classify a batch of n images after each decoder, and count the changed answers.

    Args:
        row: the row; it fails if its file does.
        inputs: as :func:`decoded` returned them.
        reference: the row's logits of the images by the reference decoder, (n, K).
        targets: (n,).
    """
    for decoder, (otherwise, images) in inputs.items():
        logits = reference
        if otherwise.any():
            changed = row.predict(images)
            if changed is None:
                return
            logits = reference.copy()
            logits[otherwise] = changed
        row.pipeline.add_answers(decoder, logits, reference, targets, int(otherwise.sum()))
