"""The loss of a step, its share of an optimizer step, and its mean over an epoch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from src.models.losses import EpochMean, for_optimizer, training_loss
from tests.support.small_training import SmallNet
from tests.support.tiny_classifier import trainer

LOGITS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2])
WEIGHTS = torch.tensor([4 / 9, 2.0, 4.0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("images", [1, 2, 3, 4])
def test_the_weight_of_an_image_does_not_depend_on_its_batch(images: int, smoothing: float) -> None:
    parts = zip(LOGITS.split(images), TARGETS.split(images), strict=True)
    losses = [training_loss(*part, smoothing, WEIGHTS) for part in parts]
    whole = training_loss(LOGITS, TARGETS, smoothing, WEIGHTS)
    torch.testing.assert_close(torch.stack(losses).mean(), whole)


def test_an_image_of_a_rare_class_counts_more_in_a_batch_of_its_own() -> None:
    rare, frequent = (LOGITS[:1], torch.tensor([2])), (LOGITS[:1], torch.tensor([0]))
    for part, weight in ((rare, 4.0), (frequent, 4 / 9)):
        plain = functional.cross_entropy(*part)
        torch.testing.assert_close(training_loss(*part, 0.0, WEIGHTS), weight * plain)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classes_and_shares_of_classes_have_the_same_loss(
    weights: Tensor | None, smoothing: float
) -> None:
    shares = functional.one_hot(TARGETS, 3).float()
    of_shares = training_loss(LOGITS, shares, smoothing, weights)
    torch.testing.assert_close(of_shares, training_loss(LOGITS, TARGETS, smoothing, weights))


def test_without_weights_the_loss_is_that_of_torch() -> None:
    expected = functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1)
    assert torch.equal(training_loss(LOGITS, TARGETS, 0.1, None), expected)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_weights_apply_in_every_precision(kind: torch.dtype) -> None:
    loss = training_loss(LOGITS.to(kind), TARGETS, 0.0, WEIGHTS)
    expected = training_loss(LOGITS, TARGETS, 0.0, WEIGHTS)
    torch.testing.assert_close(loss.float(), expected, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("wanted", "batches", "factors"),
    [
        (1, 3, [1, 1, 1]),
        (2, 4, [1, 1, 1, 1]),
        (4, 6, [1, 1, 1, 1, 2, 2]),
        (4, 5, [1, 1, 1, 1, 4]),
        (8, 2, [4, 4]),
        (2, float("inf"), [1, 1, 1]),
    ],
)
def test_the_last_step_of_an_epoch_has_the_mean_of_its_batches(
    wanted: int, batches: float, factors: list[float]
) -> None:
    strategy = SimpleNamespace(handles_gradient_accumulation=False)
    training = SimpleNamespace(
        accumulate_grad_batches=wanted, num_training_batches=batches, strategy=strategy
    )
    for index, factor in enumerate(factors):
        loss = for_optimizer(torch.tensor(3.0), cast("Trainer", training), index)
        assert float(loss) == 3 * factor
    strategy.handles_gradient_accumulation = True
    assert float(for_optimizer(torch.tensor(3.0), cast("Trainer", training), 1)) == 3


class Recorder(Callback):
    """Records the gradients of each optimizer step, and the loss that callbacks see at its end."""

    def __init__(self) -> None:
        self.gradients: list[Tensor] = []
        self.seen: list[float] = []
        self.logged: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        values = [value.grad.flatten() for value in pl_module.network.parameters()]
        self.gradients.append(torch.cat(values).clone())

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.seen.append(float(trainer.callback_metrics["train/loss"]))
        self.logged.append(float(trainer.logged_metrics["train/loss"]))


class RecordingNet(SmallNet):
    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def log(self, name: str, value: Any, **options: Any) -> None:
        if name == "train/loss" and options.get("logger", True):
            self.losses.append(float(value.detach()))
        super().log(name, value, **options)


def fitted(folder: Path, images: int, batch_size: int, **options: Any) -> tuple[Any, Recorder]:
    torch.manual_seed(0)
    model, recorder = RecordingNet(), Recorder()
    data = TensorDataset(torch.randn(images, 3, 8, 8), torch.arange(images) % 10)
    fit = trainer(folder, callbacks=[recorder], limit_val_batches=0, **options)
    batches = DataLoader(data, batch_size=batch_size)
    fit.fit(model, batches, batches)
    return model, recorder


def test_few_batches_that_are_accumulated_have_the_gradient_of_one_batch(tmp_path: Path) -> None:
    _, whole = fitted(tmp_path, 12, 12, max_epochs=1)
    _, parts = fitted(tmp_path, 12, 4, max_epochs=1, accumulate_grad_batches=8)
    assert len(whole.gradients) == len(parts.gradients) == 1
    torch.testing.assert_close(parts.gradients[0], whole.gradients[0])


def test_callbacks_get_the_mean_training_loss_of_the_epoch(tmp_path: Path) -> None:
    model, recorder = fitted(tmp_path, 20, 4, max_epochs=2)
    first, second = model.losses[:5], model.losses[5:]
    assert len(second) == 5
    assert recorder.seen == pytest.approx([sum(first) / 5, sum(second) / 5])
    assert recorder.logged == pytest.approx([first[-1], second[-1]])  # curves are by step


def processes(*others: float) -> Trainer:
    """Return a Trainer of a process whose others have these values where it has one."""

    def reduce(value: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "mean"
        return value.add_(sum(others)).div_(1 + len(others))  # in place, as all_reduce

    strategy = SimpleNamespace(root_device=torch.device("cpu"), reduce=reduce)
    training = SimpleNamespace(strategy=strategy, is_last_batch=True, interrupted=False)
    return cast("Trainer", training)


def test_a_training_of_two_processes_that_goes_on_within_an_epoch_has_the_mean_of_both() -> None:
    within = cast("Trainer", SimpleNamespace(is_last_batch=False))
    losses = {"first": (2.0, 4.0, 9.0), "second": (6.0, 8.0, 1.0)}
    begun = EpochMean()
    for index, loss in enumerate(losses["first"][:2]):
        begun.add(torch.tensor(loss), index)
    state = begun.state_dict(processes(14.0))
    assert float(state["total"]) == (6 + 14) / 2
    failed = cast("Trainer", SimpleNamespace(interrupted=True))
    assert float(begun.state_dict(failed)["total"]) == 6
    assert float(begun.value(within)) == 3
    resumed = {name: EpochMean() for name in losses}
    for name, mean in resumed.items():
        mean.load_state_dict(state)
        mean.add(torch.tensor(losses[name][2]), 2)
    of_second = float(resumed["second"].value(within))
    assert float(resumed["first"].value(processes(of_second))) == pytest.approx(30 / 6)


def test_a_training_that_goes_on_within_an_epoch_keeps_the_mean(tmp_path: Path) -> None:
    whole, begun, resumed = EpochMean(), EpochMean(), EpochMean()
    losses = [torch.tensor(value) for value in (2.0, 4.0, 9.0)]
    for index, loss in enumerate(losses):
        whole.add(loss, index)
    for index, loss in enumerate(losses[:2]):
        begun.add(loss, index)
    torch.save(begun.state_dict(processes()), tmp_path / "state.pt")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.add(losses[2], 2)
    training = cast("Trainer", SimpleNamespace(is_last_batch=False))
    assert float(resumed.value(training)) == float(whole.value(training)) == 5
    resumed.add(losses[0], 0)  # the next epoch
    assert float(resumed.value(training)) == 2


STATES = [None, {}, {"total": 1.0, "count": 2}, {"total": torch.ones(()), "count": "2"}]


@pytest.mark.parametrize("state", STATES)
def test_another_state_is_left_out(state: object) -> None:
    mean = EpochMean()
    mean.load_state_dict(state)
    assert mean.count == 0


def test_checkpoints_have_the_state_of_the_mean(tmp_path: Path) -> None:
    model, _ = fitted(tmp_path, 20, 4, max_epochs=1)
    model.trainer.save_checkpoint(tmp_path / "x.ckpt")
    content = torch.load(tmp_path / "x.ckpt", weights_only=True)
    other = RecordingNet()
    other.on_load_checkpoint(content)
    assert other._epoch_loss.count == 5
    other.on_load_checkpoint({})  # of an earlier version
    assert other._epoch_loss.count == 5
