"""Restores run folders if a command fails before its first step, or the stages that follow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from src.callbacks.started import StartDetector
from src.run.earlier_results import EarlierResults
from src.run.folder import Run
from src.system import atomic_files

# Files that a training writes into its run folder before the first step. A file with another name
# belongs to somebody else.
_START_FILES = (
    *("config.yaml", "command.txt", "started_in.txt", "hparams.yaml", "splits.json.gz"),
    *("events.out.tfevents.*", "profile/*"),
)


class RunRollback:
    """Undoes what a command wrote into run folders if it fails before its first step."""

    def __init__(self) -> None:
        self.started = StartDetector()
        self.earlier: EarlierResults | None = None  # of a run in which this command goes on
        self._created: Run | None = None
        self._earlier_contents: dict[Path, bytes] = {}

    def created(self, run: Run) -> None:
        """Note a run whose folder this command has made."""
        self._created = run

    def resumes(self, run: Run) -> None:
        """Note a run in which this command will replace files before its first step."""
        self.earlier = EarlierResults(run)
        summaries = run.profile.glob("rank*.json")
        replaced = (run.config, run.command, run.started_in_file, *summaries)
        self._earlier_contents = {file: file.read_bytes() for file in replaced if file.is_file()}

    @contextlib.contextmanager
    def on_failure(self) -> Iterator[None]:
        """Restore the noted runs if the block raises before its first lasting work.

        A training of which nothing is left has no step. Its later stages write by its options.
        """
        try:
            yield
        except BaseException:
            if not self.has_started():
                # A failing disk may be the reason for the failure. Then this fails, too.
                with contextlib.suppress(OSError):
                    self._restore()
            raise

    def has_started(self) -> bool:
        """Return True if this command has done lasting work, or its run cannot tell."""
        try:
            has_results = self.earlier is not None and self.earlier.are_replaced()
        except OSError:
            has_results = True
        return self.started.is_started or has_results

    def _restore(self) -> None:
        if self._created is not None:
            remove_untrained(self._created)
        for path, content in self._earlier_contents.items():
            atomic_files.write_bytes(path, content)


def remove_untrained(run: Run) -> None:
    """Remove what a training writes before its first step, and the folders that are empty then.

    A run with a checkpoint or an export stays complete, and so do files with other names.
    """
    if run.last_checkpoint.parent.exists() or run.exports.exists():
        return
    for pattern in _START_FILES:
        for path in run.folder.glob(pattern):
            path.unlink(missing_ok=True)
    models = run.folder.parent
    for folder in (run.profile, run.folder, models, models.parent):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return  # the folder is not empty
