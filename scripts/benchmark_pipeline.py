#!/usr/bin/env python3
"""Measure the time from the bytes of JPEG files to their labels, by stage, network and format.

scripts/benchmark_pipeline.py --root FOLDER                     all, then writes the table
scripts/benchmark_pipeline.py --root FOLDER --page -            prints the table
scripts/benchmark_pipeline.py --root FOLDER --models resnet34   one network
scripts/benchmark_pipeline.py --root FOLDER --models            none: the other stages alone

The files are made here from fixed seeds: smooth noise of many scales, edges and a little grain, of
320, 512, 1024 and 4000 pixels, at JPEG's quality 90. Weights are random, so accuracy means nothing;
BatchNorm's statistics are estimated on random images. Each network has the eager file, two ONNX
files and an OpenVINO file of 224 pixels, which are timed in turn on each size of files. It takes
about 20 minutes on two cores. Leave the machine alone meanwhile. --root keeps the exports and the
measurements, so a second command goes on. The stages beside the network have a table of their own,
in processor time of one thread, which other work on the machine changes less.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import thread_time
from types import SimpleNamespace
from typing import Any

import marked_page
import numpy as np
import torch
from check_models import RandomImages
from numpy.typing import NDArray
from PIL import Image

from src.backends.base import Profile
from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure
from src.data.pipeline.image_file import read_image
from src.data.pipeline.image_files import ImageFiles
from src.data.preprocessing import Preprocessing
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.export.stage import export_run
from src.models.network import NetworkSpec
from src.report.document import number
from src.report.sections import speedups
from src.run import reading
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.pipeline import DECODERS, REFERENCE, STAGES, Decoder, Pipeline
from src.run.results import VERSIONS, Results
from src.system import atomic_files
from src.system.console import StageDisplay, open_console
from src.worker.pipeline import ImagePipeline

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- made by scripts/benchmark_pipeline.py: begin -->"
END = "<!-- made by scripts/benchmark_pipeline.py: end -->"
NAME = "scripts/benchmark_pipeline.py"
MODELS = ("resnet34", "densenet121", "efficientnet_b0", "convnext_t")
BUILDERS = {"convnext_t": "convnext_tiny"}  # torchvision's name, if it is another
FORMATS = ("eager", "onnx_fp32", "onnx_int8", "openvino_int8")
FILES = {320: 32, 512: 32, 1024: 24, 4000: 8}  # number of files by their width
STAGE_FILES, STAGE_CALLS = 8, 5  # of the stages beside the network
BESIDE = [stage for stage in STAGES if stage != "infer"]
RATIO = 3 / 4  # height to width
SIDE, CLASSES = 224, 10


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

    def batches(
        self, split: str, batch_size: int = 64
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        inputs = [self.preprocessing(read_image(path)).numpy() for path in self.paths]
        yield np.stack(inputs), np.zeros(len(inputs), np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of files and figures")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--widths", nargs="+", type=int, default=list(FILES), choices=list(FILES))
    parser.add_argument("--page", default=str(ROOT / "docs" / "performance.md"), help="or -")
    parser.add_argument("--seconds", type=float, default=25, help="of each measurement's timing")
    chosen = parser.parse_args()
    if unknown := set(chosen.models) - set(MODELS):
        parser.error(f"--models: expected some of {', '.join(MODELS)}, found {', '.join(unknown)}")
    measured = []
    for model in chosen.models:
        for width in chosen.widths:
            path = chosen.root / f"{model}-{width}.json"
            if not path.is_file():
                results = one(chosen.root, model, width, chosen.seconds)
                atomic_files.write_json(path, as_dict(results))
            measured.append((width, reading.read(path, Results, VERSIONS)))
    lines = [*stage_table(chosen.root / "photographs", chosen.widths), *table(measured)]
    if chosen.page == "-":
        print("\n".join(lines))
        return
    marked_page.fill(Path(chosen.page), BEGIN, END, lines)


def one(root: Path, model: str, width: int, seconds: float) -> Results:
    """Export a network with random weights, unless it was, and time it on files of one width."""
    data = Photographs(root / "photographs", width)
    run = Run(root / model / "version_0")
    if not run.best_checkpoint.is_file():
        write_checkpoint(run, model)
    options = BenchmarkOptions(
        batch_sizes=[1],
        devices=["cpu"],
        processes=4,
        rounds=3,
        samples=50,
        turn_seconds=0.3,
        max_seconds=seconds,
        warmup_seconds=0.5,
        memory=False,
        again=True,
    )
    with StageDisplay(open_console()) as report:
        report(f"{model}, files of {width} pixels")
        exporting = ExportOptions(formats=list(FORMATS), judging_images=0)
        export_run(run, Checkpoint.read(run.best_checkpoint), data, exporting, report)
        return measure(run, data, options, report)


def write_checkpoint(run: Run, model: str) -> None:
    """Write a network with random weights as the best checkpoint of a run."""
    torch.manual_seed(0)
    builder = BUILDERS.get(model, model)
    spec = NetworkSpec.of(builder, CLASSES, SIDE, {})
    network = spec.build()
    with torch.no_grad():
        for seed in (10, 11):
            network.train()(RandomImages(SIDE)._images(8, seed))  # noqa: SLF001
    run.best_checkpoint.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "epoch": 0,
        "state_dict": {f"network.{key}": value for key, value in network.state_dict().items()},
        "lightship": {
            "model": model,
            "network": spec.to_dict(),
            "class_names": [str(number) for number in range(CLASSES)],
        },
    }
    with atomic_files.whole_file(run.best_checkpoint) as file:
        torch.save(content, file)


def photographs(folder: Path, width: int, count: int) -> list[str]:
    """Return the paths of ``count`` JPEG files, which are made if they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{width}-{seed}.jpg" for seed in range(count)]
    for seed, path in enumerate(paths):
        if not path.is_file():
            with atomic_files.whole_file(path) as file:
                photograph(width, round(RATIO * width), seed).save(file, "JPEG", quality=90)
    return [str(path) for path in paths]


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
    pixels += random.normal(0, 3, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def stage_table(folder: Path, widths: Sequence[int]) -> list[str]:
    """Return the lines of the table of all stages but the network, in processor time."""
    heads = [*(f"{stage} ms" for stage in BESIDE), "together ms", "times pillow"]
    lines = [f"| files px | decoder | {' | '.join(heads)} |", f"|---:|---|{'---:|' * len(heads)}"]
    facts = Preprocessing(SIDE, "crop").facts()
    for width in widths:
        contents = [Path(path).read_bytes() for path in photographs(folder, width, STAGE_FILES)]
        timed = ImagePipeline(Nothing(), facts, contents, clock=thread_time)
        medians = {decoder: stage_medians(timed, contents, decoder) for decoder in DECODERS}
        for decoder, seconds in medians.items():
            shown = [number(value, 1e3, 2) for value in (*seconds, sum(seconds))]
            gain = number(sum(medians[REFERENCE]) / sum(seconds), 1, 2)
            lines.append(f"| {width} | `{decoder}` | {' | '.join([*shown, gain])} |")
    calls = STAGE_FILES * STAGE_CALLS
    return [*lines, "", f"Medians of {calls} calls, in processor time of one thread.", ""]


def stage_medians(timed: ImagePipeline, contents: Sequence[bytes], decoder: Decoder) -> list[float]:
    """Return the median seconds of each stage but the network."""
    calls = [timed.once(content, decoder)[1] for _ in range(STAGE_CALLS) for content in contents]
    medians = np.median(calls, axis=0)
    return [float(medians[STAGES.index(stage)]) for stage in BESIDE]


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


def table(measured: Sequence[tuple[int, Results]]) -> list[str]:
    """Return the lines of the table, and where it was measured; without one no table."""
    if not measured:
        return [f"Made by `{NAME}`."]
    heads = ["network", "files px", "format", "decoder", *(f"{stage} ms" for stage in STAGES)]
    heads += ["whole p50 ms", "times pillow", "changed answers"]
    lines = [f"| {' | '.join(heads)} |", f"|---|---:|---|---|{'---:|' * (len(heads) - 4)}"]
    for width, results in measured:
        for row in results.rows:
            for pipeline in row.pipeline:
                named = [results.model, str(width), f"`{row.format}`", f"`{pipeline.decoder}`"]
                lines.append(f"| {' | '.join([*named, *cells(pipeline)])} |")
            if not row.pipeline:
                lines.append(f"| {results.model} | {width} | `{row.format}` | {row.status} |")
    environment = measured[0][1].environment
    machine = f"{environment.cpu} ({', '.join(environment.isa)}), {environment.threads} threads"
    packages = ", ".join(
        f"{name} {environment.packages[name]}"
        for name in ("torch", "onnxruntime", "openvino", "pillow")
        if name in environment.packages
    )
    day = measured[0][1].measured_at.partition("T")[0]
    return [*lines, "", f"Measured {day} on {machine}, with {packages}. Made by", f"`{NAME}`."]


def cells(pipeline: Pipeline) -> list[str]:
    """Return the figures of one line."""
    stages = [number(pipeline.stages[stage].mean_s, 1e3, 2) for stage in STAGES]
    answers = pipeline.answers
    gain = "" if pipeline.decoder == REFERENCE else speedups.cell(pipeline.over_reference).text
    changed = f"{answers.flips} of {answers.images}" if answers else ""
    return [*stages, number(pipeline.whole.p50_s, 1e3, 2), gain, changed]


if __name__ == "__main__":
    main()
