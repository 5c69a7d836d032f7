"""The trainings of a twin that an earlier command finished, and whose checkpoints are gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from torch import nn

from src.export.source import Checkpoint
from src.run.folder import Run
from src.run.twin import Epoch, Phase, Twin, Validated
from src.twin import result
from src.twin.account import Account
from src.twin.making import Making
from src.twin.options import TwinOptions
from tests.twin.planted import record

DONE = Validated(images=100, top1=0.9, agreement=0.9)
PHASES: tuple[Phase, ...] = ("distillation", "quantization")


class StopError(Exception):
    """Ends a making after its trainings."""


@pytest.fixture
def making(run: Run, monkeypatch: pytest.MonkeyPatch) -> Making:
    """A making without networks."""

    @contextlib.contextmanager
    def quantized(*_: object) -> Iterator[Any]:
        yield SimpleNamespace(network=nn.Identity)

    monkeypatch.setattr(Making, "validation", SimpleNamespace(of=lambda _: DONE))
    monkeypatch.setattr(Making, "student", lambda *_: nn.Identity())
    monkeypatch.setattr(Making, "quantized", quantized)
    lines: list[str] = []
    checkpoint = Checkpoint.read(run.best_checkpoint)
    return Making(run, checkpoint, TwinOptions(), lambda line, *_, **__: lines.append(line))


def begun(making: Making, **changes: object) -> Twin:
    """Return the record of a making whose trainings are finished."""
    epochs = [Epoch(phase=phase, epoch=1, loss=1.0, agreement=0.9, top1=0.9) for phase in PHASES]
    changes = {"distilled": DONE, "twin": DONE, "epochs": epochs, **changes}
    spent: dict[Phase, float] = {"distillation": 50.0, "quantization": 20.0}
    whole = record(key=making.key, graph_sha256=None)
    return msgspec.structs.replace(whole, spent_s=spent, **changes)


def save(making: Making, kept: Twin, phase: Phase, name: str) -> None:
    folder = making.run.own("twin", making.folder(phase, kept), "checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()


def trained(
    making: Making, kept: Twin, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[tuple[Phase, bool]], Twin]:
    """Run both trainings; return whether each was finished before, and the record then."""
    phases: list[tuple[Phase, bool]] = []
    account = Account(kept, lambda _: None)
    records: list[Twin] = []

    def fit(_: Making, of: Account, phase: Phase, __: nn.Module, done: Validated | None) -> Any:
        phases.append((phase, done is not None))
        records.append(of.record)
        if phase == "quantization":
            raise StopError
        return DONE

    monkeypatch.setattr(result, "_fit", fit)
    with pytest.raises(StopError):
        result.train(making, account)
    return phases, records[0]


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_finished_trainings_are_not_repeated(
    name: str, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(making)
    for phase in PHASES:
        save(making, kept, phase, name)
    phases, after = trained(making, kept, monkeypatch)
    assert phases == [("distillation", True), ("quantization", True)]
    assert (after.spent_s, after.epochs, after.making) == (kept.spent_s, kept.epochs, kept.making)


def test_a_lost_distillation_begins_both_trainings_anew_in_other_folders(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(making)
    save(making, kept, "quantization", "best.ckpt")
    phases, after = trained(making, kept, monkeypatch)
    assert phases == [("distillation", False), ("quantization", False)]
    assert (after.spent_s, after.epochs, after.twin) == ({}, [], None)
    for phase in PHASES:
        assert making.folder(phase, after) != making.folder(phase, kept)


def test_a_lost_training_under_fake_quantization_is_repeated_alone_with_its_time(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(making)
    save(making, kept, "distillation", "best.ckpt")
    phases, after = trained(making, kept, monkeypatch)
    assert phases == [("distillation", True), ("quantization", False)]
    assert after.spent_s == {"distillation": 50.0}
    assert [each.phase for each in after.epochs] == ["distillation"]
    assert making.folder("distillation", after) == making.folder("distillation", kept)


def test_a_training_that_has_not_ended_keeps_its_time(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(making, twin=None)
    save(making, kept, "distillation", "last.ckpt")
    phases, after = trained(making, kept, monkeypatch)
    assert phases == [("distillation", True), ("quantization", False)]
    assert after.spent_s == kept.spent_s
