"""The run folder: what is where, what it is called, and which one is the newest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from src import files, plain_yaml, unfinished
from src.errors import UsageError, one_line
from src.schema import Check, Wrong
from src.shapes.benchmark import BENCHMARK
from src.shapes.manifest import MANIFEST
from src.shapes.rounds import ROUNDS

LOG_FOLDER = "lightning_logs"
_MOST_SHOWN = 80  # characters of what was found
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
    def rounds(self) -> Path:
        """A measurement as it was taken, until ``benchmark.json`` is made from it."""
        return self.folder / "rounds.json"

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
        run = cls(path)
        for part in (run.exports, run.measurements, run.profile, run.flipped):
            _refuse_link(part)
        return run

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
        path = self.require(self.manifest, f"run python -m src.export {self.folder}")
        _refuse_link(self.exports)
        content = _read_json(path, MANIFEST)
        for name, entry in content["formats"].items():
            embedded = entry.get("embedded") or {"folder": name, "files": []}
            for folder, files_in in (
                (name, entry["files"]),
                (embedded["folder"], embedded["files"]),
            ):
                place = self.exports / folder
                for part in (place, *(place / file["path"] for file in files_in)):
                    _refuse_link(part)
        return content

    def read_config(self) -> dict[str, Any]:
        """The configuration that it was trained with, as plain values.

        Raises:
            UsageError: it is no YAML of plain values, or of more than a configuration has.
        """
        try:
            content = plain_yaml.load(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise _not_ours(self.config, "plain values in YAML", one_line(str(error))) from error
        if not isinstance(content, dict):
            found = repr(content)[:_MOST_SHOWN]
            raise _not_ours(self.config, "a configuration in YAML", found)
        return content

    def read_benchmark(self) -> dict[str, Any]:
        """Every measurement of this run: see :mod:`src.shapes.benchmark`."""
        remedy = f"run python -m src.benchmark {self.folder}"
        return read_results(self.require(self.benchmark, remedy))

    def read_rounds(self) -> dict[str, Any]:
        """A measurement of which the figures are not made yet: see :mod:`src.shapes.rounds`."""
        remedy = f"run python -m src.benchmark {self.folder}"
        _refuse_link(self.rounds)
        return _read_json(self.require(self.rounds, remedy), ROUNDS)

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


def read_results(path: Path) -> dict[str, Any]:
    """Measurements from a file that the benchmark stage wrote: see :mod:`src.shapes.benchmark`.

    Raises:
        UsageError: it is no such file, or of another schema version.
    """
    return _read_json(path, BENCHMARK)


def _read_json(path: Path, shape: Check) -> dict[str, Any]:
    """The content of a JSON file that a stage wrote, of which every value is what it should be."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, OSError, RecursionError) as error:
        raise _not_ours(path, "a JSON file that Lightship wrote", str(error)) from error
    if not isinstance(content, dict) or content.get("schema_version") != 1:
        found = content.get("schema_version") if isinstance(content, dict) else content
        raise _not_ours(path, "schema_version 1", repr(found)[:_MOST_SHOWN])
    try:
        shape(content, "")
    except Wrong as wrong:
        raise _not_ours(path, wrong.expected, wrong.found) from wrong
    return content


def _not_ours(path: Path, expected: str, found: str) -> UsageError:
    return UsageError(
        str(path), expected=expected, found=found, remedy="run the stage that writes it again"
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is not JSON")


def _refuse_link(path: Path) -> None:
    """Refuse a link within a run: a run of unknown origin would have files elsewhere written.

    Raises:
        UsageError: ``path`` is one.
    """
    if path.is_symlink():
        raise UsageError(
            "RUN",
            expected="files and folders of the run's own",
            found=f"{path}, a link to {path.readlink()}",
            remedy="copy what it leads to in its place",
        )
