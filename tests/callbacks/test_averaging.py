"""Averaged weights are saved and loaded with all that a network asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from src.callbacks.averaging import MovingAverage
from tests.support.tiny_classifier import TinyNet, loader, trainer
from tests.support.versioned_layer import VersionedLinear

# Warnings of Lightning: few workers, a folder that is not empty.
pytestmark = pytest.mark.filterwarnings("ignore")


class VersionedNet(TinyNet):
    """Classifier whose last layer refuses weights without its version."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.network[4] = VersionedLinear(4, 3)


def fitted(folder: Path, net: type[TinyNet], checkpoint: Path | None = None) -> list[Path]:
    """Train for two epochs, and return the checkpoint of each: the end of a fit is the average."""
    torch.manual_seed(0)
    images = loader()
    saving = ModelCheckpoint(folder, "{epoch}", save_top_k=-1)
    callbacks = [MovingAverage(0.5), saving]
    fit = trainer(folder, callbacks=callbacks, enable_checkpointing=True)
    fit.fit(net(), images, images, ckpt_path=checkpoint)
    return [folder / "epoch=0.ckpt", folder / "epoch=1.ckpt"]


@pytest.mark.parametrize("net", [TinyNet, VersionedNet])
def test_a_training_goes_on_with_average_and_weights(tmp_path: Path, net: type[TinyNet]) -> None:
    first, whole = fitted(tmp_path / "whole", net)
    _, second = fitted(tmp_path / "parts", net, first)
    expected = torch.load(whole, weights_only=True)
    found = torch.load(second, weights_only=True)
    for part in ("state_dict", "current_model_state", "averaging_state"):
        assert expected[part].keys() == found[part].keys()
        for name, value in expected[part].items():
            torch.testing.assert_close(found[part][name], value, rtol=0, atol=0)


def test_an_average_is_saved_with_versions_and_is_not_the_weights_in_training(
    tmp_path: Path,
) -> None:
    saved, _ = fitted(tmp_path, VersionedNet)
    content = torch.load(saved, weights_only=True)
    average, current = content["state_dict"], content["current_model_state"]
    assert not torch.equal(average["network.4.weight"], current["network.4.weight"])
    VersionedNet().load_state_dict(average)


def test_a_checkpoint_without_average_begins_one(tmp_path: Path) -> None:
    saved, _ = fitted(tmp_path, TinyNet)
    content = torch.load(saved, weights_only=True)
    del content["averaging_state"]
    torch.save(content, saved)
    with pytest.warns(UserWarning, match="not created with WeightAveraging"):
        fitted(tmp_path, TinyNet, saved)
