#!/usr/bin/env python3
"""Compare files that take uint8 pixels with files that take normalised floats.

scripts/benchmark_input.py [--models resnet34 ...] [--formats onnx_fp32 ...] [--rounds 15] [--write]

Each network has random weights and images of 224 pixels; int8 files are made without a search. Both
files of a format and the conversion of the pixels that the float file needs (numpy, as in the lines
of use that come with it) are called in turn, on one thread. The times are of the processor, so that
other programs disturb them less: the median of the rounds. A ratio is of the calls of one round,
given as the median with the quartiles of the rounds. ``--write`` puts the table into
docs/performance.md.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import marked_page
import numpy as np
import torch

from src import formats, models
from src.data.preprocessing import Preprocessing
from src.export.one_format import export_one
from src.export.options import ExportOptions
from src.export.source import make_source
from src.models.network import NetworkSpec
from src.run.file_input import NORMALISED, PIXELS, BatchMaker
from src.system import machine

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = (f"<!-- made by scripts/benchmark_input.py: {word} -->" for word in ("begin", "end"))
SIZE, IMAGES, CALLS = 224, 8, 5
FORMATS = ("onnx_fp32", "onnx_int8", "openvino_fp32", "openvino_bf16", "openvino_int8")
CLASSES = [f"class {number}" for number in range(10)]
PREPROCESSING = Preprocessing(SIZE)
HEAD = (
    "| network | file | float file, ms | conversion, ms | uint8 file, ms "
    "| times the float file | times both |\n|---|---|---:|---:|---:|---:|---:|\n"
)

Call = Callable[[], object]


def pixels() -> torch.Tensor:
    """Smooth images, (n, 3, H, W) uint8."""
    coarse = torch.rand(IMAGES, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
    return (smooth * 255).round().to(torch.uint8)


PICTURE = pixels()[0].numpy().transpose(1, 2, 0).copy()  # (H, W, 3), as image libraries give it


def exported(builder: str, names: list[str], folder: Path) -> Iterator[tuple[str, Call, Call]]:
    """Export the network in both forms; yield each format with a call of its two files."""
    torch.manual_seed(0)
    spec, images = NetworkSpec(builder, len(CLASSES)), PREPROCESSING.normalised(pixels())
    network = spec.build().train()
    with torch.no_grad():  # statistics of BatchNorm that fit the weights
        for _ in range(5):
            network(images[:, :, ::2, ::2])
    network.eval()
    sources = {}
    for kind in ("float", "uint8"):
        scratch = folder / f"scratch_{kind}"
        scratch.mkdir()
        options = ExportOptions(formats=names, input=kind)
        sources[kind] = make_source(
            network, spec, CLASSES, images, PREPROCESSING.facts(), scratch, None, options
        )
    for name in names:
        calls = {}
        for kind, takes in (("float", NORMALISED), ("uint8", PIXELS)):
            target = folder / f"{name}_{kind}"
            entry = export_one(name, sources[kind], target)
            if entry.status != "ok":
                print(f"{builder} {name}: {entry.status}: {entry.reason}", flush=True)
                break
            runtime = formats.get(name).load(target, "cpu", 1)
            batch = BatchMaker(takes, PREPROCESSING.facts())(images[:1].numpy())
            calls[kind] = lambda runtime=runtime, batch=batch: runtime(batch)
        else:
            yield name, calls["float"], calls["uint8"]


def converted() -> np.ndarray:
    """Return the input of a float file for an image, as the lines of use compute it."""
    values = np.asarray(PICTURE, "float32") * (1 / 255)
    mean, std = np.array([PREPROCESSING.mean, PREPROCESSING.std], "float32")
    values = (values - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def timed(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of the processor of each call, a median for each round, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name in list(calls)[:: 1 if number % 2 else -1]:
            calls[name]()
            samples = []
            for _ in range(CALLS):
                started = time.process_time()
                calls[name]()
                samples.append(time.process_time() - started)
            if number:  # the first round warms up
                seconds[name].append(statistics.median(samples))
    return seconds


def line(builder: str, name: str, seconds: dict[str, list[float]]) -> str:
    """Return the row of the table."""
    before, conversion, after = (np.array(seconds[key]) for key in ("float", "conversion", "uint8"))

    def ratio(values: np.ndarray) -> str:
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        return f"{middle:.2f} [{low:.2f}, {high:.2f}]"

    times = " | ".join(f"{np.median(part) * 1e3:.2f}" for part in (before, conversion, after))
    ratios = f"{ratio(before / after)} | {ratio((before + conversion) / after)}"
    return f"| {builder} | `{name}` | {times} | {ratios} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    builders = sorted({getattr(models, name).builder for name in models.__all__})
    parser.add_argument("--models", nargs="+", choices=builders, default=builders)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.write:
        marked_page.require(PAGE, BEGIN, END)
    table = HEAD
    for builder in arguments.models:
        with tempfile.TemporaryDirectory(prefix="lightship-") as folder:
            for name, before, after in exported(builder, arguments.formats, Path(folder)):
                calls = {"float": before, "conversion": converted, "uint8": after}
                row = line(builder, name, timed(calls, arguments.rounds))
                print(row, end="", flush=True)
                table += row
    if arguments.write:
        lines = [f"{machine.cpu_model()}, one thread:", "", table.rstrip()]
        marked_page.fill(PAGE, BEGIN, END, lines)


if __name__ == "__main__":
    main()
