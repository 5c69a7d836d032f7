#!/usr/bin/env python3
"""Test the benchmark itself on a finished run: can its figures be believed?

scripts/audit_benchmark.py RUN [--only aa,pipeline,load,independent,crash]
    [--files eager,onnx_fp32] [--sessions 20] [--simulated 100] [--keep FILE]

- aa: the same file under two names, in sessions of the default preset and in further ones that are
  put together from their processes; beside onnx_fp32 a planted slow-down of 5 %.
- pipeline: the same for the time from an image file to its label: a file and a decoder under two
  names, and a planted decoder that takes 5 % of the whole longer.
- load: a planted load on one core.
- independent: a bare timing loop in a fresh process, in turn with the benchmark's.
- crash: formats that crash, hang and eat memory.

It measures a copy of the run's exports, prints a table, and exits with 1 on a miss. All parts take
up to 110 minutes; each says beforehand how long it may take. Leave the machine alone meanwhile.
With --keep, sessions of A/A are stored as they are made and not made again, so it can be stopped.
They are of one run, machine, commit and set of options: others are refused.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import audit_pipeline
import numpy as np
from argument_types import names_among, positive
from audit_coverage import Check, Sessions, cells_of, found, held, shown
from bare_loops import BARE_EAGER, BARE_ONNX
from more_formats import plant

from src.benchmark.environment.description import describe
from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure
from src.data.restore import data_of
from src.run.folder import Run
from src.run.layout import as_dict

PLANTED = Path(__file__).parent / "planted_formats"
DEFAULT = BenchmarkOptions(memory=False, pipeline=False)
PARTS = ("aa", "pipeline", "load", "independent", "crash")
SESSIONS = 20  # of A/A, at two batch sizes each
SIMULATED = 100
# By file: its other names. "slower" takes 5 % longer.
TWINS = {"eager": ("eager_again",), "onnx_fp32": ("again", "slower")}
MOST_SECONDS_BESIDE = 25  # what loading, checking and scoring two or three rows takes, about
ALTERNATIONS = 4
BARE_ALTERNATIONS = 8  # a process of torch's is a quarter slower now and then, ours and theirs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a finished run's folder")
    parser.add_argument(
        "--only", type=names_among(PARTS), default=",".join(PARTS), help="parts, in order"
    )
    parser.add_argument("--files", type=names_among(TWINS), default=",".join(TWINS), help="of A/A")
    parser.add_argument("--sessions", type=positive, default=SESSIONS, help="of A/A, for each file")
    parser.add_argument(
        "--simulated", type=positive, default=SIMULATED, help="measurements, likewise"
    )
    parser.add_argument("--keep", type=Path, help="a file of A/A's sessions, to go on from")
    chosen = parser.parse_args()
    files = chosen.files
    session = DEFAULT.max_seconds + MOST_SECONDS_BESIDE
    # A part, and the seconds that it takes at most on two cores.
    parts: dict[str, tuple[Callable[[Audit], Iterator[Check]], float]] = {
        "aa": (
            lambda audit: audit.same_and_slower(files, chosen.sessions, chosen.simulated),
            session * len(files) * chosen.sessions,
        ),
        "pipeline": (
            lambda audit: audit_pipeline.same_and_slower(
                audit.measure, audit.sessions, chosen.sessions, chosen.simulated
            ),
            audit_pipeline.SESSION_SECONDS * chosen.sessions,
        ),
        "load": (Audit.load, 2 * session * ALTERNATIONS),
        "independent": (Audit.independent, (10 + MOST_SECONDS_BESIDE + 15) * BARE_ALTERNATIONS),
        "crash": (Audit.crash, 60),
    }
    met = True
    with tempfile.TemporaryDirectory() as folder:
        run = Run.open(chosen.run)
        audit = Audit(run, Path(folder), Sessions(chosen.keep, circumstances(run)))
        lines = ["| planted | demanded | found | |", "|---|---|---|---|"]
        for name in chosen.only:
            print(f"{name}: up to {parts[name][1] / 60:.0f} minutes", flush=True)
        for name in chosen.only:
            started = time.monotonic()
            for planted, demand, found, good in parts[name][0](audit):
                lines.append(f"| {planted} | {demand} | {found} | {'met' if good else 'MISSED'} |")
                print(lines[-1], flush=True)
                met &= good
            print(f"{name}: took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    if environment := audit.environment:
        print(f"\n{environment['cpu']}, {environment['threads']} threads")
        print(f"{environment['packages']}\n")
    print("\n".join(lines))
    sys.exit(0 if met else 1)


def circumstances(run: Run) -> dict[str, Any]:
    """All that the figures of A/A depend on."""
    environment = as_dict(describe(DEFAULT.effective_threads).lasting)
    return {
        "run": as_dict(run.read_manifest())["checkpoint"]["sha256"],
        "commit": environment.pop("git_commit"),
        "machine": environment,
        "options": [asdict(options) for options in (DEFAULT, audit_pipeline.OPTIONS)],
    }


class Audit:
    """One run's exports, copied, with formats planted beside them."""

    def __init__(self, run: Run, scratch: Path, sessions: Sessions) -> None:
        self.sessions = sessions
        self._original = run
        self._data = data_of(run)
        self._scratch = scratch
        self._images = scratch / "image.npy"
        images, _ = next(self._data.batches("val", batch_size=1))
        np.save(self._images, images)
        self.environment: dict[str, Any] = {}
        plant(PLANTED, scratch)

    def measure(self, names: dict[str, str], options: BenchmarkOptions) -> dict[str, Any]:
        """Rows by name, of formats whose files are those of another: ``{name: whose files}``."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch)) / "version_0"
        run = Run(folder)
        run.exports.mkdir(parents=True)
        shutil.copy(self._original.exports / "probe.npz", run.exports)
        manifest = as_dict(self._original.read_manifest())
        entries = manifest["formats"]
        for name, whose in names.items():
            shutil.copytree(self._original.exports / whose, run.exports / name)
        manifest["formats"] = {name: entries[whose] for name, whose in names.items()}
        run.manifest.write_text(json.dumps(manifest), encoding="utf-8")
        results = as_dict(measure(run, self._data, options, lambda *_: None))
        self.environment = results["environment"]
        shutil.rmtree(folder.parent)
        return {row["format"]: row for row in results["rows"] if row["device"] == "cpu"}

    def same_and_slower(
        self, files: Sequence[str], sessions: int, simulations: int
    ) -> Iterator[Check]:
        """Each file under another name; and beside one of them what takes 5 % longer."""
        for name in files:
            twin, *slower = TWINS[name]
            names = dict.fromkeys((name, *TWINS[name]), name)
            while len(self.sessions.of(name)) < sessions:
                rows = self.measure(names, replace(DEFAULT, baseline=name))
                self.sessions.add(name, {each: cells_of(rows[each]) for each in names})
                print(f"A/A {name} {len(self.sessions.of(name))}/{sessions}", flush=True)
                for each in TWINS[name]:
                    print(f"  {each}:", shown([cell["speedup"] for cell in rows[each]["latency"]]))
            measured = self.sessions.of(name)[:sessions]
            for position, size in enumerate(DEFAULT.batch_sizes):
                cells = [(each[name][position], each[twin][position]) for each in measured]
                yield from held(f"{name} under two names, batch {size}", cells, simulations)
                for other in slower:
                    gains = [each[other][position]["speedup"] for each in measured]
                    yield found(f"{name} that takes 5 % longer, batch {size}", gains)

    def load(self) -> Iterator[Check]:
        """Another process that keeps one core busy."""
        names = {"onnx_fp32": "onnx_fp32", "onnx_int8": "onnx_int8"}
        options = replace(DEFAULT, baseline="onnx_fp32", batch_sizes=[1])
        quiet, loaded, marked = [], [], 0
        for number in range(ALTERNATIONS):
            quiet.append(_ratio(self.measure(names, options)))
            with _busy_core():
                rows = self.measure(names, options)
            loaded.append(_ratio(rows))
            marked += all("busy" in row["latency"][0]["unstable"] for row in rows.values())
            print(f"load {number + 1}: {quiet[-1]:.3f} quiet, {loaded[-1]:.3f} loaded", flush=True)
        moved = statistics.median(loaded) / statistics.median(quiet) - 1
        yield (
            "another process on one core", "onnx_int8 to onnx_fp32 moves by less than 10 %",
            f"{moved:+.1%} ({statistics.median(quiet):.2f} quiet, "
            f"{statistics.median(loaded):.2f} loaded, medians of {ALTERNATIONS})",
            abs(moved) < 0.1,  # noqa: PLR2004
        )  # fmt: skip
        yield (
            "another process on one core", "the rows are marked as disturbed",
            f"in {marked} of {ALTERNATIONS}", marked == ALTERNATIONS,
        )  # fmt: skip

    def independent(self) -> Iterator[Check]:
        """A bare loop around the same file, in a fresh process, in turn with ours."""
        names = {"eager": "eager", "onnx_fp32": "onnx_fp32"}
        bare = {
            "eager": (BARE_EAGER, self._original.exports / "eager"),
            "onnx_fp32": (BARE_ONNX, self._original.exports / "onnx_fp32" / "model.onnx"),
        }
        ratios: dict[str, list[float]] = {name: [] for name in names}
        for number in range(BARE_ALTERNATIONS):
            rows = self.measure(
                names, replace(DEFAULT, batch_sizes=[1], processes=1, rounds=30, max_seconds=10)
            )
            for name, (program, path) in bare.items():
                theirs = self._bare(program, path)
                ratios[name].append(rows[name]["latency"][0]["p50_s"] / theirs)
            print(f"independent {number + 1}:", {k: f"{v[-1]:.3f}" for k, v in ratios.items()})
        for name, each in ratios.items():
            middle = statistics.median(each)
            yield (
                f"a bare loop, {name}", "p50 within 5 %",
                f"{middle - 1:+.1%} (from {min(each) - 1:+.1%} to {max(each) - 1:+.1%})",
                abs(middle - 1) <= 0.05,  # noqa: PLR2004
            )  # fmt: skip

    def crash(self) -> Iterator[Check]:
        """Formats that abort, never return, or eat memory."""
        broken = {"aborting": "SIGABRT", "endless": "within 10 s", "eating": "GB resident"}
        names = dict.fromkeys(("onnx_fp32", *broken), "onnx_fp32")
        options = replace(
            DEFAULT, baseline="onnx_fp32", max_seconds=5, timeout_seconds=10,
            max_memory_bytes=4 * 10**9,
        )  # fmt: skip
        rows = self.measure(names, options)
        for name, cause in broken.items():
            row = rows[name]
            yield (
                f"a format: {name}", "failed with its cause", f"{row['status']}: {row['reason']}",
                row["status"] == "failed" and cause in row["reason"],
            )  # fmt: skip
        left = _workers()
        yield (
            "all three", "the other row complete, no process left behind",
            f"{rows['onnx_fp32']['status']}, {len(left)} left",
            rows["onnx_fp32"]["status"] == "ok" and not left,
        )  # fmt: skip

    def _bare(self, program: str, path: Path) -> float:
        threads = str(DEFAULT.effective_threads)
        answer = subprocess.run(
            [sys.executable, "-c", program, str(path), str(self._images), threads],
            capture_output=True, text=True, check=True, cwd="/",
            env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": ""},
        )  # fmt: skip
        return float(json.loads(answer.stdout))


def _ratio(rows: dict[str, Any]) -> float:
    return float(rows["onnx_int8"]["latency"][0]["speedup"]["value"])


def _spin() -> None:
    while True:
        pass


@contextmanager
def _busy_core() -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _workers() -> list[str]:
    commands = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            commands.append((folder / "cmdline").read_bytes().decode())
        except OSError:
            continue  # it ended in the meantime
    return [command for command in commands if "src.worker.server" in command]


if __name__ == "__main__":
    main()
