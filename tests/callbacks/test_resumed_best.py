"""A resumed training knows the score of the ``best.ckpt`` on disk, also if it is the newer file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.export import finished_checkpoint
from src.errors import UsageError
from tests.support.tiny_classifier import TinyNet, loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


IMAGES = torch.randn(24, 3, 8, 8)


class Killed(BaseException):
    """Stands for SIGKILL: nothing is saved after it."""


class Planned(TinyNet):
    """Network whose validations give the planned scores, one after the other."""

    def __init__(self, scores: list[float | None], monitor: str = "val/score") -> None:
        super().__init__()
        self.scores, self.monitor = list(scores), monitor

    def on_validation_epoch_end(self) -> None:
        score = self.scores.pop(0)
        if score is None:
            raise Killed
        self.log(self.monitor, score)


def fit(
    folder: Path,
    scores: list[float | None],
    *,
    epochs: int = 2,
    resume: bool = False,
    mode: str = "max",
    monitor: str = "val/score",
    **options: Any,
) -> Trainer:
    """Train with six batches an epoch, and by default a validation after every second one."""
    checkpoints = [BestCheckpoint(monitor, mode=mode), LastCheckpoint()]  # type: ignore[arg-type]
    for checkpoint in checkpoints:
        checkpoint.dirpath = str(folder)
    settings = {"val_check_interval": 2, "num_sanity_val_steps": 0, "enable_checkpointing": True}
    training = trainer(folder, max_epochs=epochs, callbacks=checkpoints, **(settings | options))
    start = folder / "last.ckpt" if resume else None
    training.fit(Planned(scores, monitor), loader(IMAGES), loader(), ckpt_path=start)
    return training


def fit_killed(folder: Path, scores: list[float | None], **options: Any) -> bytes:
    """Train until a planned score is None; return the ``best.ckpt`` that is left."""
    with pytest.raises(Killed):
        fit(folder, [*scores, None], **options)
    return (folder / "best.ckpt").read_bytes()


def score_of(path: Path) -> float:
    content = torch.load(path, weights_only=True)
    return round(float(content["callbacks"]["BestCheckpoint"]["score"]), 4)


# The first epoch's scores, that of the validation before the kill, and those of the repetition.
CASES: dict[str, tuple[list[float | None], float, list[float | None], str]] = {
    "a larger score": ([0.6, 0.7, 0.8], 0.84, [0.82, 0.83, 0.81], "max"),
    "a smaller loss": ([0.6, 0.5, 0.4], 0.36, [0.38, 0.37, 0.39], "min"),
    "no better one": ([0.6, 0.9, 0.8], 0.84, [0.82, 0.83, 0.81], "max"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_best_checkpoint_newer_than_the_last_one_is_not_replaced_by_a_worse(
    case: str, tmp_path: Path
) -> None:
    before, newest, repeated, mode = CASES[case]
    best = fit_killed(tmp_path, [*before, newest], mode=mode)
    training = fit(tmp_path, repeated, resume=True, mode=mode)
    assert (tmp_path / "best.ckpt").read_bytes() == best
    assert finished_checkpoint(training) == tmp_path / "best.ckpt"
    assert score_of(tmp_path / "last.ckpt") == score_of(tmp_path / "best.ckpt")


def test_a_best_checkpoint_of_a_run_whose_last_one_has_no_score_is_not_replaced_by_a_worse(
    tmp_path: Path,
) -> None:
    """The only validation so far was that of the epoch in which the process was killed."""
    options = {"check_val_every_n_epoch": 2, "epochs": 4}
    best = fit_killed(tmp_path, [0.9], **options)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["callbacks"]["BestCheckpoint"]["score"] is None
    scores: list[float | None] = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    training = fit(tmp_path, scores, resume=True, **options)
    assert (tmp_path / "best.ckpt").read_bytes() == best
    assert finished_checkpoint(training) == tmp_path / "best.ckpt"


def test_a_better_score_of_the_resumed_training_or_an_equal_one_replaces_the_best(
    tmp_path: Path,
) -> None:
    for folder, score in ((tmp_path / "better", 0.85), (tmp_path / "equal", 0.84)):
        best = fit_killed(folder, [0.6, 0.7, 0.8, 0.84])
        fit(folder, [0.1, score, 0.2], resume=True)
        assert (folder / "best.ckpt").read_bytes() != best
        assert score_of(folder / "best.ckpt") == score
        assert torch.load(folder / "best.ckpt", weights_only=True)["global_step"] == 10


def test_the_metric_of_the_best_checkpoint_itself_counts(tmp_path: Path) -> None:
    """The best one of another metric was moved away, and that of a new one was written."""
    fit(tmp_path, [0.6, 0.7, 0.8], epochs=1)
    (tmp_path / "best.ckpt").unlink()
    with pytest.raises(Killed):
        fit(tmp_path, [0.3, None], resume=True, monitor="val/other")
    best = (tmp_path / "best.ckpt").read_bytes()
    with pytest.raises(UsageError, match=r"checkpoint.monitor: expected val/other \(max\)"):
        fit(tmp_path, [0.9, 0.9, 0.9], resume=True)
    fit(tmp_path, [0.1, 0.2, 0.1], resume=True, monitor="val/other")
    assert (tmp_path / "best.ckpt").read_bytes() == best


DAMAGE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "other": lambda content: b"weights",
    "a pointer": lambda content: b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_best_checkpoint_that_cannot_be_read_is_named_before_the_training_goes_on(
    kind: str, tmp_path: Path
) -> None:
    fit(tmp_path, [0.6, 0.7, 0.8], epochs=1)
    best = tmp_path / "best.ckpt"
    best.write_bytes(DAMAGE[kind](best.read_bytes()))
    before = best.read_bytes()
    with pytest.raises(UsageError, match=f"^{re.escape(str(best))}: expected a whole") as raised:
        fit(tmp_path, [], resume=True)
    assert "\n" not in str(raised.value)
    assert best.read_bytes() == before
    best.rename(tmp_path / "aside")
    fit(tmp_path, [0.1, 0.2, 0.3], resume=True)
    assert score_of(best) == 0.3


def test_without_a_score_of_its_own_the_best_checkpoint_has_that_of_the_last_one(
    tmp_path: Path,
) -> None:
    fit(tmp_path, [0.6, 0.7, 0.8], epochs=1)
    torch.save({"state_dict": {}}, tmp_path / "best.ckpt")
    before = (tmp_path / "best.ckpt").read_bytes()
    fit(tmp_path, [0.7, 0.75, 0.7], resume=True)
    assert (tmp_path / "best.ckpt").read_bytes() == before
