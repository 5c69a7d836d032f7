"""The files of an int8 twin in its run: the finished one, and the one that is being made."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from src.errors import UsageError
from src.run import reading, twin
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.record import Record
from src.run.twin import Cost, SurveyNotes, TrainingCost, Twin
from src.system import atomic_files
from src.system.folder_lock import FolderLock

_TRAINING = re.compile(r"(distillation|quantization)-[0-9a-f]{8}")


@dataclass(frozen=True)
class TwinFiles:
    """The files in the folder ``twin`` of a run.

    Args:
        run: its folder has them.
    """

    run: Run

    @property
    def graph(self) -> Path:
        """The finished twin's float graph with its trained weights."""
        return self.run.own("twin", "network.onnx")

    @property
    def unfinished_graph(self) -> Path:
        """The graph of a twin that is being made, until it takes the place of the earlier one."""
        return self.run.own("twin", "unfinished.onnx")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from making the twin within the block.

        Raises:
            UsageError: one makes it already.
        """
        self.run.twin.mkdir(exist_ok=True)
        with FolderLock() as lock:
            if not lock.try_take(self.run.twin):
                raise UsageError(
                    "RUN",
                    expected="a run whose int8 twin no other process makes",
                    found=f"{self.run.folder}, whose twin is being made",
                    remedy="wait until that has ended, or stop it; then run the command again",
                )
            yield

    def read(self) -> Twin | None:
        """Return the account of the twin; None if there is none.

        Raises:
            UsageError: the file is not as ``src.twin`` writes it.
        """
        return _read(self.run.twin_record)

    def read_unfinished(self) -> Twin | None:
        """Return the account of a twin that is being made; None if there is none.

        Raises:
            UsageError: the file is not as ``src.twin`` writes it.
        """
        return _read(self.unfinished_record)

    def write_unfinished(self, record: Twin) -> None:
        """Write the account of a twin that is being made; the earlier one stays."""
        self._write(self.unfinished_record, record)

    def read_training(self) -> Cost | None:
        """Return the cost of the run's training; None if it is not known.

        Raises:
            UsageError: the file is not as a training writes it.
        """
        path = self._training
        if not path.is_file():
            return None
        cost = reading.read(path, TrainingCost, twin.VERSIONS)
        return Cost(**{name: getattr(cost, name) for name in Cost.__struct_fields__})

    def write_training(self, cost: TrainingCost | None) -> None:
        """Write the cost of the run's training; None removes it."""
        self._put(self._training, cost)

    def read_survey(self) -> SurveyNotes | None:
        """Return the notes of a survey that has not ended; None without any that can be read."""
        if not self._survey.is_file():
            return None
        try:
            return reading.read(self._survey, SurveyNotes, twin.VERSIONS)
        except UsageError as error:
            print(f"the survey begins anew: {error}")
            return None

    def write_survey(self, notes: SurveyNotes | None) -> None:
        """Write the notes of a survey; None removes them."""
        self._put(self._survey, notes)

    def finish(self, record: Twin, trainings: Collection[str]) -> None:
        """Put a finished twin in the place of the earlier one.

        Args:
            record: of the twin, with the hash of the unfinished graph or with a reason.
            trainings: names of the folders of its trainings; those of other twins are removed.
        """
        if record.is_complete:
            os.replace(self.unfinished_graph, self.graph)  # noqa: PTH105  # as in atomic_files
        else:
            self.graph.unlink(missing_ok=True)
        self._write(self.run.twin_record, record)
        self.without_gain.unlink(missing_ok=True)
        self._remove_unfinished(trainings)

    def set_aside(self, record: Twin, trainings: Collection[str]) -> None:
        """Keep the finished twin, and beside it the account of an attempt that gained nothing.

        Args:
            record: of the attempt.
            trainings: names of the folders of the finished twin's trainings.
        """
        self._write(self.without_gain, record)
        self._remove_unfinished(trainings)

    def read_without_gain(self) -> Twin | None:
        """Return the account of a later attempt that gained nothing; None if there is none.

        Raises:
            UsageError: the file is not as ``src.twin`` writes it.
        """
        return _read(self.without_gain)

    def _remove_unfinished(self, trainings: Collection[str]) -> None:
        self.unfinished_record.unlink(missing_ok=True)
        self.unfinished_graph.unlink(missing_ok=True)
        for folder in self.run.twin.iterdir():
            is_other = _TRAINING.fullmatch(folder.name) and folder.name not in trainings
            if is_other and folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)

    def is_whole(self, record: Twin) -> bool:
        """Return True if the graph of a finished record is there, as it was written."""
        graph = self.graph
        return graph.is_file() and atomic_files.sha256(graph) == record.graph_sha256

    @property
    def unfinished_record(self) -> Path:
        """Account of a twin that is being made."""
        return self.run.own("twin", "unfinished.json")

    @property
    def without_gain(self) -> Path:
        """Account of an attempt that gained nothing, beside a finished twin of the same weights."""
        return self.run.own("twin", "without_gain.json")

    @property
    def _survey(self) -> Path:
        return self.run.own("twin", "survey.json")

    @property
    def _training(self) -> Path:
        return self.run.own("twin", "training.json")

    def _put(self, path: Path, content: Record | None) -> None:
        """Write a file, or remove it."""
        if content is None:
            path.unlink(missing_ok=True)
            return
        self.run.twin.mkdir(exist_ok=True)
        atomic_files.write_json(path, as_dict(content))

    def _write(self, path: Path, record: Twin) -> None:
        reading.require_readable(record)
        self.run.twin.mkdir(exist_ok=True)
        atomic_files.write_json(path, as_dict(record))


def _read(path: Path) -> Twin | None:
    return reading.read(path, Twin, twin.VERSIONS) if path.is_file() else None
