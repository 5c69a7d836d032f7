"""One training of a twin: its folder, its data, its best weights and its limit."""

from __future__ import annotations

import copy
import dataclasses
import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from src.data.datasets.digits import Digits
from src.run.folder import Run
from src.run.twin import Validated
from src.twin import training
from src.twin.distillation import Distillation, distillation_loss
from src.twin.time_limit import TimeLimit
from src.twin.training import Training
from src.twin.validation import Validation
from tests.support.versioned_layer import VersionedLinear

CPU = torch.device("cpu")

# Warnings of Lightning: a folder that is not empty, few workers.
pytestmark = pytest.mark.filterwarnings("ignore")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 10)
    ).eval()


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def digits() -> Digits:
    data = Digits(image_size=8, train_images=40, batch_size=8)
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    return network(1)


@pytest.fixture(scope="module")
def validation(teacher: nn.Module) -> Validation:
    return Validation(teacher, digits(), CPU)


def job(root: Path, teacher: nn.Module, validation: Validation, **changes: object) -> Training:
    torch.manual_seed(0)
    options = {
        "run": Run(root),
        "phase": "distillation",
        "folder": "distillation-a",
        "teacher": teacher,
        "data": digits(),
        "validation": validation,
        "epochs": 2,
        "lr": 1e-2,
        "limit": TimeLimit(None),
        "device": CPU,
    }
    return Training(**{**options, **changes})  # type: ignore[arg-type]


