"""A full or failing disk at every write call of an export, a measurement and a report.

Each time the command reports the error, every file is the complete old or the complete new one, and
with free space the same command then succeeds.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure, require_success
from src.data.preprocessing import Preprocessing
from src.errors import LightshipError
from src.export import stage
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.formats.onnx_int8 import OnnxInt8Options
from src.models.network import NetworkSpec
from src.report.stage import report_run
from src.run.folder import Run
from src.system import atomic_files, os_errors
from tests.export.drawn_images import DrawnImages
from tests.support.failing_disk import failing_disk

SIDE, CLASSES = 32, ["cat", "dog"]
DATA = DrawnImages(Preprocessing(SIDE, "squash", (0.5,) * 3, (0.25,) * 3), 8, CLASSES)
NUMBERS = pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "failing"])


def write_checkpoint(run: Run, seed: int) -> Checkpoint:
    """Write a run's best checkpoint, of an untrained network, and read it."""
    torch.manual_seed(seed)
    spec = NetworkSpec("squeezenet1_1", len(CLASSES))
    weights = {f"network.{name}": value for name, value in spec.build().state_dict().items()}
    description = {"model": "squeezenet1_1", "network": spec.to_dict(), "class_names": CLASSES}
    run.best_checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {"epoch": seed, "state_dict": weights, "lightship": description}, run.best_checkpoint
    )
    return Checkpoint.read(run.best_checkpoint)


def no_progress(*_: object) -> None:
    """Progress callback that shows nothing."""


FORMATS = ["eager", "torchscript", "onnx_fp32", "onnx_int8_dynamic", "onnx_int8"]


def export(run: Run, names: list[str]) -> None:
    options = ExportOptions(formats=names, onnx_int8=OnnxInt8Options(search_seconds=0), again=True)
    manifest = stage.export_run(
        run, Checkpoint.read(run.best_checkpoint), DATA, options, no_progress
    )
    stage.require_success(manifest, names)


class Photos:
    """Data set of random images for the measurement."""

    dataset_name = "photos"
    class_names = CLASSES

    def count(self, split: str) -> int:
        return 8

    def batches(self, split: str, batch_size: int = 64) -> Any:
        pixels = np.random.default_rng(len(split)).normal(size=(8, 3, SIDE, SIDE))
        yield pixels.astype(np.float32), np.arange(8) % 2

    def sha256(self, split: str) -> str:
        return split


def benchmark(run: Run, _: list[str]) -> None:
    options = BenchmarkOptions(
        batch_sizes=[1], rounds=1, samples=2, turn_seconds=0.01, max_seconds=0.01,
        warmup_seconds=0.01, threads=1, baseline="onnx_fp32", strict=True, again=True,
        pipeline=False,
    )  # fmt: skip
    require_success(measure(run, Photos(), options, no_progress).rows, options)


def report(run: Run, _: list[str]) -> None:
    with Path("/dev/null").open("w", encoding="utf-8") as null:
        report_run(run, Console(file=null))


def broken_files(run: Run) -> list[str]:
    """Return the files of a run folder that are temporary, incomplete or not as in the manifest."""
    problems = [str(path) for path in run.folder.rglob(".*") if path.name != ".gitignore"]
    if run.manifest.is_file():
        for name, entry in run.read_manifest().formats.items():
            if entry.status == "ok":
                exported = run.exports / name
                problems += [
                    f"{name}/{file.path}"
                    for file in entry.files
                    if atomic_files.sha256(exported / file.path) != file.sha256
                ]
    if run.benchmark.is_file():
        run.read_benchmark()
    if run.measurements.is_dir():
        for path in run.measurements.iterdir():
            Run(path.parent).folder.joinpath(path).read_text(encoding="utf-8")
    for page in run.folder.glob("*.png"):
        if not page.read_bytes().endswith(b"IEND\xaeB`\x82"):
            problems.append(str(page))
    return problems


