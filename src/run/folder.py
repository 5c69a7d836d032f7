"""The run folder: its records, its creation, and the search for the newest one."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from src.errors import UsageError, one_line, printable
from src.run import manifest, reading, results, rounds
from src.run.layout import as_dict
from src.run.manifest import Manifest
from src.run.paths import CHECKPOINTS, LAST, RunPaths
from src.run.results import Results
from src.run.rounds import Rounds
from src.system import atomic_files, partial_files, safe_yaml
from src.system.paths import user_path

__all__ = ["LAST", "LOG_FOLDER", "TRACE_SUFFIX", "Run"]

LOG_FOLDER = "lightning_logs"
_MOST_SHOWN = 80  # characters of what was found
TRACE_SUFFIX = ".pt.trace.json.gz"  # by which TensorBoard's plugin finds traces


@dataclass(frozen=True)
class Run(RunPaths):
    """One training: ``lightning_logs/<model>/version_N``."""

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """The run in ``folder``.

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
        """The run in ``folder``, which may be anybody's and have no configuration yet.

        Raises:
            UsageError: a link in it leads out of it.
        """
        run = cls(Path(folder).resolve())
        run.require_own_files()
        return run

    def remove_unfinished(self) -> None:
        """Remove what a process that was killed had begun to write here.

        Only where the stages write: what else is below the folder is not looked at.
        """
        below = (self.best_checkpoint.parent, self.exports, self.measurements, self.flipped)
        ours = [self.folder, *below, self.profile, self.inference_traces]
        if self.exports.is_dir():
            ours += sorted(self.exports.iterdir())
        for folder in ours:
            if not folder.is_symlink():
                partial_files.remove(folder)

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
        return self.command.read_text(encoding="utf-8", errors="replace").strip()

    def read_manifest(self) -> Manifest:
        """Read what was exported. The record has the run's present name.

        Raises:
            UsageError: nothing was exported, or the file is not as the export stage writes it.
        """
        path = self.require(self.manifest, f"run python -m src.export {self.quoted}")
        # Whoever reads it goes on to files that it does not list, in this folder and in others.
        self.require_own_files()
        record = reading.read(path, Manifest, manifest.VERSIONS)
        return msgspec.structs.replace(record, run=self.name)

    def write_manifest(self, record: Manifest) -> None:
        """Write what was exported.

        Raises:
            Wrong: a value is not as readers expect; nothing is written.
        """
        reading.require_readable(record)
        atomic_files.write_json(self.manifest, as_dict(record))

    def read_config(self) -> dict[str, Any]:
        """The configuration that it was trained with, as plain values.

        Raises:
            UsageError: it is no YAML of plain values, or of more than a configuration has.
        """
        try:
            content = safe_yaml.load(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise reading.not_ours(
                self.config, "plain values in YAML", one_line(str(error))
            ) from error
        if not isinstance(content, dict):
            shown = repr(content)[:_MOST_SHOWN]
            raise reading.not_ours(self.config, "a configuration in YAML", shown)
        return content

    def read_benchmark(self) -> Results:
        """Read the measurement. The record has the run's present name.

        Raises:
            UsageError: nothing was measured, or the file is not as the benchmark stage writes it.
        """
        remedy = f"run python -m src.benchmark {self.quoted}"
        record = read_results(self.require(self.benchmark, remedy))
        return msgspec.structs.replace(record, run=self.name)

    def read_rounds(self) -> Rounds:
        """Read a measurement whose figures are not made yet.

        Raises:
            UsageError: there is none, or the file is not as the benchmark stage writes it.
        """
        remedy = f"run python -m src.benchmark {self.quoted}"
        return reading.read(self.require(self.rounds, remedy), Rounds, rounds.VERSIONS)

    def write_rounds(self, record: Rounds) -> None:
        """Write a measurement whose figures are not made yet."""
        text = json.dumps(as_dict(record), allow_nan=False) + "\n"
        atomic_files.write_text(self.rounds, text)

    def write_benchmark(self, record: Results, machine: str) -> Path:
        """Keep a measurement: as the present one, and for good in a file of its own.

        Args:
            record: the measurement.
            machine: where it was measured, as a word of a file's name.

        Returns:
            The file of its own, in ``measurements/``.

        Raises:
            Wrong: a value is not as readers expect; nothing is written.
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
    """The newest run of ``model`` below ``root`` that has the file ``having``, if there is one.

    That is the one with the highest number. A run that was renamed has none: among these it is the
    one with the newest file, and they are looked at where no other has one.
    """
    candidates = [
        (_number(folder.name), (folder / having).stat().st_mtime, folder)
        for folder in (root / LOG_FOLDER / model).glob("*")
        if not folder.name.startswith(".") and (folder / having).is_file()
    ]
    return Run.of(max(candidates)[-1]) if candidates else None


def around(checkpoint: Path) -> Run | None:
    """The run that a checkpoint lies in, whatever the checkpoint itself is a link to.

    That is a folder with a configuration, which has the checkpoint in ``checkpoints/``. None if
    there is none: a checkpoint may lie anywhere, and a home folder, for example, is none of our
    business.

    Raises:
        UsageError: a link in the run leads out of it.
    """
    parent = Path(os.path.abspath(checkpoint)).parent  # noqa: PTH100  # no link
    folder = parent.parent.resolve()
    if parent.name != CHECKPOINTS or not Run(folder).config.is_file():
        return None
    return Run.of(folder)


def create(root: Path, model: str) -> Run:
    """A new, empty run folder of ``model`` below ``root``, with the next free number.

    Two trainings that start at once get two folders: making a folder is atomic.

    Raises:
        UsageError: the folder cannot be made.
    """
    parent = root / LOG_FOLDER / model
    remedy = "start elsewhere, or name another folder with trainer.default_root_dir=PATH"
    _require_utf8(parent.absolute(), "trainer.default_root_dir", remedy)
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


def read_results(path: Path) -> Results:
    """Read a measurement from a file that the benchmark stage wrote.

    Raises:
        UsageError: it is no such file, or of another schema version.
    """
    return reading.read(path, Results, results.VERSIONS)


def _number(name: str) -> int:
    """The number of a run's folder, -1 for one that was renamed."""
    number = name.removeprefix("version_")
    return int(number) if number != name and number.isdecimal() else -1


def _require_utf8(path: Path, argument: str, remedy: str) -> None:
    """Refuse a run in a folder whose name is not UTF-8: TensorBoard and runtimes write no such one.

    Raises:
        UsageError: it is not.
    """
    if printable(path) != str(path):
        raise UsageError(argument, expected="a path in UTF-8", found=str(path), remedy=remedy)
