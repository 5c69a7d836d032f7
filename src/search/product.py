"""The steps of a search by the commands that a user runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from src.benchmark.statistics.latency import call_seconds
from src.benchmark.statistics.verdict import keeps_budget
from src.benchmark.training_curves import read as read_curves
from src.callbacks.pause import PauseAfterEpoch
from src.errors import UsageError, one_line
from src.forecast import stage as forecasts
from src.forecast.candidate import Request
from src.forecast.records import Candidate
from src.forecast.stage import last_line
from src.run.circumstances import Environment
from src.run.folder import Run
from src.run.row import Row
from src.search.limits import BATCH_SIZE
from src.search.records import JudgedFile
from src.search.trials import Judged, Trained, TrialError, slug

LOGS = "logs"

# Runs ``python -m MODULE ARGV...`` with the output in a file, and returns the exit code.
Command = Callable[[str, Sequence[str], Path], int]


@dataclass(frozen=True)
class ProductTrials:
    """Forecasts, trains and judges by ``src.forecast``, ``src.train``, ``export``, ``benchmark``.

    Args:
        folder: of the search; it has a folder ``logs``.
        forecast_folder: of ``forecast.json``, which other forecasts may use as well.
        environment: the machine and the versions.
        command: the command line, for the record of the forecast.
        forecast_training: runs the short training of a forecast.
        run_command: runs a command.
    """

    folder: Path
    forecast_folder: Path
    environment: Environment
    command: str
    forecast_training: forecasts.Train
    run_command: Command

    def forecast(self, request: Request) -> Candidate:
        """Return the cost of a candidate, from ``forecast.json`` if it is known."""
        made = forecasts.forecast(
            [request],
            self.environment,
            self.command,
            self.forecast_folder,
            self.forecast_training,
            _quiet,
        )
        return made.candidates[0]

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        """Train until an epoch, from ``last.ckpt`` if there is one."""
        root = self.folder / slug(request, key)
        run = _newest_run(root)
        if run is None or _progress(run)[0] < epoch:
            words = self._training_words(request, root, resumes=run is not None)
            if epoch < epochs:
                words.append(pause_after(epoch))
            self._run("src.train", words, slug(request, key).name)
            run = _newest_run(root)
        if run is None:
            raise TrialError(f"{request.name}: the training left no checkpoint")
        reached, best = _progress(run)
        if reached < epoch:
            raise TrialError(f"{request.name}: the training ended after epoch {reached}")
        relative = str(run.folder.relative_to(self.folder.resolve()))
        return Trained(relative, epoch, best if reached == epoch else _best_until(run, epoch, best))

    def judge(self, run: str, formats: Sequence[str]) -> Judged:
        """Export and measure a run, and return its files."""
        from src.data.restore import data_of  # imports torch and Lightning

        if not self.is_present(run):
            raise TrialError(f"{run or 'the run'} is missing; the next search trains it again")
        opened = Run.open(self.folder / run)
        log = Path(run).parent.parent.parent.name
        folder = str(opened.folder)
        try:
            self._run("src.export", [folder, f"--formats={json.dumps(list(formats))}"], log)
        except TrialError:
            if not _exported(opened, formats):
                raise
        self._run("src.benchmark", [folder], log)
        results = opened.read_benchmark()
        timed = {row.format for row in results.rows if row.is_ok}
        files = [
            _judged_file(row, Path(run), results.baseline)
            for row in results.rows
            # A format that was timed on another device needs no second line.
            if row.is_ok or (row.format in formats and row.format not in timed)
        ]
        return Judged(files, data_of(opened).count("val"))

    def is_present(self, folder: str) -> bool:
        """Return True if a file's folder, or a run with its last checkpoint, is there."""
        path = self.folder / folder
        if path.parent.name == "exports":
            return path.is_dir()
        return bool(folder) and Run.of(path).last_checkpoint.is_file()

    def _training_words(self, request: Request, root: Path, *, resumes: bool) -> list[str]:
        size = [f"data.image_size={request.image_size}"] if request.image_size else []
        return [
            f"model={request.model}",
            *size,
            *request.rest,
            "profiler=none",
            # Also where a file of the user says otherwise: rungs are compared by this.
            "checkpoint.monitor=val/top1",
            "checkpoint.mode=max",
            "finetune.patience=0",
            "export.enabled=false",
            "benchmark.enabled=false",
            "twin.enabled=false",
            f"trainer.default_root_dir={root}",
            *(["ckpt_path=last"] if resumes else []),
        ]

    def _run(self, module: str, words: Sequence[str], name: str) -> None:
        """Run a command.

        Raises:
            TrialError: its exit code is not 0.
        """
        log = self.folder / LOGS / f"{name}-{module.removeprefix('src.')}.txt"
        code = self.run_command(module, words, log)
        if code:
            reason = last_line(log) or f"exit code {code}"
            if code < 0:
                signal = f"ended by signal {-code}"
                reason = f"{signal}, as for want of memory" if -code == SIGKILL else signal
            raise TrialError(one_line(f"{module}: {reason} (see {os.path.relpath(log)})"))


