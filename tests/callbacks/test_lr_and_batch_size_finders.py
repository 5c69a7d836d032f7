"""Tests of the finders of the learning rate and the batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from src.callbacks.lr_and_batch_size_finders import FindBatchSize, FindLearningRate, steepest
from src.callbacks.resumed_options import ResumedOptions
from src.callbacks.unfreezing import GradualUnfreezing
from src.data.datasets.digits import Digits
from src.errors import UsageError
from tests.support.small_training import SmallNet, WeightRecorder, fit_digits


def test_training_with_a_found_learning_rate_equals_training_with_it_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(**options: Any) -> tuple[SmallNet, WeightRecorder]:
        torch.manual_seed(5)
        model, recorder = SmallNet(**{"lr": 1e-3} | options.pop("model", {})), WeightRecorder()
        finder = [FindLearningRate(40)] if options.pop("find", False) else []
        data = Digits(image_size=16, batch_size=16, num_workers=0)
        fit_digits(tmp_path, model, data, callbacks=[*finder, recorder])
        return model, recorder

    model, first = train(find=True)
    assert model.lr != 1e-3
    assert f"learning rate found: model.lr={model.lr:.2g}" in capsys.readouterr().out
    assert len(first.weights) == 3
    _, second = train(model={"lr": model.lr})
    for one, other in zip(first.weights, second.weights, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list(tmp_path.glob(".lr_find*"))


def test_the_learning_rate_is_searched_as_the_whole_network_is_trained(tmp_path: Path) -> None:
    rates: list[list[float]] = []
    with_gradient: list[int] = []

    def record(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        rates.append([group["lr"] for group in optimizer.param_groups])
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        with_gradient.append(sum(each.grad is not None for each in parameters))

    data = Digits(image_size=16, batch_size=16, num_workers=0)
    model, recorder = SmallNet(lr=1e-3, layer_decay=0.25), WeightRecorder()
    hook = register_optimizer_step_post_hook(record)
    try:
        callbacks = [FindLearningRate(40), GradualUnfreezing(1), recorder]
        fit_digits(tmp_path, model, data, callbacks=callbacks)
    finally:
        hook.remove()
    search, training = rates[:40], rates[40:]
    assert len(training) == 3
    assert len({each[0] for each in search}) > 30
    # The weights and the biases of the head, then those of the stage before it.
    for each in search:
        assert each == pytest.approx([each[0], each[0], each[0] / 4, each[0] / 4])
    assert set(with_gradient[:40]) == {4}
    assert set(with_gradient[40:]) == {2}
    assert recorder.frozen == [[True, False]]


def test_the_learning_rate_finder_ignores_noise_at_small_rates() -> None:
    rates = np.logspace(-6, 0, 100)
    fall = 1 / (1 + np.exp(4 * (np.log10(rates) + 2.5)))  # steepest at 10**-2.5
    noise = np.random.default_rng(0).normal(0, 0.003, 100)
    losses = fall + noise + np.where(rates > 0.1, (np.log10(rates) + 1) * 5, 0)
    rate = steepest(rates.tolist(), losses.tolist())
    assert rate is not None
    assert -2.8 < np.log10(rate) < -2.2
    assert steepest([1e-6] * 12, [1.0] * 12) is None


def test_the_batch_size_finder_doubles_until_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class LimitedNet(SmallNet):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            if len(batch[1]) > 16:
                # torch's error on a CPU when an allocation fails.
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().training_step(batch, batch_idx)

    monkeypatch.setattr(FindBatchSize, "_require_one_gpu", lambda *_: None)
    data = Digits(image_size=16, batch_size=4, num_workers=0)
    model, recorder = LimitedNet(), WeightRecorder()
    fit = fit_digits(tmp_path, model, data, callbacks=[FindBatchSize(), recorder])
    assert data.batch_size == 16
    assert "data.batch_size=16" in capsys.readouterr().out
    assert fit.train_dataloader.batch_size == 16
    assert len(recorder.weights) == 3


def test_both_finders_beside_the_check_of_resumed_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FindBatchSize, "_require_one_gpu", lambda *_: None)
    batch_size, recorder = FindBatchSize(), WeightRecorder()
    batch_size._max_trials = 2
    finders = [batch_size, FindLearningRate(40)]
    check = ResumedOptions(optimizer_is_chosen=False)
    data = Digits(image_size=16, batch_size=4, num_workers=0)
    fit = fit_digits(tmp_path, SmallNet(lr=1e-3), data, callbacks=[*finders, check, recorder])
    assert fit.ckpt_path is None
    assert check in fit.callbacks
    assert len(recorder.weights) == 3


def test_the_batch_size_finder_is_refused_on_a_cpu(tmp_path: Path) -> None:
    data = Digits(image_size=16, num_workers=0)
    with pytest.raises(UsageError, match=r"finetune.find_batch_size: expected false on a CPU"):
        fit_digits(tmp_path, SmallNet(), data, callbacks=[FindBatchSize()])
