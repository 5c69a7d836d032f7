"""The folders that TensorBoard shows, and a bounded search for the runs below them."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from src.errors import UsageError, printable
from src.run.folder import Run
from src.system import links

RANK_FILE = re.compile(r"rank(0|[1-9][0-9]{0,5})\.json\Z")
MAX_DEPTH = 8
MAX_FOLDERS = 20_000
# Folders that a run consists of: no run is within them.
_OF_A_RUN = {"checkpoints", "exports", "flipped", "measurements", "profile"}
_URI = re.compile(r"[a-zA-Z][0-9a-zA-Z.]*://")


@dataclass(frozen=True)
class LogFolder:
    """One of the folders that TensorBoard shows.

    Args:
        path: absolute.
        group: name before those of its runs, from ``--logdir_spec``; empty for ``--logdir``.
    """

    path: Path
    group: str = ""


@dataclass(frozen=True)
class FoundRun:
    """A run below a log folder.

    Args:
        name: unique; the path below the log folder, or ``.``.
        tensorboard_name: TensorBoard's name of the same folder.
        log_folder: without links.
        parts: of the path from the log folder.
        has_profile: a profile of the training was written.
        has_measurement: its files were measured.
        changed: time of the last change of these files.
        path: for the reader's commands: below the current folder relative to it, else absolute.
    """

    name: str
    tensorboard_name: str
    log_folder: Path
    parts: tuple[str, ...]
    has_profile: bool
    has_measurement: bool
    changed: float
    path: str


def log_folders(logdir: str | None, specification: str | None) -> list[LogFolder]:
    """Return the folders that ``--logdir`` or ``--logdir_spec`` names, as TensorBoard reads them.

    A folder does not have to exist yet. Addresses such as ``gs://bucket`` are left out.
    """
    if logdir:
        return [] if _URI.match(logdir) else [LogFolder(_absolute(logdir))]
    folders = []
    for part in (specification or "").split(","):
        group, colon, path = part.partition(":")
        if not colon or part.startswith("/"):
            group, path = "", part
        if part and path and not _URI.match(part) and not _URI.match(path):
            folders.append(LogFolder(_absolute(path), group))
    return folders


@dataclass
class RunSearch:
    """A bounded walk through a log folder. It follows no link, so it ends and stays inside."""

    folder: LogFolder
    problems: list[str] = field(default_factory=list)

    def runs(self) -> Iterator[FoundRun]:
        """Yield the runs, those nearest to the log folder first."""
        root = Path(os.path.realpath(self.folder.path))  # resolve() raises for a link to itself
        pending: deque[tuple[tuple[str, ...], Path]] = deque()
        if self._is_there(root):
            pending.append(((), root))
        for _ in range(MAX_FOLDERS):
            if not pending:
                return
            parts, path = pending.popleft()
            try:
                with os.scandir(path) as scan:
                    entries = sorted(scan, key=lambda entry: entry.name)
            except OSError as error:
                self._note_unreadable(path, error)
                continue
            run = self._run(root, parts, path, {entry.name for entry in entries})
            if run is not None:
                yield run
            is_in_run = run is not None
            searched = [e for e in entries if self._is_searched(e, root, is_in_run=is_in_run)]
            if searched and len(parts) == MAX_DEPTH:
                self._note(path, f"is {MAX_DEPTH} folders deep: not searched further")
            else:
                pending += [((*parts, entry.name), Path(entry.path)) for entry in searched]
        if pending:
            self.problems.append(f"more than {MAX_FOLDERS} folders: only the first were searched")

    def _run(
        self, root: Path, parts: tuple[str, ...], path: Path, names: set[str]
    ) -> FoundRun | None:
        """Return the run in a folder; None if it holds none."""
        measurement = self._own(path, "benchmark.json") if "benchmark.json" in names else []
        profile = self._rank_files(path) if "profile" in names else []
        times = [_changed(file) for file in (*measurement, *profile)]
        if not times:
            return None
        relative = "/".join(parts)
        group = self.folder.group
        return FoundRun(
            name="/".join(filter(None, (group, relative))) or ".",
            tensorboard_name="/".join(filter(None, (group, relative or "."))),
            log_folder=root,
            parts=parts,
            has_profile=bool(profile),
            has_measurement=bool(measurement),
            changed=max(times),
            path=_for_commands(self.folder.path.joinpath(*parts)),
        )

    def _rank_files(self, path: Path) -> list[Path]:
        try:
            names = sorted(entry.name for entry in Run(path).profile.iterdir())
        except (OSError, UsageError) as error:
            self._note(path / "profile", f"could not be read: {error}")
            return []
        matching = [name for name in names if RANK_FILE.fullmatch(name)]
        return [file for name in matching for file in self._own(path, "profile", name)]

    def _own(self, path: Path, *parts: str) -> list[Path]:
        """Return a file of a run in a list; nothing if it is none, or leads out of the run."""
        try:
            file = links.inside(path, *parts)
            return [file] if stat.S_ISREG(file.stat().st_mode) else []
        except links.UnsafePathError as error:
            self.problems.append(f"{printable(error.found)}: not opened")
        except (FileNotFoundError, NotADirectoryError):
            pass  # removed meanwhile
        except OSError as error:  # such as a folder that may be listed, but not entered
            self._note_unreadable(path.joinpath(*parts), error)
        return []

    def _is_searched(self, entry: os.DirEntry[str], root: Path, *, is_in_run: bool) -> bool:
        is_hidden = entry.name.startswith(".")  # such as an environment in a clone
        if is_hidden or (is_in_run and entry.name in _OF_A_RUN):
            return False
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
        except OSError as error:  # on file systems whose listings do not say what an entry is
            self._note_unreadable(Path(entry.path), error)
            return False
        if is_folder:
            if printable(entry.name) != entry.name:
                self._note(Path(entry.path), "has a name that is not UTF-8: not searched")
                return False
            return True
        if entry.is_symlink() and links.target_outside(entry.path, root) and _is_folder(entry):
            self._note(Path(entry.path), "is a link out of the log folder: not followed")
        return False

    def _is_there(self, root: Path) -> bool:
        """Return True if the log folder is a folder."""
        try:
            return root.is_dir()
        except OSError as error:
            self._note_unreadable(root, error)
            return False

    def _note_unreadable(self, path: Path, error: OSError) -> None:
        self._note(path, f"could not be read: {error.strerror or error}")

    def _note(self, path: Path, problem: str) -> None:
        self.problems.append(printable(f"{path} {problem}"))


def _absolute(path: str) -> Path:
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  # Path's raises without a home


def _for_commands(path: Path) -> str:
    """Return a path as an argument: below the current folder relative to it, else absolute."""
    try:
        shown = printable(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the current folder was removed
        return printable(path)
    return f"./{shown}" if shown.startswith("-") else shown


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
