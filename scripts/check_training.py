#!/usr/bin/env python3
"""Check that the trained networks are healthy: four networks, three seeds, two settings.

scripts/check_training.py [--models resnet34 ...] [--seeds 0 1 2] [--settings default]
                          [--root FOLDER] [--figures FILE] [--page docs/training.md]
                          [--only-table] [--again]

Each training is a run as any user starts it, on the embedded digits. Then, on the test split:
top-1; the largest logit of all images over that of the median image; and what the plainest static
int8 file keeps, which is ONNX Runtime's own with MinMax ranges, QUInt8 activations and per-channel
QInt8 weights, without any of this project's search.

All 24 trainings take one to three hours on two cores. The figures of each are stored in --figures
as soon as it ends, and are not made again, so the command can be stopped and continued, on another
machine too. The table is written at the end and when it is stopped, and says which trainings it
lacks. Figures of an earlier recipe are not recognised: --again makes the chosen ones anew.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import marked_page
import msgspec
import numpy as np
import onnxruntime
import torch
from kept_runs import trained
from plain_int8 import int8_logits

from src.benchmark.environment.description import git_commit
from src.data.restore import data_of
from src.export.source import Checkpoint
from src.models.health import examine
from src.run.folder import Run
from src.system import atomic_files, machine

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "training.json"
SEEDS = (0, 1, 2)
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


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures of one training, on the test split, and where they were made."""

    setting: str
    model: str
    seed: int
    images: int
    top1: float
    logit_ratio: float  # the largest logit of all images over that of the median image
    logit_largest: float
    dead: float  # share of the activations' channels with one value for all images
    # Share of BatchNorm's channels with a variance below 1e-3; None without BatchNorm.
    vanishing: float | None
    problems: list[str]
    int8_top1: float
    int8_sqnr_db: float
    processor: str
    packages: str
    commit: str | None

    @property
    def is_met(self) -> bool:
        """True if the aims are met."""
        is_near = self.top1 - self.int8_top1 <= MOST_INT8_LOSS
        return self.logit_ratio < MOST_LOGIT_RATIO and is_near


Key = tuple[str, str, int]  # setting, model and seed


