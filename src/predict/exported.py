"""An exported file of a run, ready to be asked: which one, and how it was measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src import machine
from src.benchmark.answer import UnusableAnswer, logits_of
from src.benchmark.process import Limits, NotFiniteError, WorkerError, WorkerProcess
from src.data.preprocessing import Preprocessing
from src.errors import LightshipError, UsageError
from src.formats.base import Unavailable
from src.predict.options import PredictOptions
from src.runs import Run


class NoAnswerError(LightshipError):
    """A file gives no finite logits for some images.

    Args:
        name: the format.
        images: the positions of these images among those that were given.
    """

    def __init__(self, name: str, images: Sequence[int]) -> None:
        super().__init__(
            f"{name}: the logits of {len(images)} images are not finite, so they say nothing; "
            "measure the run with python -m src.benchmark RUN, or name another format"
        )
        self.images = tuple(images)


class ExportedFile:
    """A format of a run, loaded in a process of its own: see :func:`open_file`.

    Args:
        name: the format.
        worker: that has loaded it.
        manifest: of the run's exports.
    """

    def __init__(self, name: str, worker: WorkerProcess, manifest: dict[str, Any]) -> None:
        self.name = name
        self.class_names: list[str] = manifest["class_names"]
        self.preprocessing = Preprocessing.from_dict(manifest["preprocessing"])
        self._worker = worker

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n, K) for images (n, 3, H, W), bit for bit those of the evaluation.

        Raises:
            NoAnswerError: those of some images are not finite.
            LightshipError: the file's process failed.
        """
        try:
            return logits_of(self._worker.answer(images), len(images), len(self.class_names))
        except (NotFiniteError, UnusableAnswer) as error:
            if error.images:
                raise NoAnswerError(self.name, error.images) from error
            raise LightshipError(f"{self.name}: {error}") from error
        except WorkerError as error:
            raise LightshipError(f"{self.name}: {error}") from error


@contextlib.contextmanager
def open_file(run: Run, options: PredictOptions) -> Iterator[ExportedFile]:
    """Load the format that ``options`` name, or the recommended one.

    Raises:
        UsageError: there is no such export, or it does not run here.
        LightshipError: it could not be loaded.
    """
    manifest = run.read_manifest()
    name = options.format or recommended(run, options.device)
    require_exported(manifest, name)
    limits = Limits(
        threads=options.threads or measured_threads(run),
        answer_seconds=options.timeout_seconds,
        resident_bytes=options.memory_limit,
        group="",
        first=False,
    )
    with contextlib.closing(
        WorkerProcess(name, run.exports / name, options.device, limits)
    ) as worker:
        try:
            worker.ask("load", classes=len(manifest["class_names"]))
        except Unavailable as reason:
            raise UsageError(
                "format",
                expected=f"one that runs on {options.device} here",
                found=f"{name}: {reason}",
                remedy="name another format, or another device",
            ) from reason
        except WorkerError as error:
            raise LightshipError(f"{name}: {error}") from error
        yield ExportedFile(name, worker, manifest)


def recommended(run: Run, device: str) -> str:
    """The format that the run's last measurement recommends on ``device``.

    Raises:
        UsageError: the run was not measured there.
    """
    found: str | None = None
    if run.benchmark.is_file():
        found = run.read_benchmark()["recommended"].get(device)
    if found is None:
        raise UsageError(
            "format",
            expected=f"a format, for no measurement recommends one on {device}",
            found="nothing",
            remedy=f"name one of {', '.join(_exported(run.read_manifest()))}, as in format=NAME",
        )
    return found


def require_exported(manifest: dict[str, Any], name: str) -> None:
    """Refuse a format that the run has no file of.

    Raises:
        UsageError: it was not exported.
    """
    if name not in _exported(manifest):
        raise UsageError(
            "format",
            expected=f"one of the exported formats {', '.join(_exported(manifest))}",
            found=name,
            remedy=f"export it with python -m src.export RUN formats=[{name}]",
        )


def measured_threads(run: Run) -> int:
    """The threads that the run was measured with, or as many as there are cores."""
    cores = machine.usable_cores()
    if not run.benchmark.is_file():
        return cores
    return min(cores, int(run.read_benchmark()["environment"]["threads"]))


def _exported(manifest: dict[str, Any]) -> list[str]:
    return [name for name, entry in manifest["formats"].items() if entry["status"] == "ok"]
