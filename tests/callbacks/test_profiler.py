"""Profile and throughput of small trainings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.callbacks.profiler import ProfilerCallback
from src.callbacks.throughput import ThroughputScalars
from src.data.datasets.digits import Digits
from src.system import machine
from tests.support.small_training import SmallNet


class StateAtFitEnd(Callback):
    """Records the state of the profiler when the export would begin."""

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.hooks = sum(len(module._forward_hooks) for module in pl_module.modules())
        self.profiling = torch.autograd._profiler_enabled()
        self.recorder = trainer.profiler.recorder


def fit(
    folder: Path,
    *,
    batches: int = 8,
    epochs: int = 3,
    accumulated: int = 1,
    checkpoint: Path | None = None,
    **options: Any,
) -> tuple[Path, StateAtFitEnd]:
    """Train; return the run folder and the state at the end of the fit.

    A ``checkpoint`` that exists is gone on from, and it is written at the end.
    """
    torch.manual_seed(0)  # a training goes on with the seed that it began with
    callback, end = ProfilerCallback(**options), StateAtFitEnd()
    data = Digits(image_size=32, batch_size=16, num_workers=0)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        accumulate_grad_batches=accumulated,
        limit_train_batches=batches,
        limit_val_batches=4,
        log_every_n_steps=2,
        logger=TensorBoardLogger(str(folder), name="tiny", version=0, default_hp_metric=False),
        callbacks=[ThroughputScalars(), callback, end],
        profiler=callback.profiler,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    resumed = str(checkpoint) if checkpoint is not None and checkpoint.exists() else None
    trainer.fit(SmallNet(), datamodule=data, ckpt_path=resumed)
    if checkpoint is not None:
        trainer.save_checkpoint(checkpoint)
    return folder / "tiny" / "version_0", end


@pytest.fixture(scope="module")
def default_profile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StateAtFitEnd]:
    return fit(tmp_path_factory.mktemp("default_profile"))


def profile_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "profile" / "rank0.json").read_text())
    return content


def test_the_default_profile_records_training_and_validation_of_the_first_epochs(
    default_profile: tuple[Path, StateAtFitEnd],
) -> None:
    profile = profile_of(default_profile[0])
    assert profile["notes"] == []
    assert [(window["stage"], window["epoch"]) for window in profile["windows"]] == [
        *(("train", 0), ("val", 0), ("train", 1), ("val", 1)),
    ]
    for window in profile["windows"]:
        assert len(window["step_seconds"]) == 3
        assert window["problems"] == []
        assert (default_profile[0] / "profile" / window["file"]).stat().st_size == window["bytes"]
    training = profile["windows"][0]
    assert training["first_step"] == 5
    assert {"data loading", "forward", "backward", "optimizer", "other"} <= set(training["regions"])
    assert training["memory"]["cpu"]
    assert profile["context"]["num_workers"] == 0
    # bf16 is not advised on a processor that does not multiply it.
    assert profile["context"]["faster_in_bfloat16"] is machine.has_bfloat16()


def test_the_profiler_is_off_before_the_export_begins(
    default_profile: tuple[Path, StateAtFitEnd],
) -> None:
    end = default_profile[1]
    assert (end.hooks, end.profiling, end.recorder) == (0, False, None)


def test_tensorboard_events_hold_the_profile(default_profile: tuple[Path, StateAtFitEnd]) -> None:
    events = EventAccumulator(str(default_profile[0]))
    events.Reload()
    tags = events.Tags()
    assert "profile/train/forward_seconds" in tags["scalars"]
    assert {"profile/steps", "profile/memory"} <= set(tags["images"])
    texts = {tag.removesuffix("/text_summary") for tag in tags["tensors"]}
    assert {"profile/summary", "profile/steps", "profile/operators/train"} <= texts


def test_throughput_excludes_profiled_steps(default_profile: tuple[Path, StateAtFitEnd]) -> None:
    events = EventAccumulator(str(default_profile[0]))
    events.Reload()
    rates = events.Scalars("throughput/images_per_second")
    # Steps 4 to 7 of the first two epochs are profiled; steps 2 and 3 were logged before.
    assert [event.step for event in rates] == [2, 4, 10, 12, 18, 20, 22, 24]
    profiled = max(profile_of(default_profile[0])["windows"][0]["step_seconds"])
    assert profiled > 0
    for name in ("step_seconds", "data_share", "peak_rss_bytes"):
        values = [event.value for event in events.Scalars(f"throughput/{name}")]
        assert all(value > 0 for value in values)


@pytest.mark.parametrize(
    "batches", [1, *(pytest.param(number, marks=pytest.mark.slow) for number in (2, 4))]
)
def test_a_training_shorter_than_the_schedule_still_has_a_trace(
    batches: int, tmp_path: Path
) -> None:
    run, _ = fit(tmp_path, batches=batches)
    training = [window for window in profile_of(run)["windows"] if window["stage"] == "train"]
    assert training
    assert all(window["problems"] == [] for window in training)


def test_a_training_that_fails_within_a_window_keeps_its_trace(tmp_path: Path) -> None:
    class Failing(SmallNet):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if batch_idx == 8:
                raise RuntimeError("the sky has fallen")

    callback = ProfilerCallback()
    data = Digits(image_size=32, batch_size=16, num_workers=0)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_val_batches=0,
        logger=TensorBoardLogger(str(tmp_path), name="tiny", version=0),
        callbacks=[callback],
        profiler=callback.profiler,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    with pytest.raises(RuntimeError, match="the sky has fallen"):
        trainer.fit(Failing(), datamodule=data)
    assert not torch.autograd._profiler_enabled()
    [window] = profile_of(tmp_path / "tiny" / "version_0")["windows"]
    assert len(window["step_seconds"]) == 2


def test_a_resumed_training_adds_its_windows_to_those_before_the_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {"batches": 2, "windows": 1, "checkpoint": tmp_path / "last.ckpt"}
    run, _ = fit(tmp_path, epochs=1, **options)
    before = profile_of(run)["windows"]
    assert [(window["stage"], window["epoch"]) for window in before] == [("train", 0), ("val", 0)]
    capsys.readouterr()
    fit(tmp_path, epochs=3, **options)
    after = profile_of(run)
    assert after["windows"][:2] == before
    added = [(window["stage"], window["epoch"]) for window in after["windows"][2:]]
    assert added == [("train", 1), ("val", 1)]
    assert after["notes"] == []
    files = {window["file"] for window in after["windows"]}
    assert files == {path.name for path in (run / "profile").glob("*.json.gz")}
    assert "4 traces" in capsys.readouterr().out
    fit(tmp_path, epochs=3, **options)  # it has ended already
    assert profile_of(run)["windows"] == after["windows"]
    assert "before a window" not in capsys.readouterr().out


def test_windows_begin_with_the_first_epoch_that_a_resumed_training_begins() -> None:
    # Lightning does not call the hook for the epoch in the middle of which it goes on.
    opened: list[tuple[Any, ...]] = []
    callback = ProfilerCallback(windows=1, wait=0)
    callback.profiler.recorder = SimpleNamespace(  # type: ignore[assignment]
        recording=False, open=lambda *place: opened.append(place)
    )
    trainer: Any = SimpleNamespace(
        estimated_stepping_batches=400,
        num_training_batches=50,
        accumulate_grad_batches=1,
        max_epochs=8,
        global_step=200,
    )
    for epoch in (4, 5):
        trainer.current_epoch = epoch
        callback.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    assert [(stage, epoch) for _, stage, epoch, *_ in opened] == [("train", 4)]


def test_accumulated_batches_above_the_window_are_no_fault_of_its_trace(tmp_path: Path) -> None:
    run, _ = fit(tmp_path, epochs=1, wait=0, warmup=0, active=2, accumulated=6)
    [window, _] = profile_of(run)["windows"]
    assert "optimizer" not in window["regions"]
    assert window["problems"] == []
    assert profile_of(run)["notes"] == []


def test_a_disabled_profiler_records_nothing(tmp_path: Path) -> None:
    run, end = fit(tmp_path, enabled=False)
    assert not (run / "profile").exists()
    assert end.recorder is None


@pytest.mark.parametrize(
    ("steps", "accumulated", "max_epochs", "epochs"),
    [
        (400, 1, 8, 8),
        (100, 1, 8, 2),  # max_steps ends it
        (104, 4, 8, 8),  # an epoch has 13 steps of the optimizer
        (100, 4, -1, 8),
        (math.inf, 1, -1, 1),  # no limit
    ],
)
def test_windows_are_planned_for_the_epochs_that_are_trained(
    steps: float, accumulated: int, max_epochs: int, epochs: int
) -> None:
    trainer: Any = SimpleNamespace(
        estimated_stepping_batches=steps,
        num_training_batches=50,
        accumulate_grad_batches=accumulated,
        max_epochs=max_epochs,
    )
    callback = ProfilerCallback()
    callback._first_epoch = 0
    assert callback._epochs(trainer) == epochs
