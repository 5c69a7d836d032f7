"""The run folder that a command of ``src.train`` works in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from src.cli.rollback import RunRollback
from src.errors import UsageError
from src.export.source import Checkpoint
from src.models.classifier import Classifier
from src.run import folder as runs
from src.run.folder import Run


@dataclass(frozen=True)
class RunRequest:
    """The options by which a run is chosen.

    Args:
        root: ``trainer.default_root_dir``.
        model: the model of the command.
        subcommand: fit, validate, test or predict.
        ckpt_path: best, last, the path of a checkpoint, or None.
        is_trial: True with ``trainer.fast_dev_run``, which keeps nothing.
    """

    root: Path
    model: Classifier
    subcommand: str
    ckpt_path: str | None
    is_trial: bool


def open_run(request: RunRequest, rollback: RunRollback) -> Run | None:
    """Return a new run folder, or the newest one with the checkpoint that ``ckpt_path`` names.

    Return None for a trial, in processes other than rank 0, and for a checkpoint outside all runs,
    which is only read.

    Raises:
        UsageError: there is no such run or checkpoint, or it does not fit the model.
    """
    root, ckpt_path = request.root, request.ckpt_path
    if ckpt_path in {"best", "last"}:
        return _newest_with(root, ckpt_path, request.model)
    if ckpt_path is None and request.subcommand != "fit":
        raise UsageError(
            "ckpt_path",
            expected="best, last or a checkpoint's path, for new weights know nothing",
            found="nothing",
            remedy="add ckpt_path=best",
        )
    if ckpt_path is not None:
        if not Path(ckpt_path).is_file():
            raise UsageError(
                "ckpt_path",
                expected="best, last or a checkpoint's path",
                found=f"{ckpt_path}, which is no file",
                remedy="see lightning_logs/",
            )
        _require_fitting(Path(ckpt_path), request.model)
        if request.subcommand != "fit":
            return runs.around(Path(ckpt_path))
    if request.is_trial:
        return None
    if not is_rank_zero():
        return None  # rank 0 creates the folder and broadcasts its path
    run = runs.create(root, request.model.name)
    rollback.created(run)
    return run


def is_rank_zero() -> bool:
    """Return True in the first process of a training, or in the only one."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]  # set when it is imported


def _newest_with(root: Path, ckpt_path: str, model: Classifier) -> Run:
    run = runs.newest(root, model.name, having=f"checkpoints/{ckpt_path}.ckpt")
    if run is None:
        raise UsageError(
            "ckpt_path",
            expected=f"a run of {model.name} with checkpoints/{ckpt_path}.ckpt",
            found=f"none in {root / runs.LOG_FOLDER / model.name}",
            remedy="train without ckpt_path first, or name the file",
        )
    _require_fitting(run.folder / "checkpoints" / f"{ckpt_path}.ckpt", model)
    return run


def _require_fitting(checkpoint: Path, model: Classifier) -> None:
    Checkpoint.read(checkpoint).require_for(model.spec, model.class_names)
