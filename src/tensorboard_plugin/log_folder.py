"""The runs below TensorBoard's log folder. No path of a request is ever opened."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from src.errors import UsageError, printable
from src.run.folder import Run
from src.system import links
from src.tensorboard_plugin.responses import NOT_FOUND, RequestError, quoted

RANK_FILE = re.compile(r"rank(0|[1-9][0-9]{0,5})\.json\Z")
MAX_DEPTH = 8
MAX_FOLDERS = 20_000
MAX_RUNS = 2_000
_MAX_PROBLEMS = 20
_LISTING_SECONDS = 3.0  # for which a listing is valid
_ACTIVE_SECONDS = 30.0  # for which it is valid that there is a run
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
    """

    name: str
    tensorboard_name: str
    log_folder: Path
    parts: tuple[str, ...]
    has_profile: bool
    has_measurement: bool
    changed: float


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the JSON of the listing."""

    name: str
    has_profile: bool
    has_measurement: bool


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``runs``: the newest first, and what was not looked at."""

    runs: list[ListedRun]
    problems: list[str]


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


class RunIndex:
    """Finds runs by name. A listing is kept for seconds, because TensorBoard asks often.

    Args:
        folders: to search.
        clock: returns seconds; must be monotonic.
    """

    def __init__(
        self, folders: list[LogFolder], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folders = folders
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: dict[str, FoundRun] = {}
        self._problems: list[str] = []
        self._listed_at: float | None = None
        self._active: tuple[float, bool] | None = None

    def has_runs(self) -> bool:
        """Return True if there is a run; ends at the first."""
        with self._lock:
            now = self._clock()
            if self._active is not None:
                since, is_active = self._active
                if now - since < (_ACTIVE_SECONDS if is_active else _LISTING_SECONDS):
                    return is_active
            is_active = any(True for folder in self._folders for _ in _Search(folder).runs())
            self._active = (now, is_active)
            return is_active

    def listing(self) -> Listing:
        """Return all runs, the newest first."""
        with self._lock:
            self._update()
            runs = sorted(self._runs.values(), key=lambda run: run.changed, reverse=True)
            problems = list(self._problems)
        listed = [
            ListedRun(
                name=run.name, has_profile=run.has_profile, has_measurement=run.has_measurement
            )
            for run in runs
        ]
        if len(problems) > _MAX_PROBLEMS:
            more = len(problems) - _MAX_PROBLEMS
            problems = [*problems[:_MAX_PROBLEMS], f"and {more} more"]
        return Listing(runs=listed, problems=problems)

    def find(self, name: str) -> FoundRun:
        """Return the run of this name.

        Raises:
            RequestError: there is none.
        """
        with self._lock:
            self._update()
            run = self._runs.get(name)
        if run is None:
            raise RequestError(NOT_FOUND, f"no run is called {quoted(name)} in the log folder")
        return run

    def open(self, found: FoundRun) -> Run:
        """Return a run, unless a link took its place since it was listed.

        Raises:
            RequestError: it is gone, or a link on the way leads out of the log folder.
        """
        try:
            folder = links.inside(found.log_folder, *found.parts)
        except links.UnsafePathError as error:
            raise RequestError(NOT_FOUND, f"{quoted(found.name)}: {error.found}") from error
        if not folder.is_dir():
            raise RequestError(NOT_FOUND, f"the folder of {quoted(found.name)} is gone")
        return Run(folder)

    def _update(self) -> None:
        now = self._clock()
        if self._listed_at is not None and now - self._listed_at < _LISTING_SECONDS:
            return
        runs: dict[str, FoundRun] = {}
        problems: list[str] = []
        for folder in self._folders:
            search = _Search(folder)
            for run in search.runs():
                if len(runs) == MAX_RUNS:
                    problems.append(f"more than {MAX_RUNS} runs: only the first are listed")
                    break
                if run.name in runs:
                    problems.append(
                        f"two runs are called {run.name}: give each folder a name of its own in "
                        "--logdir_spec"
                    )
                runs.setdefault(run.name, run)
            problems += search.problems
        self._runs, self._problems, self._listed_at = runs, problems, now


@dataclass
class _Search:
    """A bounded walk through a log folder. It follows no link, so it ends and stays inside."""

    folder: LogFolder
    problems: list[str] = field(default_factory=list)

    def runs(self) -> Iterator[FoundRun]:
        """Yield the runs, those nearest to the log folder first."""
        root = Path(os.path.realpath(self.folder.path))  # resolve() raises for a link to itself
        pending: deque[tuple[tuple[str, ...], Path]] = deque()
        if root.is_dir():
            pending.append(((), root))
        for _ in range(MAX_FOLDERS):
            if not pending:
                return
            parts, path = pending.popleft()
            try:
                with os.scandir(path) as scan:
                    entries = sorted(scan, key=lambda entry: entry.name)
            except OSError as error:
                self._note(path, f"could not be read: {error.strerror}")
                continue
            names = {entry.name for entry in entries}
            run = self._run(root, parts, path, names)
            if run is not None:
                yield run
            for entry in entries:
                if self._is_searched(entry, root, is_in_run=run is not None):
                    if len(parts) == MAX_DEPTH:
                        self._note(path, f"is {MAX_DEPTH} folders deep: not searched further")
                        break
                    pending.append(((*parts, entry.name), Path(entry.path)))
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
        except links.UnsafePathError as error:
            self.problems.append(f"{printable(error.found)}: not opened")
            return []
        return [file] if file.is_file() else []

    def _is_searched(self, entry: os.DirEntry[str], root: Path, *, is_in_run: bool) -> bool:
        if is_in_run and entry.name in _OF_A_RUN:
            return False
        if entry.is_dir(follow_symlinks=False):
            if printable(entry.name) != entry.name:
                self._note(Path(entry.path), "has a name that is not UTF-8: not searched")
                return False
            return True
        if entry.is_symlink() and links.target_outside(entry.path, root) and _is_folder(entry):
            self._note(Path(entry.path), "is a link out of the log folder: not followed")
        return False

    def _note(self, path: Path, problem: str) -> None:
        self.problems.append(printable(f"{path} {problem}"))


def _absolute(path: str) -> Path:
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  # Path's raises without a home


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
