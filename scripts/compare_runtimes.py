#!/usr/bin/env python3
"""Compare our files with those that each runtime's own quick start gives.

scripts/compare_runtimes.py [--models resnet34 ...] [--root FOLDER] [--seconds 240]
                            [--instruction-set avx512_vnni] [--twin] [--twin-minutes 20]

The four networks at 224 pixels, batch 1, all cores, trained on the digits so that accuracy is
real. All files of a network are timed in one run, taken in turn; speed-ups are over plain ONNX
Runtime in fp32, with 95 % intervals. An aim is held against the speed-up itself, not against an
end of its interval. A quick start is a format like any other, in scripts/quick_starts/; one whose
package is not installed is skipped with that reason.

With --instruction-set, newer instruction sets are hidden from all processes, so that files are
made, chosen and timed with the kernels for an older processor. Caches, clock and memory stay those
of this one.

With --twin, the int8 twin of each network is made as well, and its files are timed beside the
others: they compute another, distilled network. A twin that is finished is not made again.
--twin-minutes bounds the trainings of each twin; choosing and refitting its parts come besides.

All four networks take about an hour on two cores, 25 minutes of it to train; the twins take more.
Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from kept_runs import trained
from more_formats import plant

from src import formats
from src.benchmark.options import BenchmarkOptions
from src.benchmark.statistics.latency import rounds_of, speedup
from src.benchmark.statistics.verdict import keeps_budget
from src.benchmark.suite import measure
from src.data.restore import data_of
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.export.stage import export_run
from src.run import folder
from src.run.results import Results
from src.run.row import Row
from src.system import cpuid_mask, machine

QUICK_STARTS = Path(__file__).parent / "quick_starts"
PLAIN = "quick_onnx"
INT8 = "onnx_int8"
INT8_TWIN = "onnx_int8_twin"
OURS = (
    "torchscript", "torch_export", "onnx_fp32", INT8,
    "openvino_fp32", "openvino_bf16", "openvino_int8",
)  # fmt: skip
# Epochs at 224 pixels, and the speed-ups over plain ONNX Runtime that this project aims at on two
# cores with an int8 dot product: of its best file, and of onnx_int8 alone.
NETWORKS = {
    "resnet34": (4, 3.7, 3.0),
    "densenet121": (4, 2.8, 1.75),
    "efficientnet_b0": (5, 1.5, 1.0),
    "convnext_t": (4, 2.6, 2.1),
}
TWINS = ("onnx_fp32_twin", INT8_TWIN, "openvino_int8_twin")
# With twins: of the best file, and of onnx_int8_twin where there is one.
TWIN_AIMS = {
    "resnet34": (3.7, 3.0),
    "densenet121": (2.8, 1.75),
    "efficientnet_b0": (2.6, 2.2),
    "convnext_t": (3.4, 3.4),
}
MOST_DROP = 0.01  # of top-1: a file that loses more is no candidate


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--root", type=Path, help="where runs are kept and found again")
    parser.add_argument("--seconds", type=float, default=240, help="of timing, a network")
    parser.add_argument("--instruction-set", choices=cpuid_mask.INSTRUCTION_SETS)
    parser.add_argument("--twin", action="store_true", help="make and time the int8 twins as well")
    parser.add_argument("--twin-minutes", type=float, help="of training, a twin; default: no limit")
    chosen = parser.parse_args()
    if chosen.twin_minutes is not None and not chosen.twin:
        parser.error("--twin-minutes: expected with --twin; leave it out, or add --twin")
    if chosen.instruction_set and machine.MASK_VARIABLE not in os.environ:
        try:
            hiding = cpuid_mask.hiding(chosen.instruction_set)
        except cpuid_mask.CannotHideError as error:
            parser.error(f"--instruction-set {chosen.instruction_set}: {error}")
        command = [sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, **hiding}, check=False).returncode)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        plant(QUICK_STARTS, scratch)
        summary = ["| network | file | speed-up | at least | |", "|---|---|---:|---:|---|"]
        met = True
        for model in chosen.models:
            run = trained(model, training(model), chosen.root or scratch, "checkpoints/best.ckpt")
            if chosen.twin:
                limit = [f"max_minutes={chosen.twin_minutes}"] if chosen.twin_minutes else []
                command = [sys.executable, "-m", "src.twin", str(run.folder), *limit]
                subprocess.run(command, check=True)
            results = compare(run, chosen.seconds, TWINS if chosen.twin else ())
            print(f"\n### {model}\n\n" + "\n".join(table(results)), flush=True)
            for line, good in verdicts(model, results, with_twin=chosen.twin):
                summary.append(line)
                met &= good
    environment = results.environment
    isa = ", ".join(environment.isa)
    print(f"\n{environment.cpu} ({isa}), {environment.threads} threads")
    print(f"{environment.packages}\n")
    print("\n".join(summary))
    sys.exit(0 if met else 1)


def training(model: str) -> list[str]:
    """The command line by which a network is trained."""
    return [
        *("data.image_size=224", "data.batch_size=32", f"trainer.max_epochs={NETWORKS[model][0]}"),
        *("export.enabled=false", "benchmark.enabled=false"),
    ]


def compare(run: folder.Run, seconds: float, twins: Sequence[str] = ()) -> Results:
    """Export in every way and measure side by side."""
    data = data_of(run)
    quick = sorted(each.stem for each in QUICK_STARTS.glob("quick_*.py"))
    ours = [name for name in (*OURS, *twins) if name in formats.names()]
    options = ExportOptions(formats=[*quick, *ours], max_accuracy_drop=MOST_DROP)
    export_run(run, Checkpoint.read(run.best_checkpoint), data, options, _say)
    timing = BenchmarkOptions(
        batch_sizes=[1], baseline=PLAIN, max_seconds=seconds, processes=8, rounds=1000,
        max_accuracy_drop=MOST_DROP, memory=False, pipeline=False,
    )  # fmt: skip
    results = measure(run, data, timing, _say)
    # An earlier call may have left further files in the run, such as those of a twin.
    asked_for = {*quick, *ours}
    rows = [row for row in results.rows if row.device == "cpu" and row.format in asked_for]
    return msgspec.structs.replace(results, rows=rows)


def table(results: Results) -> list[str]:
    """Every file, the fastest first."""
    lines = [
        "| file | from | times plain ONNX Runtime | p50 ms | top-1 delta, points | size MB |",
        "|---|---|---:|---:|---:|---:|",
    ]
    done = [row for row in results.rows if row.is_ok]
    for row in sorted(done, key=lambda row: row.latency[0].p50_s):
        cell = row.latency[0]
        gain, paired = cell.speedup, row.accuracy.paired if row.accuracy else None
        times = f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]" if gain else "1"
        delta = f"{100 * paired.delta_top1:+.2f}" if paired else "-"
        lines.append(
            f"| `{row.format}` | {'quick start' if is_quick(row) else 'Lightship'} | {times} | "
            f"{cell.p50_s * 1e3:.2f}{' ~' + cell.unstable[0] if cell.unstable else ''} | "
            f"{delta} | {(row.size_bytes or 0) / 1e6:.1f} |"
        )
    lines += [
        f"\n`{row.format}`: {row.status} ({row.reason})" for row in results.rows if not row.is_ok
    ]
    return lines


def verdicts(model: str, results: Results, *, with_twin: bool) -> list[tuple[str, bool]]:
    """Each aim, what was found, and whether it is met."""
    _, best_aim, int8_aim = NETWORKS[model]
    best_twin_aim, twin_aim = TWIN_AIMS[model]
    rows = {row.format: row for row in results.rows if row.is_ok}
    ours = best([row for row in rows.values() if not is_quick(row)])
    theirs = best([row for row in rows.values() if is_quick(row)])
    found = []
    aims = [
        (f"best file: `{ours.format}`", ours, best_twin_aim if with_twin else best_aim),
        (f"`{INT8}`", rows.get(INT8), int8_aim),
    ]
    if INT8_TWIN in rows:  # none is made where nothing is gained
        aims.append((f"`{INT8_TWIN}`", rows[INT8_TWIN], twin_aim))
    for what, row, aim in aims:
        gain = row.latency[0].speedup if row and within(row) else None
        value = gain.value if gain else 0.0
        found.append(_line(model, what, f"{value:.2f}", f"{aim:g}", value >= aim))
    ratio = speedup(rounds_of(theirs.latency[0]), rounds_of(ours.latency[0]))
    if ratio is not None:
        shown = f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
        what = f"`{ours.format}` over the best quick start, `{theirs.format}`"
        # Slower is what the interval shows to be slower.
        found.append(_line(model, what, shown, "not slower", ratio.high >= 1))
    return found


def best(rows: list[Row]) -> Row:
    """The fastest of those that keep the accuracy."""
    return min((row for row in rows if within(row)), key=lambda row: row.latency[0].p50_s)


def within(row: Row) -> bool:
    """Return whether the test images show a loss of at most a point of top-1."""
    return keeps_budget(row, PLAIN)


def is_quick(row: Row) -> bool:
    """Whether it is one of the quick starts."""
    return row.format.startswith("quick_")


def _line(model: str, what: str, found: str, aim: str, met: bool) -> tuple[str, bool]:
    return f"| {model} | {what} | {found} | {aim} | {'met' if met else 'MISSED'} |", met


def _say(stage: str, what: str = "", done: int = 0, total: int = 0) -> None:
    """Progress, a line for each format and stage, on standard error."""
    if stage in {"exporting", "loading"} or done == 0:
        print(f"{stage}: {what} ({done + 1} of {total})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