def is_done(run: Run, names: list[str]) -> bool:
    """Return True if every export and row of the current checkpoint is ok or skipped."""
    manifest = run.read_manifest()
    entries = [manifest.formats[name].status for name in names]
    rows = [] if names else [row.status for row in run.read_benchmark().rows]
    is_current = manifest.checkpoint.sha256 == atomic_files.sha256(run.best_checkpoint)
    return is_current and {*entries, *rows} <= {"ok", "skipped"}


def error_of(command: Callable[[Run, list[str]], None], run: Run, names: list[str]) -> str | None:
    """Run a command; return its one-line error, or None. Raise any unexplained exception."""
    try:
        command(run, names)
    except LightshipError as error:
        return str(error)
    except Exception as error:
        line = os_errors.explain(error)
        if line is None:
            raise
        return line
    return None


def break_everywhere(
    command: Callable[[Run, list[str]], None],
    names: list[str],
    whole: Path,
    folder: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> int:
    """Let each write call of a command fail in turn, in a copy of the run; return their number."""
    run = Run(folder / "run")
    scratch = folder / "scratch"
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def reset() -> None:
        for place in (run.folder, scratch):
            shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, run.folder)
        scratch.mkdir()
        if command is export:
            write_checkpoint(run, 2)  # other weights, so that every exported file changes

    reset()
    with failing_disk(folder) as disk:
        assert error_of(command, run, names) is None
    count, ignored = len(disk.calls), 0
    assert broken_files(run) == []
    for at in range(count):
        reset()
        checkpoint = run.best_checkpoint.read_bytes()
        with failing_disk(folder, number, at) as disk:
            line = error_of(command, run, names)
        where = f"write call {at} of {count}, {disk.calls[at]}"
        # A failed call may be ignored only if nothing depends on it, as making an existing folder.
        assert line is not None or is_done(run, names), where
        ignored += line is None and disk.failed
        assert line is None or "\n" not in line, where
        assert broken_files(run) == [], where
        assert run.best_checkpoint.read_bytes() == checkpoint, where
        assert list(scratch.iterdir()) == [], where
    with failing_disk(folder):
        assert error_of(command, run, names) is None
    assert broken_files(run) == []
    print(f"{command.__name__}: {count} write calls, none lost, {ignored} without consequence")
    return count


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was exported, measured and reported."""
    run = Run(tmp_path_factory.mktemp("whole") / "version_0")
    run.folder.mkdir()
    run.config.write_text("model: {}\n")
    write_checkpoint(run, 1)
    export(run, FORMATS)
    benchmark(run, [])
    report(run, [])
    return run.folder


@NUMBERS
@pytest.mark.faults
@pytest.mark.parametrize("names", [["eager", "onnx_fp32"], FORMATS], ids=["two", "all"])
def test_export_survives_a_disk_that_fails_at_any_write(
    whole: Path, tmp_path: Path, number: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert break_everywhere(export, names, whole, tmp_path, number, monkeypatch) > 10


@NUMBERS
@pytest.mark.faults
def test_benchmark_survives_a_disk_that_fails_at_any_write(
    whole: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert break_everywhere(benchmark, [], whole, tmp_path, number, monkeypatch) > 5


@NUMBERS
@pytest.mark.faults
@pytest.mark.filterwarnings("ignore:Exception in thread")  # TensorBoard: see log_filters.py
def test_report_survives_a_disk_that_fails_at_any_write(
    whole: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert break_everywhere(report, [], whole, tmp_path, number, monkeypatch) > 50


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, pytest.param(errno.EIO, marks=pytest.mark.faults)]
)
def test_an_export_to_a_failing_disk_keeps_the_old_file_and_fails(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "whole")
    write_checkpoint(run, 1)
    export(run, ["eager"])
    calls = break_everywhere(export, ["eager"], run.folder, tmp_path / "again", number, monkeypatch)
    assert calls > 5
