"""The run folder: what is where, what it is called, and which one is the newest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src import files, unfinished
from src.errors import UsageError

LOG_FOLDER = "lightning_logs"
TRACE_SUFFIX = ".pt.trace.json.gz"  # by which TensorBoard's plugin finds traces


@dataclass(frozen=True)
class Run:
    """One training: ``lightning_logs/<model>/version_N``."""

    folder: Path

    @property
    def name(self) -> str:
        """The run as people call it: ``convnext_t/version_0``."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def command(self) -> Path:
        """The command that it was trained with, as it was typed."""
        return self.folder / "command.txt"

    @property
    def best_checkpoint(self) -> Path:
        return self.folder / "checkpoints" / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    @property
    def manifest(self) -> Path:
        return self.exports / "manifest.json"

    @property
    def benchmark(self) -> Path:
        return self.folder / "benchmark.json"

    @property
    def measurements(self) -> Path:
        """Every measurement there was, a file each, by machine and time."""
        return self.folder / "measurements"

    @property
    def profile(self) -> Path:
        """Traces of the training, and what they say."""
        return self.folder / "profile"

    @property
    def inference_traces(self) -> Path:
        """A trace of some calls of each exported file."""
        return self.profile / "inference"

    @property
    def flipped(self) -> Path:
        """Pictures of the test images that some row answers otherwise than the baseline."""
        return self.folder / "flipped"

    @property
    def report(self) -> Path:
        return self.folder / "report.md"

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """The run in ``folder``.

        Raises:
            UsageError: ``folder`` is not a run folder.
        """
        path = Path(folder).resolve()
        if not (path / "config.yaml").is_file():
            raise UsageError(
                "RUN",
                expected=f"a run folder such as {LOG_FOLDER}/resnet34/version_0",
                found=f"{folder} without a config.yaml",
                remedy="train one with python -m src.train",
            )
        return cls(path)

    def remove_unfinished(self) -> None:
        """Remove what a process that was killed had begun to write here."""
        unfinished.remove(self.folder)

    def require(self, file: Path, remedy: str) -> Path:
        """``file``, which an earlier stage wrote.

        Raises:
            UsageError: it is not there.
        """
        if not file.is_file():
            raise UsageError(
                "RUN",
                expected=f"{file.relative_to(self.folder)} in {self.folder}",
                found="no such file",
                remedy=remedy,
            )
        return file

    def read_command(self) -> str | None:
        """The command that it was trained with, as it was typed; None if that was not kept."""
        if not self.command.is_file():
            return None
        return self.command.read_text(encoding="utf-8").strip()

    def read_manifest(self) -> dict[str, Any]:
        """What was exported: see :mod:`src.export.manifest`."""
        return read_json(self.require(self.manifest, f"run python -m src.export {self.folder}"))

    def read_benchmark(self) -> dict[str, Any]:
        """Every measurement of this run: see :mod:`src.benchmark.results`."""
        return read_json(self.require(self.benchmark, f"run python -m src.benchmark {self.folder}"))

    def write_benchmark(self, results: dict[str, Any], machine: str) -> Path:
        """Keep a measurement: as the present one, and for good in a file of its own.

        Args:
            results: see ``docs/architecture.md`` for their schema.
            machine: where it was measured, as a word of a file's name.

        Returns:
            The file of its own, in ``measurements/``.
        """
        self.measurements.mkdir(exist_ok=True)
        stem = re.sub(r"[^a-z0-9]+", "-", f"{machine}_{results['measured_at'][:19]}".lower())
        number = 1
        while (
            file := self.measurements / f"{stem}{f'-{number}' if number > 1 else ''}.json"
        ).exists():
            number += 1
        files.write_json(file, results)
        files.write_json(self.benchmark, results)
        return file


def newest(root: Path, model: str, *, having: str) -> Run | None:
    """The newest run of ``model`` below ``root`` that has the file ``having``, if there is one."""
    versions = (
        (int(folder.name.removeprefix("version_")), folder)
        for folder in (root / LOG_FOLDER / model).glob("version_*")
        if folder.name.removeprefix("version_").isdecimal() and (folder / having).is_file()
    )
    found = max(versions, default=None)
    return Run(found[1].resolve()) if found else None


def create(root: Path, model: str) -> Run:
    """A new, empty run folder of ``model`` below ``root``, with the next free number.

    Two trainings that start at once get two folders: making a folder is atomic.

    Raises:
        UsageError: the folder cannot be made.
    """
    parent = root / LOG_FOLDER / model
    try:
        parent.mkdir(parents=True, exist_ok=True)
        taken = (folder.name.removeprefix("version_") for folder in parent.glob("version_*"))
        number = max((int(name) + 1 for name in taken if name.isdecimal()), default=0)
        while True:
            folder = parent / f"version_{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return Run(folder.resolve())
    except OSError as error:
        raise UsageError(
            "trainer.default_root_dir",
            expected="a folder that can be written",
            found=f"{parent} ({error.strerror})",
            remedy="make it writable or name another with trainer.default_root_dir=PATH",
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file that a stage wrote.

    Raises:
        UsageError: it is no such file, or of another schema version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(
            str(path),
            expected="a JSON file that Lightship wrote",
            found=str(error),
            remedy="run the stage that writes it again",
        ) from error
    if not isinstance(content, dict) or content.get("schema_version") != 1:
        raise UsageError(
            str(path),
            expected="schema_version 1",
            found=repr(content.get("schema_version") if isinstance(content, dict) else content),
            remedy="run the stage that writes it again",
        )
    return content
