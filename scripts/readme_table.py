#!/usr/bin/env python3
"""Write the table of the networks into README.md, from runs on one machine at one commit.

scripts/readme_table.py                       trains every network of configs/model/, then writes
scripts/readme_table.py RUN RUN ...           reads finished runs, in this order
scripts/readme_table.py RUN --page -          prints the table

Without RUN, each network is trained with its defaults, exported and measured: about five minutes
each on two cores. Leave the machine alone meanwhile. --root stores the runs and finds them again.
The cells are those of each run's report.md. Runs of different machines, commits, packages or test
images are refused, because they cannot stand in one table.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import marked_page

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "README.md"
BEGIN = "<!-- made by scripts/readme_table.py: begin -->"
END = "<!-- made by scripts/readme_table.py: end -->"
TEXT_COLUMNS = {"network", "format", "verdict"}  # aligned to the left
# Parts of benchmark.json that all runs of the table share, by the name that an error gives them.
SHARED = {
    "processor": ("environment", "cpu"),
    "cores": ("environment", "usable_cores"),
    "threads": ("environment", "threads"),
    "packages": ("environment", "packages"),
    "commit": ("environment", "git_commit"),
    "test images": ("dataset", "sha256"),
    "image size": ("preprocessing", "image_size"),
    "baseline": ("baseline",),
}
Results = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="a finished run's folder")
    parser.add_argument("--root", type=Path, help="folder where trained runs are found again")
    parser.add_argument("--page", default=str(PAGE), help="file with the marks, or - to print")
    chosen = parser.parse_args()
    page = None if chosen.page == "-" else Path(chosen.page)
    if page:
        marked_page.require(page, BEGIN, END)
    with tempfile.TemporaryDirectory() as scratch:
        root = (chosen.root or Path(scratch)).resolve()
        runs = chosen.runs or [trained(model, root) for model in models()]
        lines = table(runs)
    if page is None:
        print("\n".join(lines))
        return
    marked_page.fill(page, BEGIN, END, lines)
    print(page)


def models() -> list[str]:
    """Return the names of all networks that there are."""
    return sorted(path.stem for path in (ROOT / "configs" / "model").glob("*.yaml"))


def trained(model: str, root: Path) -> Path:
    """Return the newest measured run of ``model`` below ``root``, or train one."""
    runs = measured_runs(model, root)
    if not runs:
        command = (sys.executable, "-m", "src.train", f"model={model}")
        subprocess.run([*command, f"trainer.default_root_dir={root}"], check=True)
        runs = measured_runs(model, root)
    if not runs:
        sys.exit(f"error: {model}: the training left no measured run in {root}")
    return max(runs, key=lambda run: int(run.name.removeprefix("version_")))


def measured_runs(model: str, root: Path) -> list[Path]:
    """Return the folders of the runs of ``model`` that have been measured."""
    numbered = (root / "lightning_logs" / model).glob("version_[0-9]*")
    return [folder for folder in numbered if (folder / "benchmark.json").is_file()]


def table(runs: Sequence[Path]) -> list[str]:
    """Return the lines of the table and of the note below it."""
    results = [json.loads(content_of(run, "benchmark.json")) for run in runs]
    refuse_a_mixture(runs, results)
    baseline = results[0]["baseline"]
    columns = (
        *("format", "size MB", "top-1 %", "delta points", "verdict"),
        *("batch 1 p50 ms", f"batch 1 times {baseline}", "batch 1 times fp32 there"),
    )
    heads = ("network", *columns)
    lines = [
        f"| {' | '.join(heads)} |",
        f"|{'|'.join('---' if head in TEXT_COLUMNS else '---:' for head in heads)}|",
    ]
    for run, result in zip(runs, results, strict=True):
        names = iter([f"`{result['model']}`"])
        for cells in report_rows(run):
            if missing := [name for name in columns if name not in cells]:
                sys.exit(
                    f"error: {run}/report.md: expected the columns {missing}; found {[*cells]}"
                )
            shown = [
                next(names, ""),
                f"`{cells['format']}`",
                *(cells[name] for name in columns[1:]),
            ]
            lines.append(f"| {' | '.join(shown)} |")
    return [*lines, "", *note(results)]


def refuse_a_mixture(runs: Sequence[Path], results: Sequence[Results]) -> None:
    """Exit with one line where two runs cannot stand in one table."""
    for name, path in SHARED.items():
        values = []
        for result in results:
            value: Any = result
            for key in path:
                value = value[key]
            values.append(value)
        for run, value in zip(runs, values, strict=True):
            if value != values[0]:
                sys.exit(
                    f"error: {run}: expected the same {name} as {runs[0]}, found {value} beside "
                    f"{values[0]}; measure them on one machine at one commit"
                )


def report_rows(run: Path) -> Iterator[dict[str, str]]:
    """Yield the CPU rows of the first table of ``report.md``, by the heads of its columns."""
    lines = content_of(run, "report.md").splitlines()
    start = next(
        (number for number, line in enumerate(lines) if line.startswith("| format ")), None
    )
    if start is None:
        sys.exit(
            f"error: {run}/report.md: expected a table; make it with python -m src.report {run}"
        )
    heads = cells_of(lines[start])
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        row = dict(zip(heads, cells_of(line), strict=True))
        if row.get("device", "cpu") == "cpu":
            yield row


def cells_of(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def note(results: Sequence[Results]) -> list[str]:
    """Return the lines that name the machine, the commit and the images."""
    first = results[0]
    environment, size = first["environment"], first["preprocessing"]["image_size"]
    versions = environment["packages"]
    packages = [f"{name} {versions[name]}" for name in ("torch", "onnxruntime") if name in versions]
    instructions = ", ".join(environment["isa"])
    sentences = (
        f"Measured {min(result['measured_at'] for result in results)[:10]} on {environment['cpu']} "
        f"({instructions}), {environment['threads']} threads, at commit "
        f"{(environment['git_commit'] or 'unknown')[:12]} with {', '.join(packages)}. "
        f"{first['dataset']['images']} test images of {first['dataset']['name']}, {size}x{size} "
        "pixels. Made by `scripts/readme_table.py`."
    )
    return textwrap.wrap(sentences, width=100, break_long_words=False, break_on_hyphens=False)


def content_of(run: Path, name: str) -> str:
    """Return the text of a file of the run, or exit with one line where there is none."""
    path = run / name
    if not path.is_file():
        sys.exit(f"error: {run}: expected a finished run with {name}, found none")
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
