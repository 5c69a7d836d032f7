#!/usr/bin/env python3
"""Measure the time from the bytes of JPEG files to their labels, by stage, network and format.

scripts/benchmark_pipeline.py --root FOLDER                     all, then writes the table
scripts/benchmark_pipeline.py --root FOLDER --page -            prints the table
scripts/benchmark_pipeline.py --root FOLDER --runs FOLDER       trained networks, real flips
scripts/benchmark_pipeline.py --root FOLDER --models resnet34   one network
scripts/benchmark_pipeline.py --root FOLDER --models            none: the other stages alone

The files are made here from fixed seeds, of 320, 512, 1024 and 4000 pixels, at JPEG's quality 90.
Without --runs they are smooth noise of many scales with edges and a little grain. Weights are then
random, so accuracy means nothing and many changed answers are near-ties; BatchNorm's statistics are
estimated on random images, and the network's input has 224 pixels.

--runs names a folder of finished runs, such as lightning_logs, with a folder for each network. The
files are 540 of the run's own test images, enlarged to each width, with grain; the exported files,
the preprocessing and the labels are the run's. So changed answers and verdicts are those of trained
networks. Runs are only read; a format that one lacks is exported into --root.

Each network has the eager file, two ONNX files and an OpenVINO file, which are timed in turn on
each size of files, in eight processes, with each decoder whose package is installed. It takes up to
75 minutes on two cores, 100 with --runs, and 4 GB in --root. Leave the machine alone meanwhile.
--root keeps the files, the exports and the measurements, so a second command goes on. The stages
beside the network have a table of their own, in processor time of one thread, which other work on
the machine changes less.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import marked_page
import torch
from photographs import FILES, SIDE, EnlargedImages, Photographs, newest_run
from pipeline_stages import stage_table
from random_images import RandomImages

from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure
from src.data.restore import data_of
from src.errors import UsageError
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.export.stage import export_run
from src.models.network import NetworkSpec
from src.report.document import number
from src.report.sections import speedups
from src.report.sections.verdicts import delta_of_answers
from src.run import reading
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.pipeline import REFERENCE, STAGES, Pipeline
from src.run.results import VERSIONS, Results
from src.run.row import Row
from src.system import atomic_files
from src.system.console import StageDisplay, open_console

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- made by scripts/benchmark_pipeline.py: begin -->"
END = "<!-- made by scripts/benchmark_pipeline.py: end -->"
NAME = "scripts/benchmark_pipeline.py"
MODELS = ("resnet34", "densenet121", "efficientnet_b0", "convnext_t")
BUILDERS = {"convnext_t": "convnext_tiny"}  # torchvision's name, if it is another
FORMATS = ("eager", "onnx_fp32", "onnx_int8", "openvino_int8")
SHOWN = ("torch", "onnxruntime", "openvino", "pillow", "simplejpeg", "opencv-python-headless")
PROCESSES = 8  # of each file: an interval of four was often wider than 1.5
SECONDS = 200.0  # of timing: what eight processes take on two cores
CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of files and figures")
    parser.add_argument("--runs", type=Path, help="folder of finished runs, by network")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--widths", nargs="+", type=int, default=list(FILES), choices=list(FILES))
    parser.add_argument("--page", default=str(ROOT / "docs" / "performance.md"), help="or -")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of timing, at most, each")
    parser.add_argument(
        "--decoders", choices=("best", "all"), default="best", help="in the table, beside Pillow's"
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.models) - set(MODELS):
        parser.error(f"--models: expected some of {', '.join(MODELS)}, found {', '.join(unknown)}")
    if chosen.page != "-":
        marked_page.require(Path(chosen.page), BEGIN, END)
    try:
        measured = [
            (width, measurement(chosen, model, width))
            for model in chosen.models
            for width in chosen.widths
        ]
    except UsageError as error:
        sys.exit(f"error: {error}")
    lines = [
        *stage_table(chosen.root / "photographs", chosen.widths),
        *table(measured, chosen.decoders),
    ]
    if chosen.page == "-":
        print("\n".join(lines))
        return
    marked_page.fill(Path(chosen.page), BEGIN, END, lines)


def measurement(chosen: argparse.Namespace, model: str, width: int) -> Results:
    """Return the measurement of one network on files of one width, which is made unless it was."""
    root = chosen.root / "trained" if chosen.runs else chosen.root
    path = root / f"{model}-{width}.json"
    if not path.is_file():
        run, data = (
            trained(chosen.runs, root, model, width)
            if chosen.runs
            else untrained(root, model, width)
        )
        with StageDisplay(open_console()) as report:
            report(f"{model}, files of {width} pixels")
            results = measure(run, data, options_for(chosen.seconds), report)
        atomic_files.write_json(path, as_dict(results))
    return reading.read(path, Results, VERSIONS)


def options_for(seconds: float) -> BenchmarkOptions:
    """Return the options of each measurement: more processes than usual, little else."""
    return BenchmarkOptions(
        batch_sizes=[1],
        devices=["cpu"],
        processes=PROCESSES,
        rounds=4,
        samples=50,
        turn_seconds=0.15,
        max_seconds=seconds,
        warmup_seconds=0.5,
        memory=False,
        again=True,
    )


def untrained(root: Path, model: str, width: int) -> tuple[Run, Photographs]:
    """Return the exports of a network with random weights, which are made unless they were."""
    data = Photographs(root / "photographs", width)
    run = Run(root / model / "version_0")
    if not run.best_checkpoint.is_file():
        write_checkpoint(run, model)
    exporting = ExportOptions(formats=list(FORMATS), judging_images=0)
    with StageDisplay(open_console()) as report:
        export_run(run, Checkpoint.read(run.best_checkpoint), data, exporting, report)
    return run, data


def trained(runs: Path, root: Path, model: str, width: int) -> tuple[Run, EnlargedImages]:
    """Return a copy of the exports of a finished run, and its test images as files of one width.

    A format that the run was not exported to is exported into the copy.

    Raises:
        UsageError: there is no run of the network.
    """
    original = newest_run(runs, model)
    if original is None:
        raise UsageError(
            "--runs",
            expected=f"a folder with a finished run in {model}/version_0 or later",
            found=str(runs),
            remedy=f"train it with python -m src.train model={model}, or name other --models",
        )
    run = Run(root / model / "version_0")
    if not run.best_checkpoint.is_file():
        copy_exports(original, run)
        with atomic_files.whole_file(run.best_checkpoint) as file:
            file.write(original.best_checkpoint.read_bytes())
    exporting = ExportOptions(formats=list(FORMATS))
    with StageDisplay(open_console()) as report:
        checkpoint = Checkpoint.read(run.best_checkpoint)
        export_run(run, checkpoint, data_of(original), exporting, report)
    return run, EnlargedImages(original, root / "photographs", width)


def copy_exports(original: Run, run: Run) -> None:
    """Copy the exports to ``FORMATS`` of a run, as far as it has them."""
    run.best_checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if not original.manifest.is_file():
        return
    exported = [name for name in FORMATS if name in original.read_manifest().exported]
    for name in exported:
        shutil.copytree(original.exports / name, run.exports / name, dirs_exist_ok=True)
    manifest = as_dict(original.read_manifest())
    manifest["formats"] = {name: manifest["formats"][name] for name in exported}
    run.exports.mkdir(exist_ok=True)
    shutil.copy(original.exports / "probe.npz", run.exports)
    atomic_files.write_text(run.manifest, json.dumps(manifest))


def write_checkpoint(run: Run, model: str) -> None:
    """Write a network with random weights as the best checkpoint of a run."""
    torch.manual_seed(0)
    builder = BUILDERS.get(model, model)
    spec = NetworkSpec.of(builder, CLASSES, SIDE, {})
    network = spec.build()
    with torch.no_grad():
        for seed in (10, 11):
            network.train()(RandomImages(SIDE).images(8, seed))
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


def table(measured: Sequence[tuple[int, Results]], decoders: str = "all") -> list[str]:
    """Return the lines of the table, and where it was measured; without one no table."""
    if not measured:
        return [f"Made by `{NAME}`."]
    heads = ["network", "files px", "format", "decoder", *(f"{stage} ms" for stage in STAGES)]
    heads += [
        "whole mean ms",
        "whole p50 ms",
        "times pillow",
        "changed answers",
        "delta points",
        "verdict",
    ]
    lines = [f"| {' | '.join(heads)} |", f"|---|---:|---|---|{'---:|' * (len(heads) - 4)}"]
    for width, results in measured:
        for row in results.rows:
            for pipeline in row.pipeline if decoders == "all" else reference_and_best(row):
                named = [results.model, str(width), f"`{row.format}`", decoder_of(row, pipeline)]
                lines.append(f"| {' | '.join([*named, *cells(pipeline)])} |")
            if not row.pipeline:
                lines.append(f"| {results.model} | {width} | `{row.format}` | {row.status} |")
    return [*lines, "", *conditions(*measured[0]), f"{sum_of_stages(measured)} Made by `{NAME}`."]


def sum_of_stages(measured: Sequence[tuple[int, Results]]) -> str:
    """Return a sentence on how well the stages add up to the clock around all of them."""
    pipelines = [each for _, results in measured for row in results.rows for each in row.pipeline]
    missed = [
        abs(sum(stage.mean_s for stage in each.stages.values()) / each.whole.mean_s - 1)
        for each in pipelines
    ]
    largest = number(max(missed, default=0.0), 100, 3)
    return f"The sum of the stages misses the clock around all of them by at most {largest} %."


def conditions(width: int, results: Results) -> list[str]:
    """Return the sentences on the images, the machine and the versions."""
    environment, side = results.environment, results.input_shape[1]
    machine = f"{environment.cpu} ({', '.join(environment.isa)}), {environment.threads} threads"
    packages = ", ".join(
        f"{name} {environment.packages[name]}" for name in SHOWN if name in environment.packages
    )
    images = results.dataset.name.replace(f"{width} pixels", "each width")
    day = results.measured_at.partition("T")[0]
    return [
        "Stages are means, which add up to the mean of the whole. p50 is the median of the whole,",
        "which the slowest calls do not move. Factors compare both decoders in each round. In",
        "bold: the decoder that a bundle of the file ships; where that is Pillow, the other one is",
        "the fastest. Changed answers have Wilson's 95 % interval of their share. The network's",
        f"input has {side} pixels. Images: {images}.",
        f"Measured {day} on {machine}, with {packages}.",
    ]


def reference_and_best(row: Row) -> list[Pipeline]:
    """Return the pipeline of the reference, and the one to ship or else the fastest other one."""
    others = [other for other in row.pipeline if other.over_reference is not None]
    fastest = sorted(others, key=lambda other: -other.over_reference.value)
    best = [*row.faster_pipelines(), *fastest][:1]
    return [*(each for each in row.pipeline if each.decoder == REFERENCE), *best]


def decoder_of(row: Row, pipeline: Pipeline) -> str:
    """Return the name of a decoder, in bold if it is the one to ship."""
    shipped = next((faster.decoder for faster in row.faster_pipelines()), REFERENCE)
    return f"**`{shipped}`**" if pipeline.decoder == shipped else f"`{pipeline.decoder}`"


def cells(pipeline: Pipeline) -> list[str]:
    """Return the figures of one line."""
    stages = [number(pipeline.stages[stage].mean_s, 1e3, 2) for stage in STAGES]
    whole = [number(each, 1e3, 2) for each in (pipeline.whole.mean_s, pipeline.whole.p50_s)]
    answers = pipeline.answers
    if pipeline.decoder == REFERENCE or answers is None:
        return [*stages, *whole, "", "", "", ""]
    low, high = (number(share, 100, 1) for share in (answers.flips_low, answers.flips_high))
    gain = speedups.cell(pipeline.over_reference).text
    changed = f"{answers.flips} of {answers.images} [{low}, {high}] %"
    return [*stages, *whole, gain, changed, delta_of_answers(answers).text, answers.verdict]


if __name__ == "__main__":
    main()
