"""The run folder: reads and writes its records, creates new runs and finds existing ones."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from src.errors import UsageError, one_line, printable
from src.run import manifest, reading, results, rounds, serve_test, training_profile
from src.run.layout import as_dict
from src.run.manifest import Manifest
from src.run.paths import CHECKPOINTS, LAST, RunPaths
from src.run.results import Results
from src.run.rounds import Rounds
from src.run.serve_test import ServeTest
from src.run.training_profile import TrainingProfile
from src.system import atomic_files, partial_files, safe_yaml
from src.system.paths import user_path

__all__ = ["LAST", "LOG_FOLDER", "TRACE_SUFFIX", "Run"]

LOG_FOLDER = "lightning_logs"
_MOST_SHOWN = 80  # characters of an invalid value in a message
TRACE_SUFFIX = ".pt.trace.json.gz"  # TensorBoard's plugin finds traces by it


@dataclass(frozen=True)
class Run(RunPaths):
    """One training: ``lightning_logs/<model>/version_N``.

    Args:
        data_paths: options of its data set, ``root`` or ``file``, that lies elsewhere now.
    """

    data_paths: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Return the run in ``folder``.

        Raises:
            UsageError: ``folder`` is not a run folder.
        """
        run = cls.of(user_path(folder, "RUN"))
        if not run.config.is_file():
            raise UsageError(
                "RUN",
                expected=f"a run folder such as {LOG_FOLDER}/resnet34/version_0",
                found=f"{folder} without a config.yaml",
                remedy="train one with python -m src.train",
            )
        _require_utf8(run.folder, "RUN", "move the run, or rename the folder that it is in")
        return run

    @classmethod
    def of(cls, folder: str | Path) -> Run:
        """Return the run in ``folder``, which may have no configuration yet.

        Raises:
            UsageError: a link in the folder leads out of it.
        """
        run = cls(Path(folder).resolve())
        run.require_own_files()
        return run

    def remove_unfinished(self) -> None:
        """Remove the partial files of killed processes.

        Only the folders that the stages write to are searched.
        """
        subfolders = (self.best_checkpoint.parent, self.exports, self.measurements, self.flipped)
        written = [self.folder, *subfolders, self.profile, self.inference_traces, self.versions]
        written.append(self.twin)
        if self.exports.is_dir():
            written += sorted(self.exports.iterdir())
        for folder in written:
            if not folder.is_symlink():
                partial_files.remove(folder)

    def require(self, file: Path, remedy: str) -> Path:
        """Return ``file``, which an earlier stage must have written.

        Raises:
            UsageError: it is missing.
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
        """Return the training command as it was typed; None if it was not stored."""
        if not self.command.is_file():
            return None
        return self.command.read_text(encoding="utf-8", errors="replace").strip()

    def read_manifest(self) -> Manifest:
        """Read the manifest of the exports. The record has the run's present name.

        Raises:
            UsageError: nothing was exported, or the file is not as the export stage writes it.
        """
        path = self.require(self.manifest, f"run python -m src.export {self.quoted}")
        # Callers also open files of the run that the manifest does not list.
        self.require_own_files()
        record = reading.read(path, Manifest, manifest.VERSIONS)
        return msgspec.structs.replace(record, run=self.name)

    def write_manifest(self, record: Manifest) -> None:
        """Write the manifest of the exports.

        Raises:
            InvalidValueError: a value is not as readers expect; nothing is written.
        """
        reading.require_readable(record)
        atomic_files.write_json(self.manifest, as_dict(record))

    def read_config(self) -> dict[str, Any]:
        """Return the training configuration as plain values.

        Raises:
            UsageError: the file is not YAML of plain values, or is larger than a configuration.
        """
        try:
            content = safe_yaml.load(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise reading.invalid_file(
                self.config, "plain values in YAML", one_line(str(error))
            ) from error
        if not isinstance(content, dict):
            shown = repr(content)[:_MOST_SHOWN]
            raise reading.invalid_file(self.config, "a configuration in YAML", shown)
        return content

    def read_benchmark(self) -> Results:
        """Read the measurement. The record has the run's present name.

        Raises:
            UsageError: nothing was measured, or the file is not as the benchmark stage writes it.
        """
        remedy = f"run python -m src.benchmark {self.quoted}"
        record = read_results(self.require(self.benchmark, remedy))
        return msgspec.structs.replace(record, run=self.name)

    def read_rounds(self, file: Path | None = None) -> Rounds:
        """Read a raw measurement without figures: ``file``, by default the latest.

        Raises:
            UsageError: there is none, or the file is not as the benchmark stage writes it.
        """
        remedy = f"run python -m src.benchmark {self.quoted}"
        return reading.read(self.require(file or self.rounds, remedy), Rounds, rounds.VERSIONS)

    def write_rounds(self, record: Rounds) -> None:
        """Write a raw measurement whose figures are not computed yet."""
        text = json.dumps(as_dict(record), allow_nan=False) + "\n"
        atomic_files.write_text(self.rounds, text)

    def read_serve_test(self) -> ServeTest | None:
        """Return the measurement of a file under load; None if there is none.

        Raises:
            UsageError: the file is not as ``src.serve_test`` writes it.
        """
        path = self.serve_test
        return reading.read(path, ServeTest, serve_test.VERSIONS) if path.is_file() else None

    def write_benchmark(self, record: Results, machine: str) -> Path:
        """Write a measurement as the latest one, and permanently as a separate file.

        Args:
            record: the measurement.
            machine: name of the machine, for the file name.

        Returns:
            The separate file in ``measurements/``.

        Raises:
            InvalidValueError: a value is not as readers expect; nothing is written.
        """
        reading.require_readable(record)
        content = as_dict(record)
        self.measurements.mkdir(exist_ok=True)
        stem = re.sub(r"[^a-z0-9]+", "-", f"{machine}_{record.measured_at[:19]}".lower())
        number = 1
        while (
            file := self.measurements / f"{stem}{f'-{number}' if number > 1 else ''}.json"
        ).exists():
            number += 1
        atomic_files.write_json(file, content)
        atomic_files.write_json(self.benchmark, content)
        return file


def newest(root: Path, model: str, *, having: str) -> Run | None:
    """Return the newest run of ``model`` below ``root`` that has the file ``having``, or None.

    This is the run with the highest number. Renamed runs have no number. If only these have the
    file, the run with the newest file is returned.
    """
    candidates = [
        (_number(folder.name), (folder / having).stat().st_mtime, folder)
        for folder in (root / LOG_FOLDER / model).glob("*")
        if not folder.name.startswith(".") and (folder / having).is_file()
    ]
    return Run.of(max(candidates)[-1]) if candidates else None


def containing(checkpoint: Path) -> Run | None:
    """Return the run that contains a checkpoint, without following a link of the checkpoint itself.

    The run is a folder with a configuration and with the checkpoint in ``checkpoints/`` or below,
    as by ``filename='{val/top1}'``. Return None if it is elsewhere, such as in a home folder.

    Raises:
        UsageError: a link in the run leads out of it.
    """
    for parent in Path(os.path.abspath(checkpoint)).parents:  # noqa: PTH100
        folder = parent.parent.resolve()
        if parent.name == CHECKPOINTS and Run(folder).config.is_file():
            return Run.of(folder)
    return None


def create(root: Path, model: str) -> Run:
    """Create an empty run folder of ``model`` below ``root`` with the next free number.

    Two trainings that start at the same time get two folders, because creating a folder is atomic.

    Raises:
        UsageError: the folder cannot be created.
    """
    parent = root / LOG_FOLDER / model
    remedy = "start elsewhere, or name another folder with trainer.default_root_dir=PATH"
    _require_utf8(parent.absolute(), "trainer.default_root_dir", remedy)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        numbers = (folder.name.removeprefix("version_") for folder in parent.glob("version_*"))
        number = max((int(name) + 1 for name in numbers if name.isdecimal()), default=0)
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


def read_results(path: Path) -> Results:
    """Read a measurement from a file that the benchmark stage wrote.

    Raises:
        UsageError: it is not such a file, or of another schema version.
    """
    return reading.read(path, Results, results.VERSIONS)


def read_training_profile(path: Path) -> TrainingProfile:
    """Read the profile of a training by one of its processes.

    Raises:
        UsageError: it is no such file, or of another schema version.
    """
    return reading.read(path, TrainingProfile, training_profile.VERSIONS)


def _number(name: str) -> int:
    """Return the number of a run's folder; -1 for a renamed folder."""
    number = name.removeprefix("version_")
    return int(number) if number != name and number.isdecimal() else -1


def _require_utf8(path: Path, argument: str, remedy: str) -> None:
    """Refuse a path that is not UTF-8, because TensorBoard and runtimes cannot write to it.

    Raises:
        UsageError: the path is not UTF-8.
    """
    if printable(path) != str(path):
        raise UsageError(argument, expected="a path in UTF-8", found=str(path), remedy=remedy)
