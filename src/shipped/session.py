"""One process of an exam: it loads the model, answers the exam, and times calls.

``measure.py`` starts it: requests and answers are lines of JSON on standard input and output. The
rules are those of Lightship's worker processes (``src/worker``: server, stopwatch, pipeline, idle,
memory_peak): it imports the runtime and nothing else of the kind; a warm-up ends when the speed has
no direction; a turn begins with 20 ms of untimed calls and runs without garbage collection; it
answers only when its threads are idle. A call goes from an input to checked logits, in the host's
memory.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P leaves it out

if TYPE_CHECKING or __package__:  # a part of a package
    from . import exam_files, machine
    from .stages import STAGES, StageWatch
    from .warm_up import is_steady, of_files
else:  # in the folder of a model
    import exam_files
    import machine
    from stages import STAGES, StageWatch
    from warm_up import is_steady, of_files

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]

WINDOW_CALLS, WINDOW_SECONDS = 3, 0.05  # of a warm-up window, at least
TURN_WARMUP_SECONDS = 0.02
LEAST_CALLS, MOST_CALLS, STEADY = 3, 20, 0.01  # until the peak of memory no longer grows
IDLE_CHECK_SECONDS, IDLE_SHARE, IDLE_CEILING_SECONDS = 0.005, 0.1, 0.5
IDLE_LOOKS = 2  # in a row: on a busy machine a thread that spins may not run during one
MOST_UNEXPLAINED = 0.03  # share of a call by which the stages may miss the outer clock


class Session:
    """The model in this process.

    Args:
        folder: of the model and the exam.
    """

    def __init__(self, folder: Path) -> None:
        self._program: Any = importlib.import_module("predict")  # Pillow and numpy only
        self._exam = exam_files.read(folder)
        self._contents = self._exam.contents()
        # Arrays are read here, so that they are no part of the memory of the model.
        self._tensors = [] if self._contents else self._exam.inputs(_NoModel())
        self._empty_rss = machine.peak_rss_bytes()
        self._model: Any = None
        self._first: Array = np.empty(0)
        self._call: Callable[[], object] = _not_loaded

    def load(self, settings: Json, timed: bool = True) -> Json:
        """Import the runtime, load the model, and call it once.

        Args:
            settings: of the model, by argument.
            timed: this process will be timed, so it takes the highest priority that it may have.
        """
        if timed:
            with contextlib.suppress(OSError, AttributeError):  # not permitted, or Windows
                os.setpriority(os.PRIO_PROCESS, 0, -20)
        before = perf_counter()
        self._model = self._program.Model(**settings)
        loaded = perf_counter()
        self._first = self._first_input()
        self._call = self._model.call([self._first])
        first = self._once()
        return {
            "load_seconds": loaded - before,
            "first_seconds": first,
            "class_names": list(self._model.class_names),
            "embedded": self._model.embedded,
            # A file with its preprocessing inside takes images of all sizes, not its own input.
            "takes_pixels": self._first.dtype == np.uint8 and not self._model.embedded,
            "nice": os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else None,
        }

    def batch(self, start: int) -> Json:
        """Return the logits from image ``start`` on, and the number of images that are left.

        They are as many at once as where the model was packed. The last batch is filled up with its
        last image, because a runtime may take other kernels for another number of images.
        """
        size = self._exam.batch
        answer = self._answers(slice(start, start + size), size)
        return {**answer, "left": max(0, len(self._exam.labels) - start - size)}

    def answer(self, image: int) -> Json:
        """Return the logits of one image, (1, K), computed alone."""
        return self._answers(slice(image, image + 1), 1)

    def _answers(self, chosen: slice, size: int) -> Json:
        batch = self._tensors[chosen] or self._exam.inputs(self._model, chosen)
        filled = [*batch, *[batch[-1]] * (size - len(batch))]
        logits = self._model.logits(filled)[: len(batch)].astype("<f4")
        return {"logits": base64.b64encode(logits.tobytes()).decode(), "shape": logits.shape}

    def warm_up(self, tolerance: float, max_seconds: float) -> Json:
        """Call until the medians of windows are steady: see :func:`is_steady`."""
        started = perf_counter()
        medians, warm = [_window(self._once)], False
        while not warm and perf_counter() - started < max_seconds:
            medians.append(_window(self._once))
            warm = is_steady(medians, tolerance)
        return {"warm": warm, "settled": wait_until_idle()}

    def warm_up_files(self, files: list[int], tolerance: float, max_seconds: float) -> Json:
        """Classify image files until the speed is steady: see :func:`of_files`."""
        contents = [self._contents[index] for index in files]
        watch = StageWatch(self._program, self._model)
        warm = of_files(
            lambda one: watch.once(one)[0], contents, tolerance, max_seconds, perf_counter
        )
        watch.restore()
        return {"warm": warm, "settled": wait_until_idle()}

    def time(self, samples: int, max_seconds: float) -> Json:
        """Time one turn: at most ``samples`` calls, none started after ``max_seconds``."""
        cpu_before = process_time()
        self._unmeasured(self._once)
        with _no_garbage_collection():
            busy, started = process_time(), perf_counter()
            seconds = [self._once()]
            while len(seconds) < samples and perf_counter() - started < max_seconds:
                seconds.append(self._once())
            elapsed, busy = perf_counter() - started, process_time() - busy
        return _turn(seconds, elapsed, busy, cpu_before)

    def pipeline(self, files: list[int], samples: int, max_seconds: float) -> Json:
        """Time one turn from the bytes of image files to their labels, in passes over the files."""
        cpu_before = process_time()
        contents = [self._contents[index] for index in files]
        stopwatch = StageWatch(self._program, self._model)
        self._unmeasured(lambda: stopwatch.once(contents[0]))
        calls: list[tuple[float, list[float]]] = []
        with _no_garbage_collection():
            busy, started = process_time(), perf_counter()
            while not calls or (
                len(calls) + len(contents) <= samples and perf_counter() - started < max_seconds
            ):
                calls += [stopwatch.once(content) for content in contents]
            elapsed, busy = perf_counter() - started, process_time() - busy
        stopwatch.restore()
        seconds = [whole for whole, _ in calls]
        sums = np.array([sum(parts) for _, parts in calls])
        missed = float(np.median(np.abs(np.array(seconds) - sums) / np.array(seconds)))
        if missed > MOST_UNEXPLAINED:
            raise ValueError(f"the stages miss the whole by {missed:.1%} of its time")
        stages = {
            stage: [parts[number] for _, parts in calls] for number, stage in enumerate(STAGES)
        }
        return {**_turn(seconds, elapsed, busy, cpu_before), "stages": stages}

    def peak(self) -> Json:
        """Return the peak memory above that of a process that has loaded nothing, when steady."""
        peaks: list[int] = []
        while len(peaks) < MOST_CALLS:
            self._once()
            peak = machine.peak_rss_bytes()
            if peak is None or self._empty_rss is None:
                return {"bytes": None}
            peaks.append(peak - self._empty_rss)
            grown = peaks[-1] - peaks[-min(LEAST_CALLS, len(peaks))]
            if len(peaks) >= LEAST_CALLS and grown <= STEADY * abs(peaks[-1]):
                break
        return {"bytes": peaks[-1]}

    def _first_input(self) -> Array:
        if self._tensors:
            return self._tensors[0]
        prepared: Array = self._model.prepare(io.BytesIO(self._contents[0]))
        return prepared

    def _once(self) -> float:
        call, started = self._call, perf_counter()
        call()
        return perf_counter() - started

    def _unmeasured(self, call: Callable[[], object]) -> None:
        end = perf_counter() + TURN_WARMUP_SECONDS
        call()
        while perf_counter() < end:
            call()


def _not_loaded() -> None:
    raise ValueError("the model is not loaded yet")


class _NoModel:
    """Stands for the model where an exam of arrays asks for none."""

    def prepare(self, file: io.BytesIO) -> Array:
        raise ValueError("an exam of arrays has no image files")


def _window(once: Callable[[], float]) -> float:
    end = perf_counter() + WINDOW_SECONDS
    seconds = [once() for _ in range(WINDOW_CALLS)]
    while perf_counter() < end:
        seconds.append(once())
    return statistics.median(seconds)


def wait_until_idle() -> bool:
    """Wait until this process uses no CPU; False if it still does at the ceiling."""
    end, idle = perf_counter() + IDLE_CEILING_SECONDS, 0
    while perf_counter() < end:
        wall, cpu = perf_counter(), process_time()
        time.sleep(IDLE_CHECK_SECONDS)
        used = process_time() - cpu
        idle = idle + 1 if used < IDLE_SHARE * (perf_counter() - wall) else 0
        if idle == IDLE_LOOKS:
            return True
    return False


@contextlib.contextmanager
def _no_garbage_collection() -> Any:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _turn(seconds: list[float], elapsed: float, busy: float, cpu_before: float) -> Json:
    settled = wait_until_idle()
    return {
        "seconds": seconds,
        "elapsed_seconds": elapsed,
        "cpu_seconds": busy,
        "settled": settled,
        "request_cpu_seconds": process_time() - cpu_before,
    }


def serve(session: Session, requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until the other side closes."""
    for line in requests:
        request = json.loads(line)
        name = request.pop("do")
        try:
            answer = getattr(session, name)(**request)
        except Exception as error:  # sent to the parent, which tells it
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    # A runtime's own output must not mix with the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(Session(Path(__file__).resolve().parent), sys.stdin, answers)


if __name__ == "__main__":
    main()
