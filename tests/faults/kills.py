"""Run that is killed at random moments and resumed each time."""

from __future__ import annotations

import os
import random
import selectors
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from src.run.folder import Run
from src.run.layout import as_dict
from tests.conftest import ROOT
from tests.faults.file_integrity import broken_files

TRAINING = (
    "model=resnet34",
    "data.image_size=32",
    "data.batch_size=32",
    "data.num_workers=1",
    "data.mixup=0.2",
    "trainer.max_epochs=8",
    "trainer.limit_train_batches=6",
    "trainer.limit_val_batches=2",
    "profiler=none",
    "export.preflight=false",
    "export.formats=[eager,torchscript,onnx_fp32]",
    "export.calibration_images=8",
    "export.judging_images=0",
    "benchmark.threads=1",
    "benchmark.batch_sizes=[1]",
    "benchmark.rounds=6",
    "benchmark.max_seconds=4",
    "benchmark.warmup_seconds=0.3",
)
# Text that a command prints when a phase begins, and the seconds in which to kill it.
PHASES = {
    "training": ("epoch ", 8.0),
    "export": ("exporting", 10.0),
    "benchmark": ("loading", 14.0),
}
_STARTS, _EARLY = "parameters,", 0.3
LIMIT_SECONDS = 900  # of a command; a minute on two quiet cores


@dataclass
class KillResults:
    """Results of a number of kills."""

    kills: Counter[str] = field(default_factory=Counter)  # by phase
    lost: list[str] = field(default_factory=list)  # checkpoints that existed before the kill
    half: list[str] = field(default_factory=list)  # incomplete files
    wrong: list[str] = field(default_factory=list)  # differences from a run that was never killed
    left: list[str] = field(default_factory=list)  # processes that outlived their parent


class Command:
    """Process of a command of this project in a folder."""

    def __init__(self, folder: Path, module: str, *argv: str) -> None:
        self.printed = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *argv],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._end = time.monotonic() + LIMIT_SECONDS

    def read_until(self, text: str | None, seconds: float | None = None) -> bool:
        """Read output until ``text``, for ``seconds`` or to the end; return True while it runs."""
        output = self._process.stdout
        assert output is not None
        end = self._end if seconds is None else time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while time.monotonic() < end:
                if text is not None and text in self.printed:
                    return True
                if selector.select(max(0.0, min(0.2, end - time.monotonic()))):
                    part = os.read(output.fileno(), 65536).decode(errors="replace")
                    if not part:
                        return False
                    self.printed += part
        if seconds is None:
            self.kill()
            pytest.fail(f"it takes more than {LIMIT_SECONDS} s:\n{self.printed}")
        return True

    def finish(self) -> str:
        self.read_until(None)
        code = self._process.wait(timeout=60)
        self._close()
        assert code == 0, self.printed
        return self.printed

    def kill(self) -> list[str]:
        """Kill the process; return its child processes that still run 15 s later."""
        children = _descendants(self._process.pid)
        self._process.kill()
        self._process.wait()
        self._close()
        end = time.monotonic() + 15  # a DataLoader worker checks its parent every 5 s
        while time.monotonic() < end:
            alive = [
                f"{pid} {name}"
                for pid, name in children.items()
                if name and _identity(pid) == name  # "" if it ended before the kill
            ]
            if not alive:
                return []
            time.sleep(0.1)
        return alive

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()


