"""What a command writes into a run before its first step, and how that is taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from src.callbacks.started import StartDetector
from src.run.folder import Run
from src.system import atomic_files

# In a run's folder. Files of other names are somebody else's.
_OF_A_START = (
    *("config.yaml", "command.txt", "started_in.txt", "hparams.yaml"),
    *("events.out.tfevents.*", "profile/*"),
)


class Attempt:
    """A command that may be refused until its first step, and leaves nothing behind then."""

    def __init__(self) -> None:
        self.started = StartDetector()
        self._made: Run | None = None
        self._before: dict[Path, bytes] = {}

    def makes(self, run: Run) -> None:
        """Note a run whose folder this command made."""
        self._made = run

    def goes_on_in(self, run: Run) -> None:
        """Note a run whose configuration this command replaces."""
        replaced = (run.config, run.command)
        self._before = {file: file.read_bytes() for file in replaced if file.is_file()}

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """What goes wrong in this block before the first step leaves every run as it was."""
        try:
            yield
        except BaseException:
            if not self.started.is_started:
                # On a disk that fails, which is what went wrong, nothing more can be done.
                with contextlib.suppress(OSError):
                    if self._made is not None:
                        discard(self._made)
                    for path, content in self._before.items():
                        atomic_files.write_bytes(path, content)
            raise


def discard(run: Run) -> None:
    """Remove what a training writes before its first step, and the folders if that is all.

    Nothing of a run that has a checkpoint or an export, and no file of another name.
    """
    if run.last_checkpoint.parent.exists() or run.exports.exists():
        return
    for pattern in _OF_A_START:
        for path in run.folder.glob(pattern):
            path.unlink(missing_ok=True)
    models = run.folder.parent
    for folder in (run.profile, run.folder, models, models.parent):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return  # there is something else in it
