"""The traces of a run: of its training and of its exported files. A request names an id."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from src.errors import UsageError, printable
from src.run.folder import TRACE_SUFFIX, Run
from src.tensorboard_plugin.responses import NOT_FOUND, RequestError, quoted
from src.tensorboard_plugin.training_profiles import TrainingProfiles

Kind = Literal["training", "file"]

_INFERENCE = ("profile", "inference")
_MAX_FILES = 1000


class ListedTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace in the JSON of the listing."""

    id: str
    label: str
    bytes: int
    kind: Kind


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``traces``."""

    traces: list[ListedTrace]
    problems: list[str]


@dataclass(frozen=True)
class FoundTrace:
    """A trace and the file that it is in."""

    listed: ListedTrace
    path: Path


@dataclass(frozen=True)
class RunTraces:
    """The traces of a run by id, and the faults that were met."""

    by_id: dict[str, FoundTrace]
    problems: list[str]

    @property
    def listing(self) -> Traces:
        """The JSON of ``traces``."""
        listed = [trace.listed for trace in self.by_id.values()]
        return Traces(traces=listed, problems=self.problems)

    def find(self, name: str) -> FoundTrace:
        """Return the trace of this id.

        Raises:
            RequestError: there is none.
        """
        if name not in self.by_id:
            raise RequestError(NOT_FOUND, f"the run has no trace {quoted(name)}")
        return self.by_id[name]

    def id_of_window(self, rank: int, index: int) -> str | None:
        """Return the id of a window's trace; None if it has none."""
        name = _window_id(rank, index)
        return name if name in self.by_id else None


def find(run: Run, profiles: TrainingProfiles) -> RunTraces:
    """Return the traces of a run that exist; no trace is opened.

    Args:
        run: the run.
        profiles: of its training; they name the traces of the windows.
    """
    search = _Search(run, list(profiles.problems))
    for rank, profile in profiles.by_rank.items():
        labelled = zip(profile.windows, profile.labels, strict=True)
        for index, (window, label) in enumerate(labelled):
            if window.file is not None:
                name = _window_id(rank, index)
                search.add(name, f"{label}, rank {rank}", "training", "profile", window.file)
    for name in search.inference_files():
        stem = name.removesuffix(TRACE_SUFFIX)
        format_name, dash, device = stem.rpartition("-")
        label = f"{format_name} on {device}" if dash else stem
        search.add(f"inference-{stem}", label, "file", *_INFERENCE, name)
    return RunTraces(search.traces, search.problems)


class _Search:
    """Collects the traces of a run that are files of its own."""

    def __init__(self, run: Run, problems: list[str]) -> None:
        self._run = run
        self.problems = problems
        self.traces: dict[str, FoundTrace] = {}

    def add(self, name: str, label: str, kind: Kind, *parts: str) -> None:
        """Add the trace in a file of the run, or the reason why it is none."""
        shown = "/".join(parts)
        if not parts[-1].endswith(TRACE_SUFFIX):
            self.problems.append(f"{shown} is no trace: its name does not end in {TRACE_SUFFIX}")
            return
        try:
            path = self._run.own(*parts)
            size = path.stat().st_size if path.is_file() else None
        except (UsageError, OSError) as error:
            self.problems.append(f"{printable(shown)} cannot be shown: {printable(error)}")
            return
        if size is None:
            self.problems.append(f"{shown} is missing")
            return
        listed = ListedTrace(id=name, label=label, bytes=size, kind=kind)
        self.traces[name] = FoundTrace(listed, path)

    def inference_files(self) -> list[str]:
        """Return the names of the traces of exported files."""
        try:
            with os.scandir(self._run.inference_traces) as scan:
                names = [entry.name for entry in scan if entry.name.endswith(TRACE_SUFFIX)]
        except FileNotFoundError:
            return []
        except (UsageError, OSError) as error:
            self.problems.append(f"profile/inference cannot be shown: {printable(error)}")
            return []
        readable = sorted(name for name in names if printable(name) == name)
        if len(readable) < len(names):
            self.problems.append("profile/inference has file names that are not UTF-8: not shown")
        if len(readable) > _MAX_FILES:
            self.problems.append(f"profile/inference: only the first {_MAX_FILES} are shown")
        return readable[:_MAX_FILES]


def _window_id(rank: int, index: int) -> str:
    return f"rank{rank}-{index}"