class KilledRun:
    """Run in a folder from its start to its end, with kills in between.

    Args:
        folder: folder to create.
        moments: random numbers that decide when to kill.
        results: results to add to.
    """

    def __init__(self, folder: Path, moments: random.Random, results: KillResults) -> None:
        folder.mkdir()
        self._folder = folder
        self._moments = moments
        self._results = results
        self.run = Run(folder / "lightning_logs" / "resnet34" / "version_0")

    def kill_in(self, phase: str) -> bool:
        """Start or resume, and kill within a phase; return False if the phase is already done."""
        command = self._start_or_resume(phase)
        begins, seconds = PHASES[phase]
        if phase == "training" and self._moments.random() < _EARLY:
            begins = _STARTS  # sometimes before the end of the first epoch
        if not command.read_until(begins):
            command.finish()
            return False
        if not command.read_until(None, self._moments.uniform(0, seconds)):
            command.finish()
            return False
        before = self._epoch()
        where = f"{phase} {sum(self._results.kills.values())}"
        self._results.left += [f"{where}: {name}" for name in command.kill()]
        self._results.kills[_last_phase(command.printed)] += 1
        self._results.half += [f"{where}: {name}" for name in broken_files(self._folder)]
        if self._epoch() < before:
            self._results.lost.append(f"{where}: epoch {before}")
        return True

    def finish(self, reference: Run | None = None) -> Run:
        """Run to the end; compare with a run that was never killed, if given."""
        self._start_or_resume("training").finish()
        self._results.half += broken_files(self._folder)
        if reference is not None:
            self._results.wrong += [
                f"{self._folder.name}: {difference}" for difference in self._differences(reference)
            ]
        return self.run

    def _start_or_resume(self, phase: str) -> Command:
        if not self.run.last_checkpoint.is_file():
            # A run that was killed before its first checkpoint starts again.
            for old in self.run.folder.parent.glob("version_*"):
                old.rename(self._folder / f"begun_{old.name}_{time.monotonic_ns()}")
            return Command(self._folder, "src.train", *TRAINING)
        # After the training, the stage's own command can do the rest too.
        use_stage = self._moments.random() < 0.5 and self._epoch() == _last_epoch()
        if phase == "export" and use_stage:
            return Command(self._folder, "src.export", str(self.run.folder))
        if phase == "benchmark" and use_stage and self.run.manifest.is_file():
            exported = self.run.read_manifest().formats
            if len(exported) == 3:
                return Command(self._folder, "src.benchmark", str(self.run.folder))
        return Command(self._folder, "src.train", *TRAINING, "ckpt_path=last")

    def _epoch(self) -> int:
        """Return the epoch of the last checkpoint; -1 if none can be read."""
        if not self.run.last_checkpoint.is_file():
            return -1
        try:
            return int(torch.load(self.run.last_checkpoint, weights_only=True)["epoch"])
        except Exception:
            return -1

    def _differences(self, reference: Run) -> list[str]:
        """Return the differences of the finished run from one that was never killed."""
        differences = []
        for name in ("best", "last"):
            actual, expected = (
                torch.load(run.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
                for run in (self.run, reference)
            )
            differences += [
                f"{name}.ckpt {part}"
                for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch")
                if not _equal(actual[part], expected[part])
            ]
        exported = self.run.read_manifest().formats
        for name, export in reference.read_manifest().formats.items():
            files = exported[name].files if name in exported else []
            if [file.sha256 for file in files] != [file.sha256 for file in export.files]:
                differences.append(f"exports/{name}")
        for row, expected_row in zip(
            as_dict(self.run.read_benchmark())["rows"],
            as_dict(reference.read_benchmark())["rows"],
            strict=True,
        ):
            differences += [
                f"benchmark.json {row['format']} {row['device']} {part}"
                for part in ("format", "device", "status", "accuracy", "sha256")
                if row[part] != expected_row[part]
            ]
        if not self.run.page.is_file():
            differences.append("report.html is missing")
        differences += [
            f"left behind: {path.relative_to(self.run.folder)}"
            for path in self.run.folder.rglob(".*")
        ]
        return differences


def _last_epoch() -> int:
    words = dict(word.split("=") for word in TRAINING)
    return int(words["trainer.max_epochs"]) - 1


def _last_phase(printed: str) -> str:
    reached = [phase for phase, (begins, _) in PHASES.items() if begins in printed]
    return reached[-1] if reached else "training"


def _equal(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other


def _descendants(pid: int) -> dict[int, str]:
    descendants = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            child = int(path.parent.name)
            descendants |= {child: _identity(child), **_descendants(child)}
    return descendants


def _identity(pid: int) -> str:
    """Return start time and command of a process, which identify it; "" if it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
    return "" if stat[0] == "Z" else f"{stat[19]} {command[:80]}"
