"""The training of a candidate to a rung by ``src.train``, on the machine that runs this code."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Protocol

from src.benchmark.training_curves import top1_by_epoch
from src.callbacks.pause import PauseAfterEpoch
from src.errors import UsageError, one_line
from src.forecast.candidate import Request
from src.forecast.costs import epochs_of
from src.forecast.stage import last_line
from src.run.folder import Run
from src.search import run_words
from src.search.occupancy import held_for_training
from src.search.trials import Trained, TrialError, slug

LOGS = "logs"


class Command(Protocol):
    """Runs commands of this project."""

    def __call__(
        self, module: str, words: Sequence[str], log: Path, /, *, kept_open: Sequence[int] = ()
    ) -> int:
        """Run ``python -m MODULE WORDS...`` with the output in a file, and return the exit code.

        Args:
            module: of the command.
            words: the command line, without the program's name.
            log: file for the output.
            kept_open: descriptors that the new process inherits.
        """


def train(
    folder: Path, request: Request, key: str, epoch: int, epochs: int, run_command: Command
) -> Trained:
    """Train a candidate until an epoch, from ``last.ckpt`` if there is one.

    Wait for a training of the candidate that a killed command or a lost worker left behind.

    Args:
        folder: of the search; it has a folder ``logs``.
        request: the candidate.
        key: of the training.
        epoch: epochs to have been trained at the end of this step.
        epochs: of the whole training.
        run_command: runs a command.

    Raises:
        TrialError: the training failed.
    """
    place = slug(request, key)
    root = folder / place
    with held_for_training(root) as lock:
        run = _newest_run(root)
        if run is None or _progress(Run.of(run))[0] < epoch:
            if run is not None:
                run_words.forget(Run.of(run))
            words = words_of(request, root, resumes=run is not None)
            if epoch < epochs:
                words.append(pause_after(epoch))
            run_logged(run_command, folder, "src.train", words, place.name, kept_open=[lock])
            run = _newest_run(root)
            if run is not None:
                run_words.note(Run.of(run), request)
    if run is None:
        raise TrialError(f"{request.name}: the training left no checkpoint")
    reached, best = _progress(Run.of(run))
    whole = _whole_epochs(Run.of(run))
    if whole is not None and reached >= whole:
        epoch = min(epoch, whole)
    if reached < epoch:
        raise TrialError(f"{request.name}: the training ended after epoch {reached}")
    # Not resolved: a folder on the way may be a link to another disk.
    relative = str(run.relative_to(folder))
    if reached != epoch:
        best = _best_until(Run.of(run), epoch, best)
    return Trained(relative, epoch, best, whole)


def run_logged(
    run_command: Command,
    folder: Path,
    module: str,
    words: Sequence[str],
    name: str,
    *,
    kept_open: Sequence[int] = (),
) -> None:
    """Run a command with its output in the folder ``logs`` of a search.

    Raises:
        TrialError: its exit code is not 0.
    """
    log = folder / LOGS / f"{name}-{module.removeprefix('src.')}.txt"
    code = run_command(module, words, log, kept_open=kept_open)
    if code:
        reason = last_line(log) or f"exit code {code}"
        if code < 0:
            signal = f"ended by signal {-code}"
            reason = f"{signal}, as for want of memory" if -code == SIGKILL else signal
        raise TrialError(one_line(f"{module}: {reason} (see {os.path.relpath(log)})"))


def pause_after(epoch: int) -> str:
    """Return the word of a command line that pauses a training after an epoch."""
    kind = f"{PauseAfterEpoch.__module__}.{PauseAfterEpoch.__qualname__}"
    value = {"class_path": kind, "init_args": {"epochs": epoch}}
    return f"trainer.callbacks+={json.dumps(value)}"


def words_of(request: Request, root: Path, *, resumes: bool) -> list[str]:
    """Return the command line of a candidate's training to its end.

    Args:
        request: the candidate.
        root: folder of its runs.
        resumes: True if there is a checkpoint.
    """
    return [
        *request.words,
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


def _newest_run(root: Path) -> Path | None:
    """Return the folder of the newest run; None if there is no checkpoint yet."""
    checkpoints = root.glob("lightning_logs/*/version_*/checkpoints/last.ckpt")
    runs = {path.parents[1].name.removeprefix("version_"): path.parents[1] for path in checkpoints}
    numbers = [number for number in runs if number.isdecimal()]
    return runs[max(numbers, key=int)] if numbers else None


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


def _whole_epochs(run: Run) -> int | None:
    """Return the epochs of the whole training by its configuration; None if they are unknown."""
    if not run.config.is_file():
        return None
    try:
        return epochs_of(run.read_config())
    except UsageError:
        return None


def _best_until(run: Run, epoch: int, best: float) -> float:
    """Return the best validation top-1 until an earlier epoch, from the curve of the training.

    The curve of a training that was killed may lack epochs. Then the present best is returned,
    which may be of a later epoch.
    """
    until = {at: value for at, value in top1_by_epoch(run.folder).items() if at <= epoch}
    return max(until.values()) if set(until) >= set(range(1, epoch + 1)) else best
