"""A paused training is the beginning of the whole one, and resumes as if it had not paused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.pause import PauseAfterEpoch
from src.errors import UsageError
from src.export.source import read_progress
from tests.support.tiny_classifier import TinyNet, loader, trainer
from tests.support.training_process import tensors

# A training resumes beside its checkpoints.
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")

EPOCHS = 4
IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def fit(folder: Path, *extra: Callback, resume: bool = False, **options: Any) -> Path:
    """Train in ``folder``, and return the path of the last checkpoint."""
    checkpoints = [BestCheckpoint(), LastCheckpoint()]
    for checkpoint in checkpoints:
        checkpoint.dirpath = str(folder)
    torch.manual_seed(0)
    training = trainer(
        folder,
        max_epochs=EPOCHS,
        callbacks=[*extra, *checkpoints],
        enable_checkpointing=True,
        **options,
    )
    last = folder / "last.ckpt"
    training.fit(
        TinyNet(lr=0.05, freeze_statistics_fraction=0.5),
        loader(IMAGES),
        loader(IMAGES),
        ckpt_path=str(last) if resume else None,
    )
    return last


def rates(path: Path) -> list[float]:
    content = torch.load(path, weights_only=True)
    return [group["lr"] for group in content["optimizer_states"][0]["param_groups"]]


def test_a_paused_training_resumes_to_the_weights_of_the_whole_one(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    paused = fit(tmp_path / "paused", PauseAfterEpoch(1))
    assert read_progress(paused)[0] == 1
    fit(tmp_path / "paused", PauseAfterEpoch(3), resume=True)
    assert read_progress(paused)[0] == 3
    assert fit(tmp_path / "paused", resume=True) == paused
    assert read_progress(paused)[0] == EPOCHS
    one, other = (tensors(torch.load(path, weights_only=True)) for path in (whole, paused))
    assert one.keys() == other.keys()
    assert not [name for name in one if not torch.equal(one[name], other[name])]


def test_a_pause_keeps_the_schedule_of_the_whole_training(tmp_path: Path) -> None:
    paused = fit(tmp_path / "paused", PauseAfterEpoch(2))
    whole = tmp_path / "whole"

    class Snapshot(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(whole / "second.ckpt")

    fit(whole, Snapshot())
    assert rates(paused) == rates(whole / "second.ckpt")
    # A shorter training, which max_epochs would make, has another schedule at the same step.
    short = tmp_path / "short"
    callback = LastCheckpoint()
    callback.dirpath = str(short)
    trainer(short, max_epochs=2, callbacks=[callback], enable_checkpointing=True).fit(
        TinyNet(lr=0.05), loader(IMAGES), loader(IMAGES)
    )
    assert rates(short / "last.ckpt") != rates(paused)


def test_a_training_beyond_the_pause_is_not_trained_further(tmp_path: Path) -> None:
    path = fit(tmp_path, PauseAfterEpoch(3))
    before = path.read_bytes()
    fit(tmp_path, PauseAfterEpoch(2), resume=True)
    assert read_progress(path)[0] == 3
    assert tensors(torch.load(path, weights_only=True)).keys()
    assert path.read_bytes() == before


def test_a_checkpoint_within_an_epoch_counts_whole_epochs_only(tmp_path: Path) -> None:
    within = tmp_path / "within.ckpt"

    class SaveWithin(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 5:  # the second of three steps of the second epoch
                trainer.save_checkpoint(within)

    fit(tmp_path, SaveWithin())
    assert torch.load(within, weights_only=True)["epoch"] == 1
    assert read_progress(within)[0] == 1


def test_progress_is_read_with_the_best_score(tmp_path: Path) -> None:
    path = fit(tmp_path)
    epochs, best = read_progress(path)
    assert epochs == EPOCHS
    stored = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert 0 <= best <= 1
    assert stored["epoch"] < EPOCHS
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"damaged\.ckpt"):
        read_progress(damaged)


@pytest.mark.parametrize("epochs", [0, -1])
def test_a_pause_before_the_first_epoch_is_refused(epochs: int) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        PauseAfterEpoch(epochs)