class Figures:
    """The cells that are known, in a file.

    Args:
        path: of the file; it may not exist yet.

    Raises:
        msgspec.MsgspecError: it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = path.read_bytes() if path.is_file() else b"[]"
        cells = msgspec.json.decode(content, type=list[Cell])
        self._cells = {(cell.setting, cell.model, cell.seed): cell for cell in cells}

    def get(self, key: Key) -> Cell | None:
        return self._cells.get(key)

    def add(self, cell: Cell) -> None:
        """Add a cell, or replace it, and write the file."""
        self._cells[cell.setting, cell.model, cell.seed] = cell
        cells = [msgspec.to_builtins(self._cells[key]) for key in sorted(self._cells)]
        atomic_files.write_json(self._path, cells)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--root", type=Path, help="where runs are kept and found again")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="file of the figures")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "training.md")
    parser.add_argument("--only-table", action="store_true", help="train nothing")
    parser.add_argument("--again", action="store_true", help="make known figures anew")
    chosen = parser.parse_args()
    marked_page.require(chosen.page, BEGIN, END)
    try:
        figures = Figures(chosen.figures)
    except msgspec.MsgspecError as error:
        sys.exit(f"error: --figures: expected figures of this script, found {error}")
    # A seed of all networks before the next one: stopped early, the table has all lines.
    wanted = [
        (setting, model, seed)
        for seed, setting, model in itertools.product(chosen.seeds, chosen.settings, chosen.models)
    ]
    try:
        if not chosen.only_table:
            make(figures, wanted, chosen.root, again=chosen.again)
    finally:
        lines, is_met = table(figures)
        print("\n".join(lines))
        marked_page.fill(chosen.page, BEGIN, END, lines)
    sys.exit(0 if is_met else 1)


def make(figures: Figures, wanted: Sequence[Key], root: Path | None, *, again: bool) -> None:
    """Train and look at what is not known yet, or at all."""
    commit = git_commit()
    with tempfile.TemporaryDirectory() as scratch:
        for setting, model, seed in wanted:
            if figures.get((setting, model, seed)) is None or again:
                # A run of another commit may have been trained by another recipe.
                place = Path(commit or "unknown", setting, str(seed))
                run = trained(
                    model,
                    words(setting, seed),
                    (root or Path(scratch)).resolve() / place,
                    "checkpoints/best.ckpt",
                    again=again,
                )
                cell = Cell(
                    setting=setting,
                    model=model,
                    seed=seed,
                    **measured(run),
                    processor=machine.cpu_model(),
                    packages=f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}",
                    commit=commit,
                )
                figures.add(cell)
                print(cell, flush=True)


def words(setting: str, seed: int) -> list[str]:
    """The command line of a run without exports and measurement, without ``model=``."""
    return [
        *(f"seed_everything={seed}", "export.enabled=false", "benchmark.enabled=false"),
        *("profiler=none", *SETTINGS[setting][1]),
    ]


def measured(run: Run) -> dict[str, Any]:
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


def table(figures: Figures) -> tuple[list[str], bool]:
    """Return a line for each network and setting, and whether all aims are met.

    The seeds are side by side. A training that was not made yet is a dash.
    """
    keys = list(itertools.product(SETTINGS, MODELS, SEEDS))
    known = [cell for key in keys if (cell := figures.get(key))]
    missing = len(keys) - len(known)
    lines = [""]
    if missing:
        lines += [f"{missing} of {len(keys)} trainings were not made yet; each is a dash.", ""]
    lines += [
        f"Seeds {', '.join(map(str, SEEDS))} side by side. {places(known)}",
        "",
        "| setting | network | top-1 % | largest logit, times the median image's "
        "| plain int8 top-1 % | its logit SQNR, dB | aims |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for setting, model in itertools.product(SETTINGS, MODELS):
        cells = [figures.get((setting, model, seed)) for seed in SEEDS]
        lines.append(
            f"| {SETTINGS[setting][0]} | {model} | {side_by_side(cells, 'top1', 100, 2)} | "
            f"{side_by_side(cells, 'logit_ratio', 1, 2)} | "
            f"{side_by_side(cells, 'int8_top1', 100, 2)} | "
            f"{side_by_side(cells, 'int8_sqnr_db', 1, 1)} | {verdict(cells)} |"
        )
    return [*lines, ""], not missing and all(cell.is_met for cell in known)


def places(cells: Sequence[Cell]) -> str:
    """Return the test images, processors, packages and commits of cells, in words."""
    groups: dict[tuple[int, str, str, str], int] = {}
    for cell in cells:
        commit = (cell.commit or "unknown")[:12]
        group = (cell.images, cell.processor, cell.packages, commit)
        groups[group] = groups.get(group, 0) + 1
    return " ".join(
        f"{count} trainings with {images} test images of the digits on {processor}, {packages}, "
        f"at commit {commit}."
        for (images, processor, packages, commit), count in groups.items()
    )


def side_by_side(cells: Sequence[Cell | None], name: str, scale: float, digits: int) -> str:
    return " / ".join(
        "-" if cell is None else f"{scale * getattr(cell, name):.{digits}f}" for cell in cells
    )


def verdict(cells: Sequence[Cell | None]) -> str:
    """Return "met", or how many of the known seeds miss the aims."""
    known = [cell for cell in cells if cell is not None]
    missed = sum(not cell.is_met for cell in known)
    if missed:
        return f"MISSED by {missed} of {len(known)}"
    if len(known) < len(cells):
        return f"met by {len(known)} of {len(known)}" if known else "-"
    return "met"


if __name__ == "__main__":
    main()
