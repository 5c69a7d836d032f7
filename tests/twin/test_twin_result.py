"""The trainings of a twin that an earlier command left: finished, gone, damaged, or judged."""

from __future__ import annotations

import contextlib
import errno
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from src.export.source import Checkpoint
from src.run.folder import Run
from src.run.twin import Epoch, Phase, Twin, Validated
from src.run.twin_files import TwinFiles
from src.twin import checkpoints, result
from src.twin.account import Account
from src.twin.making import Making
from src.twin.options import TwinOptions
from src.twin.speed import Speedups
from tests.support.user_files import leave_unfinished
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


def save(making: Making, kept: Twin, phase: Phase, name: str) -> Path:
    """Write a small whole checkpoint."""
    folder = making.run.own("twin", making.folder(phase, kept), "checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    parts = ("state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers")
    content = {part: {"weights": torch.arange(1000.0)} for part in parts}
    torch.save(content, folder / name)
    return folder / name


def trained(
    making: Making, kept: Twin, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[tuple[Phase, bool]], Twin]:
    """Run both trainings; return whether each was finished before, and the record then."""
    phases: list[tuple[Phase, bool]] = []
    account = Account(kept, lambda _: None)
    records: list[Twin] = []

    def fit(_: Making, of: Account, phase: Phase, __: nn.Module, **___: bool) -> Any:
        done = of.record.distilled if phase == "distillation" else of.record.twin
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


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def zero_the_end(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 3].ljust(len(content), b"\0"))


def change_a_weight(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(torch.arange(500.0, 510.0).numpy().tobytes()) + 3] ^= 0x40
    file.write_bytes(content)


def store_a_foreign_object(file: Path) -> None:
    torch.save({"state_dict": SimpleNamespace()}, file)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "cut": cut,
    "zeros at its end": zero_the_end,
    "a changed weight": change_a_weight,
    "text": lambda file: file.write_text("version https://git-lfs.github.com/spec/v1\n"),
    "another program's pickle": lambda file: file.write_bytes(pickle.dumps({"a": Path()})),
    "weights alone": lambda file: torch.save({"state_dict": {}}, file),
    "another program's object": store_a_foreign_object,
    "a list": lambda file: torch.save([1, 2], file),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(("damaged", "left"), [("best", "last"), ("last", "best")])
