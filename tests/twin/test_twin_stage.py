"""The stage: what is begun goes on, what is finished stays, and another making begins anew."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from src.backends.onnx.twin import missed_budget
from src.errors import UsageError
from src.export.source import Checkpoint
from src.export.twin import twin_of
from src.quantization import target
from src.run.folder import Run
from src.run.twin import Phase, Twin, TwinAccount, Validated
from src.run.twin_files import TwinFiles
from src.system import atomic_files
from src.twin import checkpoints, result, stage
from src.twin.account import Account
from src.twin.making import Making
from src.twin.options import TwinOptions
from src.twin.parts import Parts
from tests.twin.planted import record


class Steps:
    """The survey and the trainings, replaced by planted results.

    Args:
        run: gets the files of the trainings.
        monkeypatch: of the test.
    """

    def __init__(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.done: list[str] = []
        self.processors: list[str] = []  # that each training is for
        self.stops = False
        self.reason: str | None = None
        self.chosen = 1
        monkeypatch.setattr(stage.parts, "chosen", self.choose)
        monkeypatch.setattr(stage.result, "train", self.train)

    def choose(self, making: Making) -> Parts:
        self.done.append("survey")
        chosen = None if self.reason else self.chosen
        return Parts(record().tried, chosen, self.reason, None)

    def train(self, making: Making, account: Account) -> None:
        name = making.folder("distillation", account.record)
        folder = self.run.own("twin", name)
        self.done.append("resumed" if folder.is_dir() else "trained")
        self.processors.append(making.choice.processor)
        folder.mkdir(exist_ok=True)
        if self.stops:
            raise KeyboardInterrupt
        files = TwinFiles(self.run)
        atomic_files.write_bytes(files.unfinished_graph, name.encode())
        sha = atomic_files.sha256(files.unfinished_graph)
        account.note(graph_sha256=sha, ranges={"images": [-1.0, 1.0]})


@pytest.fixture
def steps(run: Run, monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(run, monkeypatch)


def make(run: Run, **options: object) -> Twin:
    return stage.make_twin(
        run,
        TwinOptions(**options),  # type: ignore[arg-type]
        "python -m src.twin RUN",
        lambda *_, **__: None,
    )


def trainings(run: Run) -> list[str]:
    return sorted(path.name for path in run.twin.iterdir() if path.is_dir())


def test_a_finished_twin_is_returned_as_it_is(run: Run, steps: Steps) -> None:
    first = make(run)
    assert steps.done == ["survey", "trained"]
    assert make(run) == first
    assert steps.done == ["survey", "trained"]
    assert sorted(path.name for path in run.twin.iterdir() if path.is_file()) == [
        "network.onnx",
        "twin.json",
    ]


def test_a_changed_graph_is_made_again(run: Run, steps: Steps) -> None:
    make(run)
    TwinFiles(run).graph.write_bytes(b"another")
    make(run)
    assert steps.done == ["survey", "trained", "survey", "trained"]


def test_a_stopped_making_goes_on_in_its_folder(run: Run, steps: Steps) -> None:
    steps.stops = True
    with pytest.raises(KeyboardInterrupt):
        make(run)
    assert not run.twin_record.is_file()
    steps.stops = False
    make(run)
    assert steps.done == ["survey", "trained", "resumed"]


@pytest.mark.parametrize("begun", ["vnni", "avx2", "arm"])
@pytest.mark.parametrize("here", ["vnni", "avx2", "arm"])
def test_a_making_that_goes_on_keeps_the_types_that_it_was_begun_with(
    begun: str, here: str, run: Run, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "this_processor", lambda: begun)
    steps.stops = True
    with pytest.raises(KeyboardInterrupt):
        make(run)
    monkeypatch.setattr(target, "this_processor", lambda: here)
    steps.stops = False
    made = make(run)
    assert steps.done == ["survey", "trained", "resumed"]
    assert steps.processors == [begun, begun]
    assert made.processor == begun
    again = make(run, again=True)
    assert steps.processors == [begun, begun, here]
    assert again.processor == here


def test_an_old_record_without_a_processor_goes_on_with_this_one(
    run: Run, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "this_processor", lambda: "arm")
    lines: list[str] = []
    checkpoint = Checkpoint.read(run.best_checkpoint)
    making = Making(run, checkpoint, TwinOptions(), lambda line, *_, **__: lines.append(line))
    assert making.continuing(record(processor=None)) is making
    assert making.continuing(record(processor="arm")) is making
    assert lines == []
    assert making.continuing(record(processor="vnni")).choice.processor == "vnni"
    assert "stay those of vnni" in lines[0]


def test_again_begins_anew_and_the_plain_command_goes_on_with_it(run: Run, steps: Steps) -> None:
    first = make(run)
    steps.stops = True
    with pytest.raises(KeyboardInterrupt):
        make(run, again=True)
    assert TwinFiles(run).read() == first  # the earlier one stays meanwhile
    assert TwinFiles(run).is_whole(first)
    steps.stops = False
    second = make(run)
    assert steps.done == ["survey", "trained", "survey", "trained", "resumed"]
    assert second.making == first.making + 1
    assert len(trainings(run)) == 1  # those of the earlier one are gone


def test_other_parts_are_not_trained_from_the_checkpoint_of_the_first_ones(
    run: Run, steps: Steps
) -> None:
    making = Making(run, Checkpoint.read(run.best_checkpoint), TwinOptions(), lambda *_, **__: None)
    first = record(key=making.key)
    others = [
        msgspec.structs.replace(first, chosen=0),
        msgspec.structs.replace(first, making=1),
        msgspec.structs.replace(first, key="another"),
    ]
    names = {making.folder("distillation", each) for each in (first, *others)}
    names.add(making.folder("quantization", first))
    assert len(names) == 5


def test_other_options_are_another_making(run: Run, steps: Steps) -> None:
    make(run)
    make(run, epochs=7)
    make(run)
    assert steps.done == ["survey", "trained"] * 3


@pytest.mark.parametrize("options", [{"again": True}, {"epochs": 2}, {"max_minutes": 3.0}])
def test_an_attempt_without_a_gain_keeps_an_earlier_twin(
    options: dict[str, Any], run: Run, steps: Steps
) -> None:
    first = make(run)
    files = TwinFiles(run)
    trainings = sorted(path.name for path in run.twin.glob("distillation-*"))
    steps.reason = "nothing is gained"
    made = make(run, **options)
    assert made.reason == "nothing is gained"
    assert files.read() == first
    assert files.is_whole(first)
    assert sorted(path.name for path in run.twin.glob("distillation-*")) == trainings
    # The same words find the same answer, and the words of the twin find the twin.
    steps.done.clear()
    options.pop("again", None)
    assert make(run, **options) == (made if options else first)
    assert make(run) == first
    assert steps.done == []
    steps.reason = None
    assert make(run, again=True).is_complete
    assert not files.without_gain.exists()


@pytest.mark.parametrize("spoil", ["weights", "graph"])
def test_no_twin_removes_an_earlier_one_that_is_of_no_use(
    spoil: str, run: Run, steps: Steps
) -> None:
    first = make(run)
    files = TwinFiles(run)
    if spoil == "weights":
        files._write(
            run.twin_record, msgspec.structs.replace(first, checkpoint_sha256="other", key="other")
        )
    else:
        files.graph.write_bytes(b"damaged")
    steps.reason = "nothing is gained"
    made = make(run)
    assert made.reason == "nothing is gained"
    assert not files.graph.is_file()
    assert files.read() == made
    assert make(run) == made


def test_an_account_that_cannot_be_read_is_made_anew_by_again_only(run: Run, steps: Steps) -> None:
    run.twin.mkdir()
    run.twin_record.write_text('{"schema_version": 2}')
    with pytest.raises(UsageError, match="again=true makes the twin anew"):
        make(run)
    made = make(run, again=True)
    assert made.is_complete
    assert make(run) == made
    assert make(run, again=True).making == made.making + 1


def test_a_twin_made_anew_takes_no_training_of_a_lost_account(run: Run, steps: Steps) -> None:
    make(run)
    run.twin_record.write_text("{")
    steps.stops = True
    with pytest.raises(KeyboardInterrupt):
        make(run, again=True)
    assert steps.done == ["survey", "trained"] * 2
    # The command without again=true goes on with the new one.
    steps.stops = False
    assert make(run).is_complete
    assert steps.done[4:] == ["resumed"]


def test_an_account_that_cannot_be_read_stops_no_other_export(run: Run) -> None:
    run.twin.mkdir()
    run.twin_record.write_text('{"schema_version": 2}')
    of_run = twin_of(run, Checkpoint.read(run.best_checkpoint))
    assert (of_run.graph, of_run.account) == (None, None)
    assert "schema_version" in of_run.missing


def test_an_export_says_why_there_is_no_twin(run: Run, steps: Steps) -> None:
    checkpoint = Checkpoint.read(run.best_checkpoint)
    assert "has no int8 twin; make it: python -m src.twin" in twin_of(run, checkpoint).missing
    made = make(run)
    graph = twin_of(run, checkpoint).graph
    assert graph is not None
    assert graph.record == made
    TwinFiles(run).graph.unlink()
    assert "missing or changed" in twin_of(run, checkpoint).missing
    of_other = msgspec.structs.replace(made, checkpoint_sha256="other")
    TwinFiles(run)._write(run.twin_record, of_other)
    assert "of other weights" in twin_of(run, checkpoint).missing
    steps.reason = "nothing is gained"
    make(run, again=True)  # there is none of these weights
    of_run = twin_of(run, checkpoint)
    assert of_run.missing == "no int8 twin was made: nothing is gained"
    assert isinstance(of_run.account, TwinAccount)


def test_defaults_follow_the_training(run: Run) -> None:
    checkpoint = Checkpoint.read(run.best_checkpoint)
    making = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    assert (making.epochs, making.quantized_epochs) == (4, 2)  # of 12
    assert (making.seed, making.device) == (5, torch.device("cpu"))
    chosen = Making(run, checkpoint, TwinOptions(epochs=9, seed=3), lambda *_, **__: None)
    assert (chosen.epochs, chosen.quantized_epochs, chosen.seed) == (9, 5, 3)
    run.config.write_text("trainer: {max_epochs: -1}\nseed_everything: true\n")
    unknown = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    assert (unknown.epochs, unknown.quantized_epochs) == (3, 2)
    assert unknown.seed == 0


def trained_without_gain(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, *, saves: bool, is_refitted: bool = False
) -> None:
    """Let the training end with a twin that gains nothing the first time, and something then."""

    def train(making: Making, account: Account) -> None:
        phase: Phase = "quantization"
        folder = checkpoints.folder_of(making.run, making.folder(phase, account.record))
        steps.done.append("resumed" if folder.is_dir() else "trained")
        if saves:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "best.ckpt").touch()
        done = validated(0.9)
        if steps.done.count("resumed"):
            atomic_files.write_bytes(TwinFiles(making.run).unfinished_graph, b"graph")
            sha = atomic_files.sha256(TwinFiles(making.run).unfinished_graph)
            account.note(twin=done, graph_sha256=sha, reason=None, ranges={"images": [0.0, 1.0]})
        else:
            reconstructed = done if is_refitted else None
            account.note(
                twin=done,
                reason="1.00 times as fast",
                spent_s={phase: 1.0},
                reconstructed=reconstructed,
            )

    monkeypatch.setattr(stage.result, "train", train)


def test_a_twin_that_gained_nothing_is_timed_again_without_a_training(
    run: Run, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_without_gain(steps, monkeypatch, saves=True)
    assert make(run).reason is not None
    made = make(run)
    assert steps.done == ["survey", "trained", "resumed"]
    assert made.is_complete
    assert make(run) == made
    assert steps.done == ["survey", "trained", "resumed"]


@pytest.mark.parametrize(("saves", "is_refitted"), [(False, False), (True, True)])
def test_a_twin_that_gained_nothing_and_lost_its_weights_is_not_trained_again(
    saves: bool, is_refitted: bool, run: Run, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_without_gain(steps, monkeypatch, saves=saves, is_refitted=is_refitted)
    made = make(run)
    assert make(run) == made
    assert steps.done == ["survey", "trained"]


def test_parts_that_gain_nothing_are_timed_again_on_another_processor(
    run: Run, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "this_processor", lambda: "avx2")
    steps.reason = "no replacement makes the plain int8 file faster"
    make(run)
    make(run)
    assert steps.done == ["survey"]
    monkeypatch.setattr(target, "this_processor", lambda: "vnni")
    make(run)
    assert steps.done == ["survey", "survey"]


def told(run: Run, options: TwinOptions) -> list[str]:
    """Return what a making reports until it ends or is stopped."""
    lines: list[str] = []
    with contextlib.suppress(KeyboardInterrupt):
        stage.make_twin(run, options, "command", lambda line, *_, **__: lines.append(line))
    return lines


def test_a_twin_that_was_begun_with_other_options_is_told(run: Run, steps: Steps) -> None:
    steps.stops = True
    assert told(run, TwinOptions()) == []
    assert told(run, TwinOptions()) == []
    assert "other options" in told(run, TwinOptions(epochs=7))[0]
    assert steps.done == ["survey", "trained", "resumed", "survey", "trained"]


@pytest.mark.parametrize("gained", [True, False])
def test_a_finished_twin_costs_no_other_one_that_is_begun(
    gained: bool, run: Run, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        if not gained:
            trained_without_gain(steps, patched, saves=True)
        first = make(run)
    steps.stops = True
    with pytest.raises(KeyboardInterrupt):
        make(run, epochs=20)
    begun = TwinFiles(run).read_unfinished()
    assert told(run, TwinOptions()) == []
    assert make(run) == first
    assert TwinFiles(run).read_unfinished() == begun
    assert steps.done[-2:] == ["survey", "trained"]


@pytest.mark.parametrize("others", [{}, {"epochs": 20}])
@pytest.mark.parametrize("option", ["epochs", "quantized_epochs"])
def test_epochs_that_are_asked_for_are_another_making_than_those_of_the_default(
    option: str, others: dict[str, Any], run: Run
) -> None:
    if option in others:
        return
    checkpoint = Checkpoint.read(run.best_checkpoint)
    plain = Making(run, checkpoint, TwinOptions(**others), lambda *_, **__: None)
    asked = TwinOptions(**others, **{option: getattr(plain, option)})
    assert Making(run, checkpoint, asked, lambda *_, **__: None).key != plain.key


def validated(agreement: float, top1: float = 0.9) -> Validated:
    return Validated(images=100, top1=top1, agreement=agreement)


@pytest.mark.parametrize(
    ("speedup", "agreement", "is_made"),
    [(1.5, 0.9, True), (1.0, 0.97, True), (1.0, 0.96, False), (1.04, 0.9, False)],
)
def test_a_twin_that_gains_nothing_is_none(
    speedup: float, agreement: float, is_made: bool, run: Run
) -> None:
    made = record(
        teacher=msgspec.to_builtins(validated(1.0)),
        twin=msgspec.to_builtins(validated(agreement)),
        calibrated=msgspec.to_builtins(validated(0.96)),
        int8_speedup=speedup,
    )
    account = Account(made, lambda _: None)
    checkpoint = Checkpoint.read(run.best_checkpoint)
    making = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    result._judge(making, account)
    assert account.record.is_complete == is_made
    assert (account.record.reason is None) == is_made


@pytest.mark.parametrize(("spent", "is_told"), [(400.0, True), (100.0, False)])
def test_a_training_that_its_time_ended_is_told(run: Run, spent: float, is_told: bool) -> None:
    made = record(
        teacher=msgspec.to_builtins(validated(1.0)),
        twin=msgspec.to_builtins(msgspec.structs.replace(validated(0.9), top1=0.5)),
        calibrated=msgspec.to_builtins(validated(0.96)),
        int8_speedup=1.5,
        epochs=[{"phase": "quantization", "epoch": 1, "loss": 1, "agreement": 0.9, "top1": 0.9}],
        spent_s={"distillation": 500.0, "quantization": spent},
    )
    account = Account(made, lambda _: None)
    checkpoint = Checkpoint.read(run.best_checkpoint)
    options = TwinOptions(epochs=6, quantized_epochs=3, max_minutes=15)
    result._judge(Making(run, checkpoint, options, lambda *_, **__: None), account)
    [line] = missed_budget(account.record)
    told = "max_minutes=15 ended the training under fake quantization in epoch 1"
    assert (told in line) == is_told


def test_a_phase_gets_its_share_of_the_time_and_the_second_one_what_is_left(run: Run) -> None:
    checkpoint = Checkpoint.read(run.best_checkpoint)
    options = TwinOptions(epochs=6, quantized_epochs=3, max_minutes=15)
    making = Making(run, checkpoint, options, lambda *_, **__: None)
    fresh = record()
    assert result._limit(making, fresh, "distillation").seconds == 600
    spent = msgspec.structs.replace(fresh, spent_s={"distillation": 500.0, "quantization": 100.0})
    second = result._limit(making, spent, "quantization")
    assert (second.seconds, second.spent) == (400, 100)
    unlimited = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    assert result._limit(unlimited, spent, "quantization").seconds is None


def test_a_plan_that_is_not_of_this_network_is_one_line(run: Run) -> None:
    checkpoint = Checkpoint.read(run.best_checkpoint)
    making = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    with pytest.raises(UsageError, match="again=true"):
        making.student(record())


def test_leftovers_of_others_stay(run: Run, steps: Steps, tmp_path: Path) -> None:
    run.twin.mkdir()
    (run.twin / "mine").mkdir()
    (run.twin / "distillation-00000000").mkdir()
    make(run)
    assert "mine" in trainings(run)
    assert "distillation-00000000" not in trainings(run)


def test_a_twin_that_was_begun_is_not_finished_for_the_export(run: Run, steps: Steps) -> None:
    checkpoint = Checkpoint.read(run.best_checkpoint)
    assert "the run has no int8 twin" in twin_of(run, checkpoint).missing
    steps.stops = True
    with pytest.raises(KeyboardInterrupt):
        make(run)
    of_run = twin_of(run, checkpoint)
    assert of_run.graph is None
    assert of_run.account is not None
    assert "the int8 twin is not finished; go on" in of_run.missing
    steps.stops = False
    make(run)
    assert twin_of(run, checkpoint).missing == ""
