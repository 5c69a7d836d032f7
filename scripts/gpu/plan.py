"""The parts of the kit: in which order, with which command, and for how long at most."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 480  # of the whole kit
MODELS = ("resnet34", "densenet121", "efficientnet_b0", "convnext_t")
# TorchScript on a GPU is the row that the source report has; the others are its rivals. Compiling
# ahead of time takes a minute a file, so torch_export_cuda_fp16 is left to --formats.
FORMATS = (
    "eager", "eager_tf32", "eager_bf16", "eager_fp16", "eager_cuda_graph",
    "eager_cuda_graph_fp16", "torchscript", "torchscript_fp16", "torch_compile",
    "torch_export_cuda",
)  # fmt: skip
ONNX_FORMATS = ("onnx_fp32", "onnx_fp16", "onnx_tensorrt")  # where onnxruntime has CUDA


@dataclass(frozen=True)
class Setting:
    """How large the kit is: on a GPU, quickly on a GPU to see that all of it runs, or dry.

    Args:
        device: ``cuda``, or ``cpu`` for a dry run.
        models: the networks.
        formats: what is exported.
        image_size: pixels.
        batch_sizes: of the rows.
        timing_seconds: of the rows of one network.
        share: of each part's limit; all limits together are that share of ``SECONDS``.
    """

    device: str
    models: tuple[str, ...]
    formats: tuple[str, ...]
    image_size: int
    batch_sizes: tuple[int, ...]
    timing_seconds: float
    share: float


@dataclass(frozen=True)
class Part:
    """One question to the GPU, answered by a command that writes ``<name>.json``.

    Args:
        name: what it is called in ``gpu.json``.
        seconds: after which it is stopped; what it has written until then counts.
        command: run in a process of its own.
    """

    name: str
    seconds: float
    command: tuple[str, ...]


def setting(*, dry_run: bool, quick: bool, onnx: bool, only: tuple[str, ...] = ()) -> Setting:
    """The setting that was asked for.

    Args:
        dry_run: everything but the device.
        quick: one network, small.
        onnx: whether onnxruntime has a CUDA provider here.
        only: these formats instead of all.
    """
    if dry_run:
        return Setting("cpu", MODELS[:1], ("eager", "torchscript"), 32, (1, 2), 1, 1.0)
    formats = only or FORMATS + (ONNX_FORMATS if onnx else ())
    if quick:
        return Setting("cuda", MODELS[:1], formats, 64, (1, 8), 3, 0.35)
    return Setting("cuda", MODELS, formats, 224, (1, 8, 64), 10, 1.0)


def parts(chosen: Setting, out: Path, patience: float = 1.0) -> list[Part]:
    """All parts, the most valuable first.

    Args:
        chosen: how large.
        out: the folder for what they write.
        patience: times the limit of each part, for a slower machine.
    """

    def part(name: str, seconds: float, module: str, *words: str) -> Part:
        command = (
            *(sys.executable, "-m", f"gpu.{module}", f"--out={out / f'{name}.json'}"),
            *(f"--device={chosen.device}", f"--image-size={chosen.image_size}", *words),
        )
        return Part(name, patience * chosen.share * seconds, command)

    runs = f"--runs={out / 'runs'}"
    models = ("--models", *chosen.models)
    return [
        part("prepare", 120, "prepare", runs, *models, "--formats", *chosen.formats),
        part(
            "rows",
            255,
            "rows",
            *(runs, *models, f"--seconds={chosen.timing_seconds}"),
            *("--batch-sizes", *map(str, chosen.batch_sizes)),
        ),
        part("timing", 20, "timing", *models),
        part("training", 45, "training", *models),
        part("trace", 3, "trace", runs, *models),
        part("tests", 37, "tests"),
    ]