def test_a_finished_training_is_taken_and_that_of_another_folder_is_not(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    first, again, other = network(), network(), network(7)
    epochs = training.fit(job(tmp_path, teacher, validation), first)
    assert [each.epoch for each in epochs] == [1, 2]
    assert all(each.phase == "distillation" for each in epochs)
    assert training.fit(job(tmp_path, teacher, validation), again) == epochs
    assert same(first, again)
    training.fit(job(tmp_path, teacher, validation, folder="distillation-b"), other)
    assert not same(first, other)


def test_a_stopped_training_has_the_curve_and_the_images_of_one_that_was_not(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    whole, stopped = network(), network()
    epochs = training.fit(job(tmp_path / "whole", teacher, validation, epochs=3), whole)
    over = TimeLimit(1.0, spent=2.0)  # ends it after a step
    training.fit(job(tmp_path / "parts", teacher, validation, epochs=3, limit=over), stopped)
    resumed = job(tmp_path / "parts", teacher, validation, epochs=3)
    later = training.fit(resumed, network())
    assert [each.epoch for each in later] == [each.epoch for each in epochs] == [1, 2, 3]


def test_weights_that_no_epoch_improves_are_kept(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    student = copy.deepcopy(teacher)
    destroying = job(tmp_path, teacher, validation, lr=10.0)
    epochs = training.fit(destroying, student)
    assert max(each.agreement for each in epochs) < 1
    assert not same(student, teacher)
    kept = training.best_of(destroying, student, teacher.state_dict())
    assert kept.agreement == 1
    assert same(student, teacher)


def test_weights_that_ask_for_a_version_are_kept(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    student = network()
    student[-1] = VersionedLinear(16, 10)
    begun = copy.deepcopy(student.state_dict())
    student[-1].weight.data.zero_()
    training.best_of(job(tmp_path, teacher, validation), student, begun)
    assert torch.equal(student[-1].weight, begun["4.weight"])


def test_the_best_epoch_is_taken_without_training_again(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    student, begun = network(), network().state_dict()
    done = job(tmp_path, teacher, validation, epochs=3)
    epochs = training.fit(done, student)
    best = min(each.loss for each in epochs)
    other = network()
    assert training.best_of(done, other, begun).loss == pytest.approx(best, rel=1e-4)
    nothing = job(tmp_path / "nothing", teacher, validation)
    assert training.best_of(nothing, other, begun) == validation.of(network())


def test_a_training_ends_with_its_time_after_a_validation(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    over = TimeLimit(1.0, spent=2.0)
    epochs = training.fit(job(tmp_path, teacher, validation, epochs=9, limit=over), network())
    assert [each.epoch for each in epochs] == [1]


def test_the_best_epoch_has_the_least_loss(
    tmp_path: Path, teacher: nn.Module, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one of three has the least loss, the first one has most equal answers."""
    planted = {1: (0.9, 0.5), 2: (0.7, 0.1), 3: (0.8, 0.3)}

    def log_planted(self: Distillation) -> None:
        agreement, loss = planted[self.current_epoch + 1]
        self.log_dict({"val/agreement": agreement, "val/top1": 0.5, "val/loss": loss})

    monkeypatch.setattr(Distillation, "on_validation_epoch_end", log_planted)
    of = job(tmp_path, teacher, validation, epochs=3)
    training.fit(of, network())
    content = torch.load(of.checkpoints / "best.ckpt", weights_only=True)
    assert content["epoch"] == 1


@pytest.mark.parametrize(("limit", "batches"), [(2, 2), (0.5, 2), (1.0, 5), (99, 5), (3.0, 3)])
def test_an_epoch_has_the_batches_of_those_of_the_run(
    limit: float, batches: int, tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    steps: list[int] = []

    class Steps(TimeLimit):
        def on_train_batch_end(self, *_: object) -> None:
            steps.append(1)

    limits = {"limit_train_batches": limit, "limit": Steps(None)}
    of = job(tmp_path, teacher, validation, **limits)
    assert len(of.data.train_dataloader()) == 5
    training.fit(of, network())
    assert of.steps == len(steps) == 2 * batches


def test_agreement_is_with_the_teacher_and_top1_with_the_labels(
    teacher: nn.Module, validation: Validation
) -> None:
    own = validation.of(teacher)
    assert (own.images, own.agreement) == (180, 1.0)
    assert own.top1 < 0.5  # random weights
    assert validation.of(network(7)).agreement < 1


def test_a_full_disk_leaves_the_checkpoints_as_they_were(
    tmp_path: Path, teacher: nn.Module, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = job(tmp_path, teacher, validation, epochs=1)
    training.fit(first, network())
    before = {path.name: path.read_bytes() for path in first.checkpoints.iterdir()}
    assert sorted(before) == ["best.ckpt", "last.ckpt"]

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        training.fit(job(tmp_path, teacher, validation, epochs=2), network())
    assert {path.name: path.read_bytes() for path in first.checkpoints.iterdir()} == before


def test_a_training_without_its_last_checkpoint_goes_on_from_the_best_one(
    tmp_path: Path, teacher: nn.Module, validation: Validation, capsys: pytest.CaptureFixture[str]
) -> None:
    first = job(tmp_path, teacher, validation, epochs=1)
    training.fit(first, network())  # the first epoch is the best one so far
    (first.checkpoints / "last.ckpt").unlink()
    later = training.fit(job(tmp_path, teacher, validation, epochs=2), network())
    assert [each.epoch for each in later] == [1, 2]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/1", "epoch 2/2"]


def test_a_killed_training_goes_on_with_the_time_up_to_its_last_checkpoint(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    begun = TimeLimit(1e4, spent=4000.0)
    training.fit(job(tmp_path, teacher, validation, epochs=1, limit=begun), network())
    forgotten = TimeLimit(1e4)  # the command was killed before it noted its time
    training.fit(job(tmp_path, teacher, validation, epochs=2, limit=forgotten), network())
    assert 4000 < forgotten.spent < 6000
    noted = TimeLimit(1e4, spent=7000.0)  # time after the checkpoint counts, too
    training.fit(job(tmp_path, teacher, validation, epochs=3, limit=noted), network())
    assert 7000 < noted.spent < 9000


def test_a_training_that_a_killed_command_brought_to_its_limit_ends(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    begun = TimeLimit(1e4, spent=9e3)
    training.fit(job(tmp_path, teacher, validation, epochs=1, limit=begun), network())
    over = TimeLimit(5e3)
    epochs = training.fit(job(tmp_path, teacher, validation, epochs=9, limit=over), network())
    assert [each.epoch for each in epochs] == [1, 2]


@pytest.mark.parametrize(
    ("agreement", "loss", "is_better"),
    [
        (0.9, 0.2, True),
        (0.9, 0.3, True),
        (0.9, 0.4, False),
        (0.8, 0.1, True),
        (0.95, 0.9, False),
        (0.95, 0.3, True),
        (0.8, 0.3, False),
        (0.9, None, False),
    ],
)
def test_weights_are_ranked_by_loss_then_by_agreement(
    agreement: float, loss: float | None, is_better: bool
) -> None:
    begun = Validated(images=100, top1=0.9, agreement=0.9, loss=0.3)
    trained = Validated(images=100, top1=0.1, agreement=agreement, loss=loss)
    assert (training.rank(trained) >= training.rank(begun)) == is_better


def test_the_loss_is_that_of_all_validation_images(
    teacher: nn.Module, validation: Validation
) -> None:
    student = network(2)
    images = torch.cat([torch.from_numpy(batch) for batch, _ in digits().batches("val", 50)])
    with torch.no_grad():
        logits, expected = student(images), teacher(images)
    validated = validation.of(student)
    assert validated.loss == pytest.approx(float(distillation_loss(logits, expected, 2.0)))
    assert validated.agreement == pytest.approx(
        float((logits.argmax(1) == expected.argmax(1)).float().mean())
    )
    assert validation.of(teacher).loss == 0


@pytest.mark.parametrize("is_near", [True, False])
def test_a_student_near_its_teacher_is_trained_with_the_statistics_of_inference(
    is_near: bool, tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    modes: list[bool] = []
    student = nn.Sequential(nn.BatchNorm2d(3), network(2))
    student[0].register_forward_hook(
        lambda norm, *_: modes.append(norm.training) if torch.is_grad_enabled() else None
    )
    training.fit(job(tmp_path, teacher, validation, is_near=is_near), student)
    assert set(modes) == {not is_near}


@pytest.mark.parametrize(("lr", "epochs"), [(1.0, 1), (1e-4, 3)])
def test_a_training_that_spoils_a_near_student_ends_and_keeps_its_weights(
    lr: float, epochs: int, tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    student = network(1)  # as the teacher
    told: list[str] = []
    work = job(
        tmp_path,
        teacher,
        validation,
        is_near=True,
        loss_before=0.0,
        lr=lr,
        epochs=3,
        report=told.append,
    )
    begun = copy.deepcopy(student.state_dict())
    assert len(training.fit(work, student)) == epochs
    assert len(told) == (epochs == 1)
    training.best_of(work, student, begun)
    assert same(student, teacher) or epochs == 3
    # A command that goes on after such an epoch trains no further either.
    again = dataclasses.replace(work, data=digits(), report=told.append)
    other = network(1)
    torch.manual_seed(0)  # a checkpoint is of the seed of its training
    assert len(training.fit(again, other)) == epochs
    assert len(told) == 2 * (epochs == 1)


def test_a_far_student_is_trained_to_the_end_whatever_its_loss(
    tmp_path: Path, teacher: nn.Module, validation: Validation
) -> None:
    work = job(tmp_path, teacher, validation, lr=1.0, loss_before=0.0)
    assert len(training.fit(work, network(1))) == 2
