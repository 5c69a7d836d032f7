"""A signal ends a training after its step: a checkpoint is saved, except in a trial."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, Trainer

from src.callbacks.checkpoint import LastCheckpoint
from src.callbacks.export import ExportCallback
from src.callbacks.save_on_signal import StopOnSignal
from src.system.signals import STOPPING, Stopped
from tests.support import slurm_job
from tests.support.tiny_classifier import TinyNet, loader, trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("reacts_to_hang_up"),
]


class Interrupt(Callback):
    """Sends a signal to this process in one step of the first epoch."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        self.number, self.step = number, step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, index: int
    ) -> None:
        if index == self.step:
            os.kill(os.getpid(), self.number)


class ExportAtTheEnd(ExportCallback):
    """Compares no networks: that of TinyNet is in no library."""

    def on_fit_start(self, *_: Any) -> None: ...


def stopped(number: signal.Signals, step: int, **options: Any) -> str:
    """Return the line that a training prints which a signal stops."""
    last = LastCheckpoint()
    stop = StopOnSignal(last)
    training = trainer(
        Path(),
        callbacks=[ExportAtTheEnd(), Interrupt(number, step), last, stop],
        enable_checkpointing=True,
        num_sanity_val_steps=0,
        **options,
    )
    with pytest.raises(Stopped) as error:
        training.fit(TinyNet(), loader(), loader())
    stop.export_after_interrupt(training, error.value)
    return str(error.value)


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("step", [0, 2])
def test_a_trial_that_a_signal_stops_keeps_nothing(
    step: int, number: signal.Signals, elsewhere: Path
) -> None:
    line = stopped(number, step, fast_dev_run=3)
    assert line.endswith("; nothing is kept of a try with trainer.fast_dev_run")
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_a_signal_stops_keeps_its_last_checkpoint(
    number: signal.Signals, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)  # it is put back into no queue
    line = stopped(number, 0)
    assert line == f"stopped by {number.name}; saved checkpoints/last.ckpt at step 1 of epoch 1"
    assert [path.name for path in elsewhere.rglob("*.ckpt")] == ["last.ckpt"]


SAVED = "stopped by SIGUSR1; saved checkpoints/last.ckpt at step 1 of epoch 1"


@pytest.mark.parametrize(
    ("scontrol", "told"),
    [
        (None, "(scontrol: No such file or directory)"),  # as in a container
        ("echo 'Requested operation is disabled' >&2; exit 1", "(Requested operation is disabled)"),
        ("exit 3", "(scontrol: exit code 3)"),
        ("printf 'refus\\351' >&2; exit 1", "(refus\ufffd)"),  # Latin-1
        ("exit 0", ""),
    ],
)
def test_a_job_that_slurm_does_not_start_again_says_so(
    scontrol: str | None, told: str, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tools = tmp_path_factory.mktemp("tools")
    if scontrol is not None:
        slurm_job.plant_scontrol(tools, scontrol)
    slurm_job.enter(monkeypatch, str(tools))
    line = f", SLURM does not start the job again {told}: submit it again" if told else ""
    assert stopped(signal.SIGUSR1, 0) == SAVED + line
    assert [path.name for path in elsewhere.rglob("*.ckpt")] == ["last.ckpt"]
    with pytest.raises(Stopped) as at_once:  # as during the export
        StopOnSignal(LastCheckpoint())._requeue_at_once(signal.SIGUSR1, None)
    assert str(at_once.value) == f"stopped by SIGUSR1{line.replace(',', ';', 1)}"