def _exported(run: Run, formats: Sequence[str]) -> bool:
    """Return True if at least one of the formats was exported."""
    try:
        manifest = run.read_manifest()
    except UsageError:
        return False
    return any(entry.status == "ok" for name, entry in manifest.formats.items() if name in formats)


def pause_after(epoch: int) -> str:
    """Return the word of a command line that pauses a training after an epoch."""
    kind = f"{PauseAfterEpoch.__module__}.{PauseAfterEpoch.__qualname__}"
    value = {"class_path": kind, "init_args": {"epochs": epoch}}
    return f"trainer.callbacks+={json.dumps(value)}"


def _quiet(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
    """Take the progress of a single forecast, which the search reports itself."""


def _newest_run(root: Path) -> Run | None:
    """Return the run that a training goes on in; None if there is no checkpoint yet."""
    checkpoints = root.glob("lightning_logs/*/version_*/checkpoints/last.ckpt")
    runs = {path.parents[1].name.removeprefix("version_"): path.parents[1] for path in checkpoints}
    numbers = [number for number in runs if number.isdecimal()]
    return Run.of(runs[max(numbers, key=int)]) if numbers else None


def _progress(run: Run) -> tuple[int, float]:
    """Return the epochs of a training and its best validation top-1, from ``last.ckpt``.

    Raises:
        TrialError: it is not a checkpoint of Lightship.
    """
    from src.export.source import read_progress  # imports torch

    try:
        return read_progress(run.last_checkpoint)
    except UsageError as error:
        raise TrialError(str(error)) from error


def _best_until(run: Run, epoch: int, best: float) -> float:
    """Return the best validation top-1 until an earlier epoch, from the curve of the training.

    The curve of a training that was killed may lack epochs. Then the present best is returned,
    which may be of a later epoch.
    """
    curves = read_curves(run.folder)
    curve = curves.val_top1 if curves else None
    if curve is None:
        return best
    points = zip(curve.epochs, curve.values, strict=True)
    until = {round(at): value for at, value in points if at <= epoch}
    return max(until.values()) if set(until) >= set(range(1, epoch + 1)) else best


def _judged_file(row: Row, run: Path, baseline: str) -> JudgedFile:
    cell = row.cell(BATCH_SIZE)
    if not row.is_ok or row.accuracy is None or cell is None:
        reason = row.reason or f"not timed with {BATCH_SIZE} image: add it to benchmark.batch_sizes"
        return JudgedFile(
            format=row.format,
            device=row.device,
            status="failed" if row.is_ok else row.status,
            reason=reason,
        )
    return JudgedFile(
        format=row.format,
        device=row.device,
        status="ok",
        folder=str(run / "exports" / row.format),
        size_bytes=row.size_bytes,
        latency=call_seconds(cell),
        peak_rss_bytes=_not_negative(cell.peak_memory.peak_rss_bytes if cell.peak_memory else None),
        top1=row.accuracy.top1,
        images=row.accuracy.images,
        keeps_budget=keeps_budget(row, baseline),
    )


def _not_negative(value: int | None) -> int | None:
    return None if value is None else max(0, value)
