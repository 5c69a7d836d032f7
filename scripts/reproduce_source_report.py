#!/usr/bin/env python3
"""Measure the source report's 20 cells and write docs/source-report.md.

scripts/reproduce_source_report.py [--root FOLDER] [--page docs/source-report.md]

It trains the four networks at 224 pixels for two epochs, profiled: at most 45 minutes on two cores.
--root stores the runs and finds them again; then only the page is made.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
from gpu import page as gpu_page
from gpu.timing import clocks
from kept_runs import trained

from src.report.sections.int8_slowdown import explanations
from src.run import results as records
from src.run.layout import as_dict
from src.run.reading import convert
from src.system import atomic_files

ROOT = Path(__file__).resolve().parent.parent
REPORT = Path(__file__).with_name("source_report.csv")
# What the report calls a variant, and the format and device that it is.
VARIANTS = {
    "before (PyTorch)": ("eager", "cpu"),
    "onnx": ("onnx_fp32", "cpu"),
    "onnx quantized": ("onnx_int8", "cpu"),
    "torchscript cpu": ("torchscript", "cpu"),
    "torchscript gpu": ("torchscript", "cuda"),
}
DYNAMIC = "onnx_int8_dynamic"  # what its quantized files were, most likely
# torchvision's networks of each family, for the question whose size the report tells.
FAMILIES = {
    "resnet34": ("resnet18", "resnet34", "resnet50"),
    "densenet121": ("densenet121", "densenet169", "densenet201"),
    "efficientnet_b0": ("efficientnet_b0", "efficientnet_b1", "efficientnet_b2"),
    "convnext_t": ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
}
TRAINING = (
    *("experiment=source_report", "data.image_size=224", "data.batch_size=32"),
    "benchmark.batch_sizes=[1]",
)
HEADS = (10, 1000)
MIB = 2**20  # the report's "MB": its sizes are whole networks' only so
Results = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="where runs are kept and found again")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "source-report.md")
    chosen = parser.parse_args()
    report = list(csv.DictReader(REPORT.open(encoding="utf-8")))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        root = (chosen.root or Path(name)).resolve()
        found = {model: trained(model, TRAINING, root, "benchmark.json") for model in FAMILIES}
        results = {model: as_dict(run.read_benchmark()) for model, run in found.items()}
        traces = sum(
            file.stat().st_size
            for run in found.values()
            for file in run.profile.rglob("*.pt.trace.json.gz")
        )
    minutes = (time.monotonic() - started) / 60
    atomic_files.write_text(chosen.page, "\n".join(page(report, results, traces)) + "\n")
    if not torch.cuda.is_available() and gpu_page.KEPT.is_file():
        # The cells of a GPU that another machine has.
        gpu_page.fill_source_report(json.loads(gpu_page.KEPT.read_text("utf-8")), chosen.page)
    print(f"{chosen.page}, in {minutes:.0f} minutes")


def page(report: list[dict[str, str]], results: dict[str, Results], traces: int) -> list[str]:
    """The lines of the page."""
    environment = next(iter(results.values()))["environment"]
    gpu = environment["gpu"]["name"] if environment["gpu"] else "none"
    return [
        "# The source report's table, measured",
        "",
        "Made by `scripts/reproduce_source_report.py`: the four networks at 224 pixels, two epochs",
        "of the digits with the profiler on, then every file measured as in any run. The report's",
        "cells stand as it printed them. They are of another machine: compare ratios, not columns.",
        "",
        f"- Measured {next(iter(results.values()))['measured_at'][:10]} on {environment['cpu']}, "
        f"{environment['threads']} threads; GPU: {gpu}",
        f"- {', '.join(f'{name} {version}' for name, version in environment['packages'].items())}",
        "- Batch 1. Size in MiB, as the report's; latency p50 with its 95 % bound of the speed-up",
        "  over eager; accuracy delta in points of top-1 to eager, on the same 540 images.",
        "",
        *table(report, results),
        "",
        "## Open questions of the report",
        "",
        *sizes(report),
        *quantization(results),
        *accuracy(results),
        *threads(report, results),
        *unsynchronised(report),
        *profiling(results, traces),
    ]


def table(report: list[dict[str, str]], results: dict[str, Results]) -> Iterator[str]:
    """The 20 cells, and the dynamic int8 file that the report's was, most likely."""
    yield (
        "| network | variant | report MB | ours MiB | report ms | ours p50 ms | times eager "
        "| delta, points |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for cell in report:
        yield _line(results[cell["model"]], cell, *VARIANTS[cell["variant"]])
        if cell["variant"] == "onnx quantized":
            other = {**cell, "variant": "the same, dynamic", "size_mb": "", "time_ms": ""}
            yield _line(results[cell["model"]], other, DYNAMIC, "cpu")


def _line(results: Results, cell: dict[str, str], name: str, device: str) -> str:
    row = row_of(results, name, device)
    head = f"| {cell['model']} | {cell['variant']} (`{name}`) | {cell['size_mb']} |"
    if row["status"] != "ok":
        return f"{head} - | {cell['time_ms']} | {row['status']}: {row['reason']} | - | - |"
    timed, scores = row["latency"][0], row["accuracy"]
    unstable = f" ~{timed['unstable'][0]}" if timed.get("unstable") else ""
    return (
        f"{head} {row['size_bytes'] / MIB:.2f} | {cell['time_ms']} | "
        f"{1e3 * timed['p50_s']:.2f}{unstable} | {_interval(timed['speedup'], 1, 2)} | "
        f"{_delta(scores)} |"
    )


def _delta(scores: dict[str, Any]) -> str:
    if "delta_top1" not in scores:
        return "-"
    found = {key: scores[f"delta_{key}"] for key in ("low", "high")}
    return _interval({"value": scores["delta_top1"], **found}, 100, 2)


def _interval(found: dict[str, float] | None, scale: float, digits: int) -> str:
    if found is None:
        return "-"
    value, low, high = (f"{scale * found[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def row_of(results: Results, name: str, device: str) -> dict[str, Any]:
    """A run's row of that format and device."""
    row: dict[str, Any] = next(
        row for row in results["rows"] if (row["format"], row["device"]) == (name, device)
    )
    return row


def sizes(report: list[dict[str, str]]) -> Iterator[str]:
    """Which network of each family, with which head, really has the report's size."""
    yield "**Whose sizes are these?** Counted from torchvision's networks, in MiB of fp32 weights:"
    yield ""
    yield "| the report's | MB | nearest | MiB | next nearest | MiB |"
    yield "|---|---:|---|---:|---|---:|"
    others, heads = [], set()
    for cell in report:
        if cell["variant"] != "before (PyTorch)":
            continue
        told = float(cell["size_mb"])
        known = {
            (builder, classes): weights_mib(builder, classes)
            for builder in FAMILIES[cell["model"]]
            for classes in HEADS
        }
        nearest = sorted(known, key=lambda each: abs(known[each] - told))[:2]
        cells = [f"`{each[0]}`, {each[1]} classes | {known[each]:.2f}" for each in nearest]
        yield f"| {cell['model']} | {told:.2f} | {' | '.join(cells)} |"
        heads.add(nearest[0][1])
        if nearest[0][0] != builder_of(cell["model"]):
            others.append(f"its {cell['model']} has the size of {nearest[0][0]}")
    yield ""
    if len(heads) > 1:
        others.append(f"its heads have {' or '.join(map(str, sorted(heads)))} classes")
    yield f"So {'; '.join(others)}." if others else "So they are those of the networks it names."
    yield ""


def builder_of(model: str) -> str:
    """Torchvision's name of one of the four networks."""
    return {"convnext_t": "convnext_tiny"}.get(model, model)


def weights_mib(builder: str, classes: int) -> float:
    """The state dict of torchvision's network, in MiB; no weights are made for it."""
    with torch.device("meta"):
        network = torchvision.models.get_model(builder, weights=None, num_classes=classes)
    return (
        sum(value.numel() * value.element_size() for value in network.state_dict().values()) / MIB
    )


def quantization(results: dict[str, Results]) -> Iterator[str]:
    """Why its int8 was slower."""
    yield "**Why was its int8 slower than fp32?** Times the ONNX file in fp32, same runtime, here:"
    yield ""
    yield "| network | dynamic int8 | static int8, calibrated |"
    yield "|---|---:|---:|"
    for model, found in results.items():
        shown = [
            _interval(row_of(found, name, "cpu")["latency"][0]["speedup_same_runtime"], 1, 2)
            for name in (DYNAMIC, "onnx_int8")
        ]
        yield f"| {model} | {' | '.join(shown)} |"
    yield ""
    for model, found in results.items():
        for line in explanations(convert(found, records.Results)):
            yield f"- {model}: {line}"
    yield ""


def accuracy(results: dict[str, Results]) -> Iterator[str]:
    """What its accuracy sentence stands for."""
    yield '**"Slightly lower" accuracy?** It was not measured there. Here, on 540 test images:'
    yield ""
    yield "| network | eager top-1 % | static, points | verdict | dynamic, points | verdict |"
    yield "|---|---:|---:|---|---:|---|"
    for model, found in results.items():
        eager = row_of(found, "eager", "cpu")["accuracy"]["top1"]
        cells = [f"{100 * eager:.2f}"]
        for name in ("onnx_int8", DYNAMIC):
            row = row_of(found, name, "cpu")
            cells += [_delta(row["accuracy"]), row["verdict"]]
        yield f"| {model} | {' | '.join(cells)} |"
    yield ""


def threads(report: list[dict[str, str]], results: dict[str, Results]) -> Iterator[str]:
    """Whether TorchScript can be that much faster than ONNX Runtime on one processor."""
    yield "**TorchScript 4.8 ms, ONNX 91 ms, on the same CPU?** ONNX Runtime's time over"
    yield "TorchScript's, the same threads for both, each in a process of its own:"
    yield ""
    yield "| network | in the report | here |"
    yield "|---|---:|---:|"
    told = {(cell["model"], cell["variant"]): float(cell["time_ms"]) for cell in report}
    for model, found in results.items():
        ours = [
            row_of(found, name, "cpu")["latency"][0]["p50_s"]
            for name in ("onnx_fp32", "torchscript")
        ]
        theirs = told[model, "onnx"] / told[model, "torchscript cpu"]
        yield f"| {model} | {theirs:.1f} | {ours[0] / ours[1]:.2f} |"
    yield ""


def unsynchronised(report: list[dict[str, str]]) -> Iterator[str]:
    """Yield the explanation of a time that was taken without waiting for the GPU."""
    same = [cell["time_ms"] for cell in report if cell["variant"] == "before (PyTorch)"]
    yield (
        f"**{same[0]} ms for two networks, to three digits?** A GPU call returns when the work is "
        "queued. Timed here without and with waiting for it:"
    )
    yield ""
    if not torch.cuda.is_available():
        yield (
            "skipped: no CUDA device on the machine that this page was made on. "
            "`scripts/check_gpu` shows it on a machine that has one."
        )
        yield ""
        return
    yield "| network | without waiting, ms | with, ms |"
    yield "|---|---:|---:|"
    for model in FAMILIES:
        network = torchvision.models.get_model(builder_of(model), weights=None).cuda().eval()
        with torch.inference_mode():
            found = clocks(network, torch.zeros(1, 3, 224, 224, device="cuda"))
        without, waiting = found["unsynchronised"], found["synchronised"]
        yield f"| {model} | {1e3 * without:.3f} | {1e3 * waiting:.3f} |"
    yield ""


def profiling(results: dict[str, Results], traces: int) -> Iterator[str]:
    """What profiling a training takes."""
    yield (
        f'**"More than two epochs crash while profiling"?** All of the {len(results)} trainings '
        f"and their files were profiled here; the traces take {traces / 1e6:.1f} MB, and would "
        "not take more over fifty epochs (profiling.md)."
    )


if __name__ == "__main__":
    main()
