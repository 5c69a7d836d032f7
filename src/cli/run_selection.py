"""The run folder that a command of ``src.train`` works in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.utilities import rank_zero_only

from src.cli.rollback import RunRollback
from src.cli.run_lock import RunLock
from src.errors import UsageError
from src.export.source import Checkpoint
from src.models.classifier import Classifier
from src.run import folder as runs
from src.run.folder import Run
from src.system.paths import user_path

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://")


@dataclass(frozen=True)
class RunRequest:
    """The options by which a run is chosen.

    Args:
        root: ``trainer.default_root_dir``.
        model: the model of the command.
        subcommand: fit, validate, test or predict.
        ckpt_path: best, last, the path of a checkpoint or of a run's folder, or None.
        is_trial: True with ``trainer.fast_dev_run``, which keeps nothing.
        num_nodes: ``trainer.num_nodes``.
    """

    root: Path
    model: Classifier
    subcommand: str
    ckpt_path: str | None
    is_trial: bool
    num_nodes: int = 1

    @classmethod
    def of(cls, root: Path, model: Classifier, subcommand: str, config: Any) -> RunRequest:
        """Return the request of a command, from the configuration of its subcommand.

        Raises:
            UsageError: the runs shall be at an address, for which a folder of that name would do.
        """
        if _ADDRESS.match(config.trainer.default_root_dir or ""):
            raise UsageError(
                "trainer.default_root_dir",
                expected="a folder of this machine",
                found=config.trainer.default_root_dir,
                remedy="mount the storage as a folder, or copy the runs there afterwards",
            )
        trainer, is_trial = config.trainer, bool(config.trainer.fast_dev_run)
        return cls(root, model, subcommand, config.ckpt_path, is_trial, trainer.num_nodes)

    @property
    def is_first_process(self) -> bool:
        """True in the first process of the first node.

        Where a training is started by hand on each node, only ``NODE_RANK`` or ``GROUP_RANK``
        distinguishes their first processes until there is a Trainer. They mean nothing to a
        training on one node.
        """
        return is_rank_zero() and (self.num_nodes == 1 or LightningEnvironment().node_rank() == 0)


@dataclass(frozen=True)
class Selection:
    """The run that a command works in, and the checkpoint that it starts from.

    Args:
        run: None for a new run of a trial or of a process other than rank 0, and for a checkpoint
            outside all runs, which is only read.
        checkpoint: that of ``run`` if ``ckpt_path`` names a run and no file.
    """

    run: Run | None
    checkpoint: Path | None = None


def open_run(request: RunRequest, rollback: RunRollback, lock: RunLock) -> Selection:
    """Return a new run folder, or the run that ``ckpt_path`` names, and lock it for a training.

    Raises:
        UsageError: there is no such run or checkpoint, it does not fit the model, or another
            process trains the run.
    """
    ckpt_path, is_fit = request.ckpt_path, request.subcommand == "fit"
    if ckpt_path is None and not is_fit:
        raise UsageError(
            "ckpt_path",
            expected="best, last or a checkpoint's path, for new weights know nothing",
            found="nothing",
            remedy="add ckpt_path=best",
        )
    if ckpt_path is not None:
        user_path(ckpt_path, "ckpt_path")  # refuses an empty one, which names the working folder
    if ckpt_path in {"best", "last"}:
        run = _newest_with(request.root, ckpt_path, request.model)
        checkpoint = run.best_checkpoint if ckpt_path == "best" else run.last_checkpoint
        return _resumed(request, run, checkpoint, rollback, lock)
    if ckpt_path is not None and Path(ckpt_path).is_dir():
        run = Run.of(ckpt_path)
        checkpoint = run.last_checkpoint if is_fit else run.exported_checkpoint
        if checkpoint.is_file() and run.config.is_file():
            return _resumed(request, run, checkpoint, rollback, lock)
    if ckpt_path is not None:
        if not Path(ckpt_path).is_file():
            kind = "run with checkpoints/last.ckpt" if Path(ckpt_path).is_dir() else "file"
            raise UsageError(
                "ckpt_path",
                expected="best, last or a checkpoint's path, or the folder of a run",
                found=f"{ckpt_path}, which is no {kind}",
                remedy="see lightning_logs/",
            )
        _require_fitting(Path(ckpt_path), request)
        if not is_fit:
            return Selection(runs.containing(Path(ckpt_path)))
    if request.is_trial or not request.is_first_process:
        return Selection(None)  # rank 0 creates the folder and broadcasts its path
    run = runs.create(request.root, request.model.name)
    rollback.created(run)
    lock.take(run)
    return Selection(run)


def _resumed(
    request: RunRequest, run: Run, checkpoint: Path, rollback: RunRollback, lock: RunLock
) -> Selection:
    _require_fitting(checkpoint, request)
    if request.subcommand == "fit" and not request.is_trial:
        if request.is_first_process:
            lock.take(run)
        rollback.resumes(run)
    if request.is_first_process:
        print(f"ckpt_path={request.ckpt_path} is {checkpoint}")
    return Selection(run, checkpoint)


def is_rank_zero() -> bool:
    """Return True in the first process of a training, or in the only one.

    Before there is a Trainer, see :attr:`RunRequest.is_first_process`.
    """
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
    return run


def _require_fitting(path: Path, request: RunRequest) -> None:
    checkpoint, model = Checkpoint.read(path), request.model
    checkpoint.require_for(model.spec, model.class_names)
    if request.subcommand == "fit" and not checkpoint.has_training_state:
        raise UsageError(
            "ckpt_path",
            expected="a checkpoint with the state of its optimizer, to go on from",
            found=f"{path}, which has the weights only",
            remedy="begin a new training with these by model.weights=PATH instead",
        )
