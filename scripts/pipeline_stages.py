"""The stages beside the network from the bytes of JPEG files to labels, by decoder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photographs import SIDE, photographs

from src.backends.base import Profile
from src.data.preprocessing import Preprocessing
from src.report.document import number
from src.run.pipeline import DECODERS, REFERENCE, STAGES, Decoder
from src.shipped.decoder_names import PACKAGES
from src.shipped.jpeg_decoders import MissingDecoderError, load
from src.worker.pipeline import ImagePipeline

FILES, CALLS = 8, 5  # of each decoder and width
CLASSES = 10
BESIDE = [stage for stage in STAGES if stage != "infer"]


def stage_table(folder: Path, widths: Sequence[int]) -> list[str]:
    """Return the lines of the table of all stages but the network, in processor time."""
    heads = [*(f"{stage} ms" for stage in BESIDE), "together ms", "times pillow"]
    lines = [f"| files px | decoder | {' | '.join(heads)} |", f"|---:|---|{'---:|' * len(heads)}"]
    facts = Preprocessing(SIDE, "crop").facts()
    for width in widths:
        contents = [Path(path).read_bytes() for path in photographs(folder, width, FILES)]
        timed = ImagePipeline(Nothing(), facts, contents, clock=thread_time)
        medians = stage_medians(timed, contents, installed())
        for decoder, seconds in medians.items():
            shown = [number(value, 1e3, 2) for value in (*seconds, sum(seconds))]
            gain = number(sum(medians[REFERENCE]) / sum(seconds), 1, 2)
            lines.append(f"| {width} | `{decoder}` | {' | '.join([*shown, gain])} |")
    calls = FILES * CALLS
    return [*lines, "", f"Medians of {calls} calls, in processor time of one thread.", ""]


def installed() -> list[Decoder]:
    """Return the decoders whose packages are installed."""
    decoders = []
    for decoder in DECODERS:
        try:
            if decoder in PACKAGES:
                load(decoder)
        except MissingDecoderError as error:
            print(f"{decoder} is left out: {error}", file=sys.stderr)
            continue
        decoders.append(decoder)
    return decoders


def stage_medians(
    timed: ImagePipeline, contents: Sequence[bytes], decoders: Sequence[Decoder]
) -> dict[Decoder, list[float]]:
    """Return the median seconds of each stage but the network; the decoders take turns."""
    calls: dict[Decoder, list[list[float]]] = {decoder: [] for decoder in decoders}
    for decoder in decoders:
        timed.once(contents[0], decoder)
    for turn in range(CALLS):
        for content in contents:
            for decoder in decoders[:: 1 if turn % 2 == 0 else -1]:
                calls[decoder].append(timed.once(content, decoder)[1])
    positions = [STAGES.index(stage) for stage in BESIDE]
    medians = {decoder: np.median(times, axis=0) for decoder, times in calls.items()}
    return {decoder: [float(times[at]) for at in positions] for decoder, times in medians.items()}


class Nothing:
    """A network that answers at once."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros((len(images), CLASSES), np.float32)

    def synchronize(self) -> None:
        pass

    def device_seconds(self, images: NDArray[np.float32]) -> None:
        pass

    def profile(self, images: NDArray[np.float32], trace: Path | None = None) -> Profile:
        return Profile()