def test_a_damaged_checkpoint_is_removed_with_a_line_and_the_other_one_goes_on(
    damaged: str,
    left: str,
    damage: str,
    making: Making,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = begun(making)
    for phase in PHASES:
        save(making, kept, phase, "best.ckpt")
    other = save(making, kept, "distillation", f"{left}.ckpt")
    file = save(making, kept, "distillation", f"{damaged}.ckpt")
    DAMAGE[damage](file)
    phases, after = trained(making, kept, monkeypatch)
    assert phases == [("distillation", True), ("quantization", True)]
    assert (file.is_file(), other.is_file(), after.making) == (False, True, kept.making)
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{file} is damaged and was removed: ")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("distilled", [DONE, None])
def test_a_distillation_of_which_only_damaged_checkpoints_are_left_begins_anew(
    distilled: Validated | None, damage: str, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(making, distilled=distilled, twin=None)
    for name in ("best.ckpt", "last.ckpt"):
        DAMAGE[damage](save(making, kept, "distillation", name))
    phases, after = trained(making, kept, monkeypatch)
    assert phases == [("distillation", False), ("quantization", False)]
    assert (after.making, after.spent_s, after.epochs) == (kept.making + 1, {}, [])


@pytest.mark.parametrize(
    ("reader", "name", "error"),
    [
        (Path, "read_bytes", OSError(errno.EIO, "failed")),
        (Path, "read_bytes", OSError(errno.EINVAL, "a network disk is away")),
        (torch, "load", MemoryError()),
        (torch, "load", RuntimeError("not enough memory: you tried to allocate 9 bytes")),
    ],
)
def test_a_checkpoint_that_the_machine_cannot_read_now_stays(
    reader: object, name: str, error: Exception, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(making)
    file = save(making, kept, "distillation", "best.ckpt")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(reader, name, fail)
    with pytest.raises(type(error)):
        result.train(making, Account(kept, lambda _: None))
    assert file.is_file()


JUDGED = {
    "no gain": {"reason": "after its training it is 1.00 times as fast"},
    "a missed budget": {
        "missed": {"drop": 0.1, "allowed": 0.01, "phase": "quantization", "trained": 2}
        | {"curve": "few"}
    },
}


@pytest.mark.parametrize("judged", JUDGED)
@pytest.mark.parametrize(("speedup", "is_made"), [(1.5, True), (1.0, False)])
def test_a_command_that_was_stopped_after_its_judgement_judges_anew(
    speedup: float,
    is_made: bool,
    judged: str,
    making: Making,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = TwinFiles(making.run)
    earlier = record(key=making.key, graph_sha256=None, **JUDGED[judged])
    assert earlier.reason or earlier.missed
    spent: dict[Phase, float] = {"quantization": 20.0}
    kept = msgspec.structs.replace(earlier, calibrated=DONE, spent_s=spent)
    save(making, kept, "quantization", "best.ckpt")

    @contextlib.contextmanager
    def quantized(*_: object) -> Iterator[Any]:
        yield SimpleNamespace(
            network=nn.Identity,
            write=lambda _, path: path.write_bytes(b"graph"),
            ranges=lambda: {"images": [-1.0, 1.0]},
        )

    monkeypatch.setattr(Making, "quantized", quantized)
    monkeypatch.setattr(result, "_fit", lambda *_, **__: DONE)
    monkeypatch.setattr(result, "_float_graph", lambda _: nn.Identity())
    monkeypatch.setattr(result.speed, "measured", lambda *_: Speedups(speedup, 1.1, 0.9))
    account = Account(kept, files.write_unfinished)
    account.note()
    result.train(making, account)
    after = files.read_unfinished()
    assert after == account.record
    assert (after.is_complete, after.reason is None) == (is_made, is_made)
    assert after.missed is None
    assert after.exported_speedup == 0.9


def test_what_a_killed_command_left_half_written_is_removed(
    making: Making, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = begun(making)
    files = [save(making, kept, phase, "best.ckpt") for phase in PHASES]
    for file in files:
        leave_unfinished(file)
    trained(making, kept, monkeypatch)
    for file in files:
        assert list(file.parent.iterdir()) == [file]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("phase", PHASES)
def test_the_seed_of_a_training_does_not_depend_on_those_before_it(
    phase: Phase, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(Making, "fresh_data", lambda _: seeds.append(torch.initial_seed()))
    monkeypatch.setattr(result.training, "fit", lambda *_: [])
    monkeypatch.setattr(result.training, "best_of", lambda *_: DONE)
    for before in (1, 2):  # as a command that trained the other phase, and one that goes on
        torch.manual_seed(before)
        account = Account(begun(making, distilled=None, twin=None), lambda _: None)
        result._fit(making, account, phase, nn.Identity(), before=None)
    assert seeds == [making.seed] * 2


@pytest.mark.parametrize(
    ("replaces", "refitted", "quantized", "expected"),
    [
        (True, 0.85, 0.9, {"distillation": True, "quantization": True}),
        (True, 0.85, 0.5, {"distillation": True, "quantization": False}),
        (True, 0.7, 0.9, {"distillation": False, "quantization": True}),
        (False, None, 0.9, {"quantization": True}),
        (False, None, 0.1, {"quantization": False}),  # an int8 file that has collapsed
    ],
)
def test_a_student_is_near_by_its_answers_before_each_training(
    replaces: bool,
    refitted: float | None,
    quantized: float,
    expected: dict[Phase, bool],
    making: Making,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Validated(images=100, top1=0.9, agreement=quantized)
    monkeypatch.setattr(Making, "validation", SimpleNamespace(of=lambda _: found))
    near: dict[Phase, bool] = {}

    def fit(_: Making, __: Account, phase: Phase, ___: nn.Module, *, before: Any) -> Any:
        near[phase] = result.is_near(before)
        if phase == "quantization":
            raise StopError
        return DONE

    monkeypatch.setattr(result, "_fit", fit)
    monkeypatch.setattr(result, "_reconstruct", lambda *_: None)
    kept = begun(making, distilled=None, twin=None, chosen=1 if replaces else 0)
    before = None if refitted is None else Validated(images=100, top1=0.9, agreement=refitted)
    kept = msgspec.structs.replace(kept, spent_s={}, reconstructed=before)
    monkeypatch.setattr(result, "_undo_lost", lambda *_: None)
    with pytest.raises(StopError):
        result.train(making, Account(kept, lambda _: None))
    assert near == expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [([1.5], 1.5), ([1.0, 1.4, 1.3], 1.3), ([1.0, 0.9, 1.4], 1.0), ([1.05, 1.06, 1.0], 1.05)],
)
def test_one_slow_timing_discards_no_twin(
    times: list[float], expected: float, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(times)
    monkeypatch.setattr(result.speed, "measured", lambda *_: Speedups(next(left), 1.0))
    assert result._speedups(making, TwinFiles(making.run), {}).int8 == expected
    assert list(left) == []


def test_a_student_is_refitted_once_and_its_weights_are_kept(
    making: Making, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []

    def refit(student: nn.Module, *_: object) -> int:
        calls.append(1)
        with torch.no_grad():
            student.weight.fill_(7.0)  # type: ignore[union-attr,operator]
        return 1

    monkeypatch.setattr(Making, "network", nn.Linear(2, 2))
    monkeypatch.setattr(Making, "images", torch.zeros(1))
    monkeypatch.setattr(result, "reconstruct", refit)
    fresh = begun(making, distilled=None, twin=None, epochs=[])
    account = Account(msgspec.structs.replace(fresh, spent_s={}), lambda _: None)
    file = checkpoints.begun_in(making.run, making.folder("distillation", account.record))
    for _ in range(2):
        student = nn.Linear(2, 2)
        result._reconstruct(making, account, student)
        assert bool((student.weight == 7).all())
        assert account.record.reconstructed == DONE
    assert calls == [1]
    cut(file)
    result._reconstruct(making, account, nn.Linear(2, 2))
    assert calls == [1, 1]
    assert f"{file} is damaged and was removed" in capsys.readouterr().out


def test_a_student_that_is_worse_after_the_refit_keeps_its_weights(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(network: nn.Linear) -> Validated:
        is_refitted = bool((network.weight == 7).all())
        # More equal answers, but logits that are further away.
        agreement, loss = (0.7, 0.3) if is_refitted else (0.6, 0.2)
        return Validated(images=100, top1=0.9, agreement=agreement, loss=loss)

    monkeypatch.setattr(Making, "validation", SimpleNamespace(of=of))
    monkeypatch.setattr(Making, "network", nn.Linear(2, 2))
    monkeypatch.setattr(Making, "images", torch.zeros(1))
    monkeypatch.setattr(result, "reconstruct", lambda student, *_: student.weight.data.fill_(7.0))
    student = nn.Linear(2, 2)
    before = student.weight.detach().clone()
    fresh = msgspec.structs.replace(begun(making), spent_s={})
    result._reconstruct(making, Account(fresh, lambda _: None), student)
    assert torch.equal(student.weight, before)


@pytest.mark.parametrize("left", ["time", "checkpoint"])
def test_a_training_that_was_begun_without_a_refit_goes_on_without_one(
    left: str, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "reconstruct", lambda *_: pytest.fail("refitted"))
    kept = begun(making)
    if left == "checkpoint":
        kept = msgspec.structs.replace(kept, spent_s={})
        save(making, kept, "distillation", "last.ckpt")
    student = nn.Linear(2, 2)
    before = student.weight.detach().clone()
    account = Account(kept, lambda _: None)
    result._reconstruct(making, account, student)
    assert torch.equal(student.weight, before)
    assert account.record.reconstructed is None


@pytest.mark.parametrize("spoil", [None, Path.unlink, cut, zero_the_end])
def test_trainings_that_lost_the_weights_that_they_began_with_begin_anew(
    spoil: Callable[[Path], object] | None,
    making: Making,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = begun(making, reconstructed=DONE)
    for phase in PHASES:
        save(making, kept, phase, "best.ckpt")
    file = checkpoints.begun_in(making.run, making.folder("distillation", kept))
    checkpoints.write_weights(nn.Linear(100, 100), file)
    if spoil is not None:
        spoil(file)
    account = Account(kept, lambda _: None)
    result._undo_lost(making, account)
    after = account.record
    if spoil is None:
        assert (after.making, after.spent_s, after.reconstructed) == (0, kept.spent_s, DONE)
    else:
        assert (after.making, after.spent_s, after.twin, after.reconstructed) == (1, {}, None, None)
        assert making.folder("distillation", after) != making.folder("distillation", kept)


@pytest.mark.parametrize(
    ("agreement", "options", "is_needed"),
    [
        (0.99, {}, False),
        (0.98, {}, True),
        (0.98, {"max_accuracy_drop": 0.02}, False),
        (1.0, {"epochs": 2}, True),
    ],
)
def test_a_distillation_is_made_where_the_refitted_network_needs_it(
    agreement: float, options: dict[str, Any], is_needed: bool, making: Making
) -> None:
    of = Making(making.run, making.checkpoint, TwinOptions(**options), making.report)
    reconstructed = Validated(images=100, top1=0.9, agreement=agreement)
    kept = msgspec.structs.replace(begun(of), reconstructed=reconstructed)
    assert result._needs_distillation(of, kept) == is_needed


@pytest.mark.parametrize(
    ("agreement", "options", "changes", "is_trained"),
    [
        (1.0, {}, {}, False),
        (0.98, {}, {}, True),
        (1.0, {"quantized_epochs": 2}, {}, True),
        (1.0, {}, {"reconstructed": None}, True),  # no part was replaced
        (1.0, {}, {"spent_s": {"quantization": 1.0}}, True),  # an earlier command began it
    ],
)
def test_a_refitted_network_that_answers_in_int8_as_its_teacher_is_not_trained(
    agreement: float,
    options: dict[str, Any],
    changes: dict[str, Any],
    is_trained: bool,
    making: Making,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Validated(images=100, top1=0.9, agreement=agreement)
    monkeypatch.setattr(Making, "validation", SimpleNamespace(of=lambda _: found))
    of = Making(making.run, making.checkpoint, TwinOptions(**options), making.report)
    kept = msgspec.structs.replace(begun(of, twin=None), spent_s={}, reconstructed=DONE)
    kept = msgspec.structs.replace(kept, **changes)
    assert result._needs_quantization(of, kept, found) == is_trained
    file = checkpoints.begun_in(of.run, of.folder("distillation", kept))
    checkpoints.write_weights(nn.Identity(), file)
    if "quantization" in kept.spent_s:
        save(of, kept, "quantization", "best.ckpt")
    # The same command judges an untrained twin again without a word of lost checkpoints.
    account = Account(msgspec.structs.replace(kept, twin=found), lambda _: None)
    result._undo_lost(of, account)
    assert (account.record.twin, account.record.making) == (found, kept.making)
