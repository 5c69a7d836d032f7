"""The runs by name. A request names a run, and no path of a request is ever opened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from src.run.folder import Run
from src.system import links
from src.tensorboard_plugin.log_folder import FoundRun, LogFolder, RunSearch
from src.tensorboard_plugin.responses import NOT_FOUND, RequestError, quoted

MAX_RUNS = 2_000
_MAX_PROBLEMS = 20
_LISTING_SECONDS = 3.0  # for which a listing is valid
_ACTIVE_SECONDS = 30.0  # for which it is valid that there is a run


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the JSON of the listing.

    Args:
        name: unique; names the run in a request.
        path: of its folder, for the reader's commands: below the folder that TensorBoard was
            started in relative to that, else absolute.
        has_profile: a profile of the training was written.
        has_measurement: its files were measured.
    """

    name: str
    path: str
    has_profile: bool
    has_measurement: bool


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``runs``: the newest first, and what was not looked at."""

    runs: list[ListedRun]
    problems: list[str]


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
            is_active = any(True for folder in self._folders for _ in RunSearch(folder).runs())
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
                name=run.name,
                path=run.path,
                has_profile=run.has_profile,
                has_measurement=run.has_measurement,
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
            if name not in self._runs:
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
            search = RunSearch(folder)
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
