#!/usr/bin/env python3
"""Check what the int8 twin gives and costs: four networks, three seeds, two settings.

scripts/check_twin.py RUN_ROOT [--networks efficientnet_b0 ...] [--seeds 0 1 2]
                      [--settings hard_digits] [--page docs/quantization.md]

Each cell is a training as any user starts it, with twin=true, on the embedded digits: as they are,
and made hard (experiment=hard_digits). Its test split is scored by eager, by the file that is only
calibrated (onnx_int8, with its search) and by the twin (onnx_int8_twin); accuracy and speed are
compared with onnx_fp32, image by image and in turn, with 95 % intervals.

All 24 cells take hours on two cores. Leave the machine alone meanwhile: times are measured.
Finished cells are kept below RUN_ROOT, and a cell that was stopped goes on with its training and
twin.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import marked_page

from src.run import folder as runs
from src.run.results import Results
from src.run.row import Row
from src.system import atomic_files, machine

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ("resnet34", "densenet121", "efficientnet_b0", "convnext_t")
SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "hard_digits": ("hard digits", ("experiment=hard_digits",)),
    "digits": ("digits", ()),
}
EAGER, BASELINE, INT8, TWIN = "eager", "onnx_fp32", "onnx_int8", "onnx_int8_twin"
BEGIN = "<!-- made by scripts/check_twin: begin -->"
END = "<!-- made by scripts/check_twin: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, metavar="RUN_ROOT", help="where runs and cells are kept")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "quantization.md")
    chosen = parser.parse_args()
    marked_page.require(chosen.page, BEGIN, END)
    root = chosen.root.resolve()
    cells = [
        {"setting": setting, "network": network, "seed": seed, **cell(root, setting, network, seed)}
        for setting in chosen.settings
        for network in chosen.networks
        for seed in chosen.seeds
    ]
    lines = table(cells)
    print("\n".join(lines))
    marked_page.fill(chosen.page, BEGIN, END, lines)


def cell(root: Path, setting: str, network: str, seed: int) -> dict[str, Any]:
    """The figures of one cell: those that are kept, or those of a new one."""
    folder = root / setting / str(seed)
    kept = folder / f"{network}.json"
    if not kept.is_file():
        figures = figures_of(measured(folder, setting, network, seed))
        folder.mkdir(parents=True, exist_ok=True)
        atomic_files.write_json(kept, figures)
        print(setting, network, seed, figures, flush=True)
    content: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return content


def measured(folder: Path, setting: str, network: str, seed: int) -> Results:
    """Train, make the twin, export and measure, or go on with what was stopped."""
    begun = runs.newest(folder, network, having="checkpoints/last.ckpt")
    formats = f"{EAGER},{BASELINE},{INT8},{TWIN}"
    command = [
        *(sys.executable, "-m", "src.train", f"model={network}", f"seed_everything={seed}"),
        *(*SETTINGS[setting][1], "twin=true", f"export.formats=[{formats}]", "profiler=none"),
        *(f"benchmark.baseline={BASELINE}", "benchmark.memory=false", "benchmark.pipeline=false"),
        f"trainer.default_root_dir={folder}",
        *(["ckpt_path=last"] if begun else []),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    code = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    run = runs.newest(folder, network, having="benchmark.json")
    if code or run is None:
        sys.exit(f"error: {setting} {network} {seed}: the training ended with exit code {code}")
    return run.read_benchmark()


def figures_of(results: Results) -> dict[str, Any]:
    """The figures of a measured run."""
    rows = {row.format: row for row in results.rows if row.device == "cpu"}
    eager, twin, account = rows[EAGER], rows[TWIN], results.twin
    if eager.accuracy is None or account is None:
        sys.exit(f"error: {results.run}: the run lacks the row of eager, or the account of a twin")
    training = account.training
    return {
        "images": eager.accuracy.images,
        "eager_top1": eager.accuracy.top1,
        "int8": compared(rows[INT8]),
        "twin": compared(twin),
        "no_twin": account.reason or twin.reason,
        "parts": account.plan.name if account.plan else None,
        "seconds": account.seconds,
        "peak_bytes": account.peak_rss_bytes,
        "training_seconds": training.seconds if training else None,
        "training_peak_bytes": training.peak_rss_bytes if training else None,
    }


def compared(row: Row) -> dict[str, Any] | None:
    """Accuracy and speed of a file against the baseline; None for a row without figures."""
    paired = row.accuracy.paired if row.accuracy else None
    gain = row.latency[0].speedup if row.latency else None
    if row.accuracy is None or paired is None or gain is None:
        return None
    return {
        "top1": row.accuracy.top1,
        "delta": [paired.delta_top1, paired.delta_low, paired.delta_high],
        "agreement": paired.agreement,
        "verdict": row.verdict,
        "speedup": [gain.value, gain.low, gain.high],
    }


def table(cells: list[dict[str, Any]]) -> list[str]:
    """A line for each cell, and how often each file keeps the budget."""
    lines = [
        "",
        f"{cells[0]['images']} test images; {machine.cpu_model()}, {machine.usable_cores()} cores. "
        "Points of top-1 and times as fast are against `onnx_fp32`, with 95 % intervals; the "
        "budget is one point.",
        "",
        "| data | network | seed | eager top-1 % | `onnx_int8`: points | | times | "
        "`onnx_int8_twin`: points | | times | twin: min, GB | training: min, GB |",
        "|---|---|---:|---:|---:|---|---:|---:|---|---:|---:|---:|",
    ]
    for each in cells:
        twin = file_cells(each["twin"]) if each["twin"] else ["no twin", "", ""]
        costs = [cost(each["seconds"], each["peak_bytes"])]
        costs.append(cost(each["training_seconds"], each["training_peak_bytes"]))
        words = [
            SETTINGS[each["setting"]][0], each["network"], str(each["seed"]),
            f"{100 * each['eager_top1']:.2f}", *file_cells(each["int8"]), *twin, *costs,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(words)} |")
    return [
        *lines,
        "",
        *(counts(cells, name, key) for name, key in ((INT8, "int8"), (TWIN, "twin"))),
        *(f"- {line}" for line in reasons(cells)),
    ]


def reasons(cells: list[dict[str, Any]]) -> list[str]:
    """Why networks have no twin, a line for each network and reason."""
    without = [each for each in cells if not each["twin"]]
    lines = {f"{each['network']} without a twin: {each['no_twin']}." for each in without}
    return sorted(lines)


def file_cells(file: dict[str, Any] | None) -> list[str]:
    """The cells of one file: points, verdict, times as fast."""
    if file is None:
        return ["-", "-", "-"]
    delta, low, high = (100 * value for value in file["delta"])
    value, least, most = file["speedup"]
    return [
        f"{delta:+.2f} [{low:+.2f}, {high:+.2f}]",
        str(file["verdict"]),
        f"{value:.2f} [{least:.2f}, {most:.2f}]",
    ]


def cost(seconds: float | None, peak: int | None) -> str:
    if seconds is None or peak is None:
        return "-"
    return f"{seconds / 60:.1f}, {peak / 1e9:.2f}"


def counts(cells: list[dict[str, Any]], name: str, key: str) -> str:
    """A sentence: the verdicts on one file over all cells."""
    verdicts = [each[key]["verdict"] for each in cells if each[key]]
    shown = {word: verdicts.count(word) for word in ("pass", "inconclusive", "fail")}
    parts = ", ".join(f"{word} {count}" for word, count in shown.items())
    return f"- `{name}`: {parts}, of {len(verdicts)} files in {len(cells)} cells."


if __name__ == "__main__":
    main()
