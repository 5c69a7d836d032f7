"""Recorder of one process: records each window, writes its trace and summarizes it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import msgspec
from torch.profiler import ProfilerAction, profile, record_function

from src.errors import UsageError
from src.profiling import allocator
from src.profiling.options import ProfilingOptions
from src.profiling.plan import Window
from src.profiling.subprocess_summary import summarize_in_subprocess
from src.run.folder import TRACE_SUFFIX, read_training_profile
from src.run.training_profile import Choice, Context, Place, TrainingProfile
from src.run.training_profile import Window as RecordedWindow
from src.system import atomic_files


class Recorder:
    """Writer of one process's traces and, in ``rank<N>.json``, of their summaries.

    It holds a profiler only while a window is open, so that its memory does not grow with the
    training. A failure to record is added to :attr:`notes` and never stops the training. A resumed
    training adds to the windows and notes that are in the file.

    Args:
        folder: folder of the run's traces.
        rank: rank of this process.
        processes: number of training processes, which share ``options.max_trace_bytes``.
        options: what to record.
        context: settings of the training that explain its speed.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        processes: int,
        options: ProfilingOptions,
        context: Context,
    ) -> None:
        self._folder = folder
        self._rank = rank
        self._options = options
        self._bytes_left = options.max_trace_bytes // processes
        self._max_step_bytes = 0  # largest size of a trace over its steps
        self._profiler: profile | None = None
        self._regions: dict[str, record_function] = {}
        # The open window, or the last one.
        self._place = Place(stage="train", epoch=0, global_step=0, first_step=0)
        self._has_recorded = False  # in this window
        self._trace: Path | None = None
        self.notes: list[str] = []
        self.windows: list[RecordedWindow] = []
        self._context = context
        self.steps_per_update = 1  # steps of a window between two steps of the optimizer
        self._continue_file()

    def _continue_file(self) -> None:
        """Take over the windows of the training so far, whose traces count as bytes used up."""
        path = self._folder / f"rank{self._rank}.json"
        try:
            if not path.is_file():
                return
            earlier = read_training_profile(path)
        except (UsageError, OSError) as error:
            self._note(f"the windows of the training so far are lost: {error}")
            return
        self.notes.extend(earlier.notes)
        self.windows.extend(earlier.windows)
        for window in earlier.windows:
            self._note_size(window.bytes, len(window.step_seconds))
            if window.file is not None:
                self._bytes_left -= window.bytes

    @property
    def recording(self) -> bool:
        """True while a window is open."""
        return self._profiler is not None

    def open(self, window: Window, stage: str, epoch: int, step: int, global_step: int) -> None:
        """Start the profiler for the step that begins now, if its bytes are not used up.

        Args:
            window: gives the number of steps.
            stage: ``train`` or ``val``.
            epoch: number of the epoch, from 0.
            step: number of the first step in the trace.
            global_step: step of the training, the x axis of the logged scalars.
        """
        active = window.active
        if self._max_step_bytes:
            active = min(active, self._bytes_left // self._max_step_bytes)
        if active < 1:
            self._note(
                f"no window in epoch {epoch} ({stage}): it would pass profiler.max_trace_bytes="
                f"{self._options.max_trace_bytes}"
            )
            return
        self._place = Place(
            stage=stage,
            epoch=epoch,
            global_step=global_step,
            first_step=step + window.warmup,
        )
        self._has_recorded = False
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
        """End a step; write the trace after the last one of the window."""
        if self._profiler is None:
            return
        self._leave_all_regions()
        self._profiler.step()
        if self._profiler.current_action is ProfilerAction.NONE:
            self._end(cut=False)

    def close(self) -> None:
        """End the open window, if any, and keep its complete steps."""
        if self._profiler is not None:
            self._leave_all_regions()
            self._end(cut=True)

    def _end(self, *, cut: bool) -> None:
        """Stop the profiler and summarize the trace.

        Args:
            cut: True if a step has begun and not ended.
        """
        if self._profiler is None:
            return
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        # torch's profiler is part of a reference cycle and holds hundreds of megabytes of events,
        # which nothing else in the training reuses.
        del profiler
        allocator.release_free_memory()
        path, self._trace = self._trace, None
        if path is not None:
            self._summarize(path, cut=cut)
        elif not self._has_recorded:
            self._note(
                f"no trace of epoch {self._place.epoch} ({self._place.stage}): it ended "
                "before a step was recorded"
            )

    def enter(self, region: str) -> None:
        """Begin a named region of the step."""
        if self._profiler is not None and region not in self._regions:
            self._regions[region] = record_function(region)
            self._regions[region].__enter__()  # type: ignore[no-untyped-call]

    def leave(self, region: str) -> None:
        """End a region; ignore one that began before the window."""
        if (record := self._regions.pop(region, None)) is not None:
            record.__exit__(None, None, None)

    def save(self) -> None:
        """Write ``rank<N>.json`` with the windows so far and the notes."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            content = msgspec.to_builtins(self.training_profile)
            atomic_files.write_json(self._folder / f"rank{self._rank}.json", content)
        except OSError as error:
            self._note(f"its figures could not be written: {error}")

    @property
    def training_profile(self) -> TrainingProfile:
        """The windows and notes so far: the content of ``rank<N>.json``."""
        return TrainingProfile(
            rank=self._rank,
            options=Choice(spread=self._options.spread, active=self._options.active),
            context=self._context,
            notes=self.notes,
            windows=self.windows,
        )

    def _leave_all_regions(self) -> None:
        for region in reversed(list(self._regions)):
            self.leave(region)

    def _write(self, profiler: profile) -> None:
        self._has_recorded = True
        name = f"{self._place.stage}-rank{self._rank}.{time.time_ns()}"
        # Write under a name that no viewer looks for, and rename the complete file.
        temporary = self._folder / f".{name}.json.gz"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(temporary))
            self._trace = temporary.replace(self._folder / f"{name}{TRACE_SUFFIX}")
        except (OSError, RuntimeError) as error:  # a full disk, or no events
            self._note(f"a trace could not be written: {error}")
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _summarize(self, path: Path, *, cut: bool) -> None:
        size = path.stat().st_size
        try:
            figures = summarize_in_subprocess(
                path.resolve(), self._place.stage, cut=cut, steps_per_update=self.steps_per_update
            )
        except ValueError as error:
            self._note(f"{path.name} is broken: {error}")
            return
        self._note_size(size, len(figures.step_seconds))
        kept = size <= self._bytes_left
        if not kept:
            path.unlink()
            self._note(
                f"a trace of {size} bytes was not kept: profiler.max_trace_bytes="
                f"{self._options.max_trace_bytes}; its figures were"
            )
        else:
            self._bytes_left -= size
        for problem in figures.problems:
            self._note(f"{path.name}: {problem}")
        self.windows.append(
            RecordedWindow(
                **msgspec.structs.asdict(self._place),
                file=path.name if kept else None,
                bytes=size,
                **msgspec.structs.asdict(figures),
            )
        )
        self.save()

    def _note_size(self, size: int, steps: int) -> None:
        self._max_step_bytes = max(self._max_step_bytes, size // max(1, steps))

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
