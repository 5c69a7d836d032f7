"""One window after another: recorded, written, read back, and told of."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerAction, profile, record_function

from src.profiling import allocator, reading
from src.profiling.options import ProfilingOptions
from src.profiling.plan import Window
from src.run.folder import TRACE_SUFFIX
from src.system import atomic_files


class Recorder:
    """The traces of one process, in ``folder``, and what they say, in ``rank<N>.json``.

    It holds one profiler at a time and none between windows, so that its memory does not grow
    with the training. What can't be recorded is told by :attr:`notes`, and never stops a training.

    Args:
        folder: of the run's traces.
        rank: of this process among those that train.
        processes: how many there are, which share the bound on bytes.
        options: what to record.
        context: settings of the training that explain its speed, as plain values.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        processes: int,
        options: ProfilingOptions,
        context: dict[str, Any],
    ) -> None:
        self._folder = folder
        self._rank = rank
        self._options = options
        self._bytes_left = options.max_trace_bytes // processes
        self._largest_step = 0  # bytes of a trace, by its steps
        self._profiler: profile | None = None
        self._regions: dict[str, record_function] = {}
        self._about: dict[str, Any] = {}
        self._ready = False  # steps of this window were recorded
        self._written: Path | None = None
        self.notes: list[str] = []
        self._content: dict[str, Any] = {
            "schema_version": 1,
            "rank": rank,
            "options": {"spread": options.spread, "active": options.active},
            "context": context,
            "notes": self.notes,
            "windows": [],
        }

    @property
    def recording(self) -> bool:
        """Whether a window is open."""
        return self._profiler is not None

    def open(self, window: Window, stage: str, epoch: int, step: int, global_step: int) -> None:
        """Switch the profiler on, at the step of the training that comes now.

        Args:
            window: how many steps it takes.
            stage: ``train`` or ``val``.
            epoch: from 0.
            step: the number that the first step has in the trace.
            global_step: of the training, for what is drawn over it.
        """
        active = window.active
        if self._largest_step:
            active = min(active, self._bytes_left // self._largest_step)
        if active < 1:
            self._note(
                f"no window in epoch {epoch} ({stage}): it would pass profiler.max_trace_bytes="
                f"{self._options.max_trace_bytes}"
            )
            return
        self._about = {
            "stage": stage,
            "epoch": epoch,
            "global_step": global_step,
            "first_step": step + window.warmup,
        }
        self._ready = False
        self._profiler = profile(
            schedule=_schedule(step, window.warmup, active),
            on_trace_ready=self._write,
            record_shapes=self._options.record_shapes,
            profile_memory=self._options.profile_memory,
            with_stack=self._options.with_stack,
        )
        self._profiler.step_num = step
        self._profiler.start()

    def step(self) -> None:
        """A step has ended. After the last one of the window the trace is written."""
        if self._profiler is None:
            return
        self._leave_all()
        self._profiler.step()
        if self._profiler.current_action is ProfilerAction.NONE:
            self._end(cut=False)

    def close(self) -> None:
        """End the window that is open, if there is one, with the whole steps that it has."""
        if self._profiler is not None:
            self._leave_all()
            self._end(cut=True)

    def _end(self, *, cut: bool) -> None:
        """Switch the profiler off and look at what was written.

        Args:
            cut: whether a step had begun that has not ended.
        """
        if self._profiler is None:
            return
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        # torch's profiler is part of a cycle, and its events are hundreds of megabytes that
        # nothing else in the training will need.
        del profiler
        allocator.give_back()
        path, self._written = self._written, None
        if path is not None:
            self._read_back(path, cut=cut)
        elif not self._ready:
            self._note(
                f"no trace of epoch {self._about['epoch']} ({self._about['stage']}): it ended "
                "before a step was recorded"
            )

    def enter(self, region: str) -> None:
        """A named part of the step begins."""
        if self._profiler is not None and region not in self._regions:
            self._regions[region] = record_function(region)
            self._regions[region].__enter__()  # type: ignore[no-untyped-call]

    def leave(self, region: str) -> None:
        """It ends; nothing happens where it had begun before the window."""
        if (entered := self._regions.pop(region, None)) is not None:
            entered.__exit__(None, None, None)

    def save(self) -> None:
        """Write ``rank<N>.json``, with the windows so far and the notes."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic_files.write_json(self._folder / f"rank{self._rank}.json", self._content)
        except OSError as error:
            self._note(f"its figures could not be written: {error}")

    @property
    def content(self) -> dict[str, Any]:
        """What ``rank<N>.json`` holds."""
        return self._content

    @property
    def windows(self) -> list[dict[str, Any]]:
        """What each window said: see :func:`src.profiling.summary.summarize`."""
        windows: list[dict[str, Any]] = self._content["windows"]
        return windows

    def _leave_all(self) -> None:
        for region in reversed(list(self._regions)):
            self.leave(region)

    def _write(self, profiler: profile) -> None:
        self._ready = True
        name = f"{self._about['stage']}-rank{self._rank}.{time.time_ns()}"
        # Under a name by which no viewer looks for it until it is whole.
        temporary = self._folder / f".{name}.json.gz"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(temporary))
            self._written = temporary.replace(self._folder / f"{name}{TRACE_SUFFIX}")
        except (OSError, RuntimeError) as error:  # the disk is full, or torch has nothing to write
            self._note(f"a trace could not be written: {error}")
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _read_back(self, path: Path, *, cut: bool) -> None:
        size = path.stat().st_size
        try:
            figures = reading.figures(path.resolve(), self._about["stage"], cut=cut)
        except ValueError as error:
            self._note(f"{path.name} is broken: {error}")
            return
        window: dict[str, Any] = {**self._about, "file": path.name, "bytes": size, **figures}
        self._largest_step = max(self._largest_step, size // max(1, len(window["step_seconds"])))
        if size > self._bytes_left:
            path.unlink()
            window["file"] = None
            self._note(
                f"a trace of {size} bytes was not kept: profiler.max_trace_bytes="
                f"{self._options.max_trace_bytes}; its figures were"
            )
        else:
            self._bytes_left -= size
        for problem in window["problems"]:
            self._note(f"{path.name}: {problem}")
        self.windows.append(window)
        self.save()

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _schedule(first: int, warmup: int, active: int) -> Any:
    def action(step: int) -> ProfilerAction:
        done = max(0, step - first)
        if done < warmup:
            return ProfilerAction.WARMUP
        if done < warmup + active - 1:
            return ProfilerAction.RECORD
        return ProfilerAction.RECORD_AND_SAVE if done < warmup + active else ProfilerAction.NONE

    return action
