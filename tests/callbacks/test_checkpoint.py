from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from tests.support.tiny_classifier import TinyNet, loader, trainer


@pytest.mark.parametrize(
    ("scores", "best_epoch"), [([0.5, 0.7, 0.6], 1), ([0.7, 0.7, 0.6], 1), ([0.1, 0.2, 0.2], 2)]
)
def test_the_best_checkpoint_is_saved_and_the_latest_wins_a_tie(
    scores: list[float], best_epoch: int, tmp_path: Path
) -> None:
    class Scored(TinyNet):
        def on_validation_epoch_end(self) -> None:
            self.log("score", scores[self.current_epoch])

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
    fit.fit(Scored(), loader(), loader())
    folder = tmp_path / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert torch.load(folder / "best.ckpt", weights_only=True)["epoch"] == best_epoch
    last = torch.load(folder / "last.ckpt", weights_only=True)
    assert last["epoch"] == 2
    assert last["lightship"]["class_names"] == ["ant", "bee", "cat"]
    assert isinstance(fit.lightning_module, LightningModule)
