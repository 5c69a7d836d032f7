"""A disk that is full or fails, planted at every write call of an export and a measurement.

Each time the command says so, what was there before is whole or replaced by what is whole, and
once there is room the same command does all of it.
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
from src.errors import LightshipError
from src.export import stage
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.models.network import NetworkSpec
from src.quantization.options import Int8Options
from src.report.stage import report_run
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files, os_errors
from tests.faults.failing_disk import failing_disk

SIDE, CLASSES = 32, ["cat", "dog"]
PREPROCESSING = {
    "image_size": SIDE,
    "resize": "squash",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bilinear",
    "crop_share": None,
    "scale": 1 / 255,
}
NUMBERS = pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "failing"])


def keep_checkpoint(run: Run, seed: int) -> Checkpoint:
    """A run's best checkpoint, of a network that has learnt nothing."""
    torch.manual_seed(seed)
    spec = NetworkSpec("squeezenet1_1", len(CLASSES))
    weights = {f"network.{name}": value for name, value in spec.build().state_dict().items()}
    ours = {"model": "squeezenet1_1", "network": spec.to_dict(), "class_names": CLASSES}
    run.best_checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": seed, "state_dict": weights, "lightship": ours}, run.best_checkpoint)
    return Checkpoint.read(run.best_checkpoint)


def unseen(*_: object) -> None:
    """Nobody looks at the progress."""


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


FORMATS = ["eager", "torchscript", "onnx_fp32", "onnx_int8_dynamic", "onnx_int8"]


def export(run: Run, names: list[str]) -> None:
    options = ExportOptions(formats=names, onnx_int8=Int8Options(search_seconds=0), again=True)
    manifest = stage.export_run(
        run, Checkpoint.read(run.best_checkpoint), images(8), None, PREPROCESSING, options, unseen
    )
    stage.require_success(manifest)


class Photos:
    """Data that a measurement is made on."""

    dataset_name = "photos"

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
    )  # fmt: skip
    require_success(measure(run, Photos(), options, unseen).rows, options)


def report(run: Run, _: list[str]) -> None:
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        report_run(run, Console(file=nowhere))


def broken(run: Run) -> list[str]:
    """What in a run's folder is neither what it was nor what it was to be."""
    found = [str(path) for path in run.folder.rglob(".*") if path.name != ".gitignore"]
    if run.manifest.is_file():
        for name, entry in run.read_manifest().formats.items():
            if entry.status == "ok":
                place = run.exports / name
                found += [
                    f"{name}/{file.path}"
                    for file in entry.files
                    if atomic_files.sha256(place / file.path) != file.sha256
                ]
    if run.benchmark.is_file():
        run.read_benchmark()
    if run.measurements.is_dir():
        for path in run.measurements.iterdir():
            Run(path.parent).folder.joinpath(path).read_text(encoding="utf-8")
    for page in run.folder.glob("*.png"):
        if not page.read_bytes().endswith(b"IEND\xaeB`\x82"):
            found.append(str(page))
    return found


def done(run: Run, names: list[str]) -> bool:
    """Whether a run has all that the command was to make, of its present checkpoint."""
    manifest = as_dict(run.read_manifest())
    entries = [manifest["formats"][name]["status"] for name in names]
    rows = [] if names else [row.status for row in run.read_benchmark().rows]
    same = manifest["checkpoint"]["sha256"] == atomic_files.sha256(run.best_checkpoint)
    return same and {*entries, *rows} <= {"ok", "skipped"}


def ends(command: Callable[[Run, list[str]], None], run: Run, names: list[str]) -> str | None:
    """How a command ends: None if well, else the line it says. Anything else is a defect."""
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
    """Let each write call of a command fail in turn, in a copy of a whole run each; how many."""
    run = Run(folder / "run")
    scratch = folder / "scratch"
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def fresh() -> None:
        for place in (run.folder, scratch):
            shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, run.folder)
        scratch.mkdir()
        if command is export:
            keep_checkpoint(run, 2)  # it was trained on, so that every file is another

    fresh()
    with failing_disk(folder) as disk:
        assert ends(command, run, names) is None
    count, passed_over = len(disk.calls), 0
    assert broken(run) == []
    for at in range(count):
        fresh()
        checkpoint = run.best_checkpoint.read_bytes()
        with failing_disk(folder, number, at) as disk:
            line = ends(command, run, names)
        where = f"write call {at} of {count}, {disk.calls[at]}"
        # Only what nothing depends on may be passed over, as making a folder that is there.
        assert line is not None or done(run, names), where
        passed_over += line is None and disk.failed
        assert line is None or "\n" not in line, where
        assert broken(run) == [], where
        assert run.best_checkpoint.read_bytes() == checkpoint, where
        assert list(scratch.iterdir()) == [], where
    with failing_disk(folder):
        assert ends(command, run, names) is None
    assert broken(run) == []
    print(f"{command.__name__}: {count} write calls, none lost, {passed_over} without consequence")
    return count


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was exported, measured and reported on."""
    run = Run(tmp_path_factory.mktemp("whole") / "version_0")
    run.folder.mkdir()
    run.config.write_text("model: {}\n")
    keep_checkpoint(run, 1)
    export(run, FORMATS)
    benchmark(run, [])
    report(run, [])
    return run.folder


@NUMBERS
@pytest.mark.faults
@pytest.mark.parametrize("names", [["eager", "onnx_fp32"], FORMATS], ids=["two", "all"])
def test_export(
    whole: Path, tmp_path: Path, number: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert break_everywhere(export, names, whole, tmp_path, number, monkeypatch) > 10


@NUMBERS
@pytest.mark.faults
def test_benchmark(
    whole: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert break_everywhere(benchmark, [], whole, tmp_path, number, monkeypatch) > 5


@NUMBERS
@pytest.mark.faults
@pytest.mark.filterwarnings(
    "ignore:Exception in thread"
)  # TensorBoard's: see src/system/log_filters.py
def test_report(whole: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert break_everywhere(report, [], whole, tmp_path, number, monkeypatch) > 50


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, pytest.param(errno.EIO, marks=pytest.mark.faults)]
)
def test_a_format_that_meets_a_failing_disk_leaves_the_old_file_and_fails_the_command(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "whole")
    keep_checkpoint(run, 1)
    export(run, ["eager"])
    calls = break_everywhere(export, ["eager"], run.folder, tmp_path / "again", number, monkeypatch)
    assert calls > 5
