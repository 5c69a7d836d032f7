#!/usr/bin/env python3
"""Check that the trained networks are healthy: four networks, three seeds, two settings.

scripts/check_training.py [--models resnet34 ...] [--seeds 0 1 2] [--settings default]
                          [--root FOLDER] [--page docs/training.md]

Each training is a run as any user starts it, on the embedded digits. Then, on the test split:
top-1; the largest logit of all images over that of the median image; and what the plainest static
int8 file keeps, which is ONNX Runtime's own with MinMax ranges, QUInt8 activations and per-channel
QInt8 weights, without any of this project's search.

All 24 trainings take about 50 minutes on two cores. With --root, it continues where it stopped.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import marked_page
import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from src.data.restore import data_of
from src.export.source import Checkpoint
from src.models.health import examine
from src.run import folder as runs
from src.system import atomic_files, machine

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("resnet34", "densenet121", "efficientnet_b0", "convnext_t")
SETTINGS = {
    "default": ("the defaults, 64 px", ()),
    "two_epochs": ("two epochs, 224 px", ("data.image_size=224", "trainer.max_epochs=2")),
}
BEGIN = "<!-- made by scripts/check_training: begin -->"
END = "<!-- made by scripts/check_training: end -->"
MOST_LOGIT_RATIO = 3.0  # the aims
MOST_INT8_LOSS = 0.01
CALIBRATION = 256  # images


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--root", type=Path, help="where runs and figures are kept and found again")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "training.md")
    chosen = parser.parse_args()
    text = chosen.page.read_text(encoding="utf-8") if chosen.page.is_file() else ""
    if BEGIN not in text or END not in text:  # now, and not after an hour of training
        sys.exit(f"error: --page: expected a page with the marks of the table, found {chosen.page}")
    with tempfile.TemporaryDirectory() as scratch:
        root = (chosen.root or Path(scratch)).resolve()
        figures = [
            {"model": model, "setting": setting, "seed": seed, **cell(root, setting, model, seed)}
            for setting in chosen.settings
            for model in chosen.models
            for seed in chosen.seeds
        ]
    lines = table(figures)
    print("\n".join(lines))
    marked_page.fill(chosen.page, BEGIN, END, lines)
    sys.exit(0 if all(is_met(each) for each in figures) else 1)


def cell(root: Path, setting: str, model: str, seed: int) -> dict[str, Any]:
    """The figures of one training: those that are kept, or those of a new one."""
    folder = root / setting / str(seed)
    kept = folder / f"{model}.json"
    if not kept.is_file():
        figures = measured(trained(folder, setting, model, seed))
        atomic_files.write_json(kept, figures)
        print(setting, model, seed, figures, flush=True)
    content: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return content


def trained(folder: Path, setting: str, model: str, seed: int) -> runs.Run:
    """A run without exports and measurement."""
    command = [
        *(sys.executable, "-m", "src.train", f"model={model}", f"seed_everything={seed}"),
        *(f"trainer.default_root_dir={folder}", "export.enabled=false", "benchmark.enabled=false"),
        *("profiler=none", *SETTINGS[setting][1]),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = runs.newest(folder, model, having="checkpoints/best.ckpt")
    if found is None:
        sys.exit(f"{model}: the training left no checkpoint in {folder}")
    return found


def measured(run: runs.Run) -> dict[str, Any]:
    """The test split through the network and through its plainest int8 file."""
    network = Checkpoint.read(run.best_checkpoint).network()
    data = data_of(run)
    batches = list(data.batches("test"))
    images = torch.from_numpy(np.concatenate([images for images, _ in batches]))
    labels = np.concatenate([labels for _, labels in batches])
    health = examine(network, images)
    with torch.inference_mode():
        logits = torch.cat([network(part) for part in images.split(64)]).numpy()
    plain = int8_logits(network, data.calibration_images(CALIBRATION), images)
    return {
        "images": len(labels),
        "top1": float((logits.argmax(1) == labels).mean()),
        "logit_ratio": health.logit_ratio,
        "logit_largest": health.logit_largest,
        "dead": health.dead,
        "vanishing": health.vanishing,
        "problems": health.problems(),
        "int8_top1": float((plain.argmax(1) == labels).mean()),
        "int8_sqnr_db": float(
            10 * np.log10(np.square(logits).sum() / np.square(plain - logits).sum())
        ),
    }


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images, 32 at a time."""

    def __init__(self, images: torch.Tensor) -> None:
        self._batches = iter(images.split(32))

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch.numpy()}


def int8_logits(
    network: torch.nn.Module, calibration: torch.Tensor, images: torch.Tensor
) -> np.ndarray[Any, Any]:
    """Logits (N, K) of ONNX Runtime's own static quantization for images (N, 3, H, W)."""
    with tempfile.TemporaryDirectory() as name:
        plain, prepared, quantized = (f"{name}/{part}.onnx" for part in ("a", "b", "c"))
        torch.onnx.export(
            network.to(memory_format=torch.contiguous_format),
            (calibration[:2],),
            plain,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            external_data=False,
            verbose=False,
        )
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            Reader(calibration),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        session = onnxruntime.InferenceSession(quantized, providers=["CPUExecutionProvider"])
        return np.concatenate(
            [session.run(None, {"images": part.numpy()})[0] for part in images.split(64)]
        )


def is_met(figures: dict[str, Any]) -> bool:
    loss = figures["top1"] - figures["int8_top1"]
    return bool(figures["logit_ratio"] < MOST_LOGIT_RATIO and loss <= MOST_INT8_LOSS)


def table(figures: list[dict[str, Any]]) -> list[str]:
    """A line for each network and setting: the seeds side by side, in their order."""
    images = figures[0]["images"]
    seeds = sorted({each["seed"] for each in figures})
    lines = [
        "",
        f"{images} test images of the digits; seeds {', '.join(map(str, seeds))} side by side; "
        f"{machine.cpu_model()}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}.",
        "",
        "| setting | network | top-1 % | largest logit, times the median image's "
        "| plain int8 top-1 % | its logit SQNR, dB | aims |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in figures:
        groups.setdefault((each["setting"], each["model"]), []).append(each)
    for (setting, model), cells in groups.items():
        lines.append(
            f"| {SETTINGS[setting][0]} | {model} | {side_by_side(cells, 'top1', 100, 2)} | "
            f"{side_by_side(cells, 'logit_ratio', 1, 2)} | "
            f"{side_by_side(cells, 'int8_top1', 100, 2)} | "
            f"{side_by_side(cells, 'int8_sqnr_db', 1, 1)} | {verdict(cells)} |"
        )
    return [*lines, ""]


def side_by_side(cells: list[dict[str, Any]], name: str, scale: float, digits: int) -> str:
    return " / ".join(f"{scale * cell[name]:.{digits}f}" for cell in cells)


def verdict(cells: list[dict[str, Any]]) -> str:
    """Return "met", or by how many of the seeds the aims are missed."""
    met = sum(is_met(cell) for cell in cells)
    return "met" if met == len(cells) else f"MISSED by {len(cells) - met} of {len(cells)}"


if __name__ == "__main__":
    main()
