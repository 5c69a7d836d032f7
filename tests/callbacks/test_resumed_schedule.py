"""The learning rate of a training that goes on with other steps in an epoch, or more epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from PIL import Image

from src.callbacks.checkpoint import LastCheckpoint
from src.callbacks.resumed_schedule import ResumedSchedule
from src.data.datasets.image_folder import ImageFolder
from src.models import batch_norm_statistics
from tests.support.tiny_classifier import CLASSES, TinyNet, trainer

pytestmark = pytest.mark.filterwarnings("ignore")

PEAK = 0.01


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name in CLASSES:
        for split, count in {"train": 16, "val": 2, "test": 2}.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


class Recorder(Callback):
    """Notes the share of the epochs, the learning rate and the mode of BatchNorm at each batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, float, bool]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        share = trainer.current_epoch + batch_idx / trainer.num_training_batches
        norm = next(part for part in pl_module.network.modules() if hasattr(part, "running_mean"))
        self.batches.append((share, trainer.optimizers[0].param_groups[0]["lr"], norm.training))


def fit(
    photos: Path,
    folder: Path,
    epochs: int,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    batch_size: int = 4,
    bar: ProgressBar | None = None,
    **options: Any,
) -> list[tuple[float, float, bool]]:
    """Train ``epochs`` epochs, or stop in the schedule of so many; return what was recorded."""
    torch.manual_seed(0)  # the seed of a training must be that of its checkpoint
    data = ImageFolder(
        str(photos), image_size=8, batch_size=batch_size, num_workers=0, resize="squash"
    )
    recorder, last = Recorder(), LastCheckpoint()
    last.dirpath = str(folder)
    callbacks: list[Callback] = [recorder, ResumedSchedule(), last]
    if bar:
        callbacks.append(bar)
    if stop_after:
        callbacks.append(Stop(stop_after))
    training = trainer(
        folder,
        max_epochs=epochs,
        callbacks=callbacks,
        enable_checkpointing=True,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
    model = TinyNet(lr=PEAK, warmup_fraction=0, freeze_statistics_fraction=0.3)
    training.fit(model, datamodule=data, ckpt_path=folder / "last.ckpt" if resume else None)
    return recorder.batches


class Stop(Callback):
    """Ends a training after some epochs of its schedule."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


# Ways in which the rest of a training may have other steps in an epoch than its beginning.
CHANGED: dict[str, dict[str, Any]] = {
    "a batch twice as large": {"batch_size": 8},
    "half a batch": {"batch_size": 2},
    "half a batch, two of them accumulated": {"batch_size": 2, "accumulate_grad_batches": 2},
    "accumulated batches": {"accumulate_grad_batches": 3},
    "a part of each epoch": {"limit_train_batches": 4},
    "nothing else": {},
}


@pytest.mark.parametrize("changed", CHANGED)
def test_the_learning_rate_follows_the_epochs_after_a_resume(
    changed: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(batch_norm_statistics, "MIN_STEPS", 0)
    fit(photos, tmp_path, 4, stop_after=2)
    rest = fit(photos, tmp_path, 4, resume=True, **CHANGED[changed])
    assert rest[0][0] == 2
    for share, rate, _ in rest[1:]:  # the first one may be the checkpoint's
        assert rate == pytest.approx(PEAK * (1 + np.cos(np.pi * share / 4)) / 2, abs=0.13 * PEAK)
    assert rest[-1][1] < 0.1 * PEAK
    frozen = [share for share, _, trains in rest if not trains]
    assert min(frozen) == pytest.approx(0.7 * 4, abs=0.35)
    assert "the learning rate goes on" not in capsys.readouterr().out


def test_the_learning_rate_follows_the_epochs_after_several_changes(
    photos: Path, tmp_path: Path
) -> None:
    fit(photos, tmp_path, 8, stop_after=1)
    fit(photos, tmp_path, 8, resume=True, stop_after=2, batch_size=16)
    fit(photos, tmp_path, 8, resume=True, stop_after=3, batch_size=2)
    rest = fit(photos, tmp_path, 8, resume=True, batch_size=6)
    assert {int(share) for share, *_ in rest} == {3, 4, 5, 6, 7}
    for share, rate, _ in rest[1:]:
        assert rate == pytest.approx(PEAK * (1 + np.cos(np.pi * share / 8)) / 2, abs=0.13 * PEAK)


def test_a_training_that_steps_end_counts_steps(photos: Path, tmp_path: Path) -> None:
    fit(photos, tmp_path, 9, max_steps=24, stop_after=1)  # 12 steps an epoch
    rest = fit(photos, tmp_path, 9, max_steps=24, resume=True, batch_size=8)
    assert len(rest) == 12
    rates = [rate for _, rate, _ in rest]
    assert rates == pytest.approx(
        [PEAK * (1 + np.cos(np.pi * step / 24)) / 2 for step in range(12, 24)], abs=0.13 * PEAK
    )


@pytest.mark.parametrize("epochs", [3, 6])
def test_a_longer_schedule_is_told(
    epochs: int, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(photos, tmp_path, 2)
    assert "the learning rate goes on" not in capsys.readouterr().out
    fit(photos, tmp_path, epochs, resume=True)
    [line] = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("the learning")
    ]
    after = PEAK * (1 + np.cos(np.pi * 2 / epochs)) / 2
    assert line.startswith("the learning rate goes on at ")
    assert float(line.split()[6].rstrip(",")) == pytest.approx(after, rel=0.15)
    assert line.endswith(f"its schedule has {12 * epochs} steps now")


class Lines(ProgressBar):
    """A bar that notes what is printed through it."""

    def __init__(self) -> None:
        super().__init__()
        self.printed: list[str] = []

    def disable(self) -> None:
        """Lightning calls this outside of the first process."""

    def print(self, *args: Any, **kwargs: Any) -> None:
        self.printed += map(str, args)


def test_the_line_is_printed_through_the_progress_bar(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(photos, tmp_path, 2)
    bar = Lines()
    fit(photos, tmp_path, 6, resume=True, bar=bar, enable_progress_bar=True)
    assert [line[:26] for line in bar.printed] == ["the learning rate goes on "]
    assert "the learning rate goes on" not in capsys.readouterr().out


def test_a_change_within_a_tenth_of_the_peak_is_not_told(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(photos, tmp_path, 8, stop_after=1)
    fit(photos, tmp_path, 9, resume=True)
    assert "the learning rate goes on" not in capsys.readouterr().out
