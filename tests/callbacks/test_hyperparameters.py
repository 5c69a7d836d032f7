"""A training is in TensorBoard's HParams tab from its first step on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.small_network import NAME
from tests.training.test_errors_in_training import train

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("elsewhere")]


def test_a_training_that_fails_in_its_second_epoch_has_its_hyperparameters() -> None:
    assert train("trainer.callbacks=tests.support.failing_callbacks.MakeWeightsInfinite") == 1
    events = EventAccumulator(f"lightning_logs/{NAME}/version_0").Reload()
    started = events.summary_metadata["_hparams_/session_start_info"]
    assert b"data.init_args.batch_size" in started.plugin_data.content
    assert "_hparams_/experiment" not in events.summary_metadata  # columns of one run for all


def test_a_trial_has_none() -> None:
    assert train("trainer.fast_dev_run=true") == 0
    assert not list(Path().rglob("events.out.tfevents*"))
