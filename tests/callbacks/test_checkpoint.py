from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.finetune import FinetuneOptions
from tests.support.tiny_classifier import TinyNet, loader, trainer


class Scored(TinyNet):
    """Classifier whose validation logs a score of each epoch, by a name."""

    def __init__(self, name: str, scores: list[float]) -> None:
        super().__init__()
        self.metric, self.scores = name, scores

    def on_validation_epoch_end(self) -> None:
        self.log(self.metric, self.scores[self.current_epoch])


@pytest.mark.parametrize(
    ("scores", "best_epoch"), [([0.5, 0.7, 0.6], 1), ([0.7, 0.7, 0.6], 1), ([0.1, 0.2, 0.2], 2)]
)
def test_the_best_checkpoint_is_saved_and_the_latest_wins_a_tie(
    scores: list[float], best_epoch: int, tmp_path: Path
) -> None:
    callbacks = [LastCheckpoint(), BestCheckpoint(monitor="score")]
    for callback in callbacks:
        callback.dirpath = str(tmp_path / "checkpoints")
    fit = trainer(
        tmp_path,
        max_epochs=3,
        callbacks=callbacks,
        enable_checkpointing=True,
        num_sanity_val_steps=0,
    )
    fit.fit(Scored("score", scores), loader(), loader())
    folder = tmp_path / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert torch.load(folder / "best.ckpt", weights_only=True)["epoch"] == best_epoch
    last = torch.load(folder / "last.ckpt", weights_only=True)
    assert last["epoch"] == 2
    assert last["lightship"]["class_names"] == ["ant", "bee", "cat"]
    assert isinstance(fit.lightning_module, LightningModule)


@pytest.mark.parametrize("metric", ["score", "val/top1", "val/f1", "my/lossless", "terrors"])
def test_the_largest_value_of_a_score_is_the_best(metric: str) -> None:
    assert BestCheckpoint(metric).mode == "max"


@pytest.mark.parametrize(
    "metric", ["val/loss", "train/loss", "loss", "test/error", "val/error_rate", "My_Loss"]
)
def test_the_smallest_loss_is_the_best_and_patience_waits_for_a_smaller_one(
    metric: str, tmp_path: Path
) -> None:
    best = BestCheckpoint(metric)
    best.dirpath = str(tmp_path)
    patience = FinetuneOptions(patience=2).callbacks(str(best.monitor), best.mode)
    fit = trainer(
        tmp_path,
        max_epochs=6,
        callbacks=[best, *patience],
        enable_checkpointing=True,
        num_sanity_val_steps=0,
    )
    fit.fit(Scored(metric, [3, 2, 1, 2, 3, 0]), loader(), loader())
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 2
    assert fit.current_epoch == 5  # two epochs without a smaller loss ended the training
