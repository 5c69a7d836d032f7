"""The steps of a search as commands: their words, their files, and the lock that they hold."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from src.benchmark.options import BenchmarkOptions
from src.benchmark.statistics.latency import call_seconds
from src.cli.stage_command import parse
from src.forecast.candidate import Request
from src.forecast.records import Candidate, FileCost, Forecast
from src.forecast.stage import RECORD
from src.run.folder import Run
from src.run.latency import Cell
from src.run.layout import as_dict
from src.run.reading import convert
from src.search import run_words, training
from src.search.occupancy import LOCK, TRAINING_LOCK, held_for_training, occupied
from src.search.product import ProductTrials
from src.search.training import LOGS
from src.search.trials import TrialError, slug
from tests.report.planted import FAILED, latency, results, row
from tests.search.planted import ENVIRONMENT

KEY = "0123456789abcdef"
REQUEST = Request("timm/lcnet_050", 32, ("data=digits",))


def checkpoint(epochs: int, score: float, *, within: bool = False) -> dict[str, object]:
    """Return what the search reads of a checkpoint, at the end of an epoch or within the next."""
    return {
        "epoch": epochs if within else epochs - 1,
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": epochs}}}},
        "callbacks": {"BestCheckpoint": {"score": torch.tensor(score)}},
    }


class FakeCommands:
    """Trains by writing the checkpoint of the epoch that the words name."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self.run = folder / slug(REQUEST, KEY) / "lightning_logs" / "lcnet" / "version_0"
        self.epochs = epochs
        self.calls: list[tuple[str, list[str]]] = []
        self.held: list[Path] = []
        self.code = 0
        self.stops_early = False

    def __call__(
        self, module: str, words: Sequence[str], log: Path, *, kept_open: Sequence[int] = ()
    ) -> int:
        self.calls.append((module, list(words)))
        self.held += [Path(f"/proc/self/fd/{each}").resolve() for each in kept_open]
        log.write_text("epoch 1\nerror: data.root: no such \x1b[31mfolder\n")
        if self.code:
            return self.code
        pauses = [word for word in words if word.startswith("trainer.callbacks+=")]
        epoch = self.epochs
        if pauses:
            value = yaml.safe_load(pauses[0].partition("+=")[2])
            assert value["class_path"] == "src.callbacks.pause.PauseAfterEpoch"
            epoch = value["init_args"]["epochs"]
        if module == "src.train":
            self.write(epoch - 1 if self.stops_early else epoch)
        return 0

    def write(self, epoch: int, *, within: bool = False) -> None:
        (self.run / "checkpoints").mkdir(parents=True, exist_ok=True)
        content = checkpoint(epoch, 0.5 + epoch / 100, within=within)
        torch.save(content, self.run / "checkpoints" / "last.ckpt")


@pytest.fixture
def commands(tmp_path: Path) -> FakeCommands:
    return FakeCommands(tmp_path, 12)


@pytest.fixture
def trials(tmp_path: Path, commands: FakeCommands) -> ProductTrials:
    (tmp_path / LOGS).mkdir()

    def forecast(argv: Sequence[str], run_file: Path, log: Path) -> int:
        log.write_text("error: data.image_size: too small\n")
        return 2

    return ProductTrials(tmp_path, tmp_path, ENVIRONMENT, "command", forecast, commands)


def test_a_training_pauses_at_each_rung_and_resumes(
    trials: ProductTrials, commands: FakeCommands
) -> None:
    for epoch in (3, 6, 12):
        trained = trials.train(REQUEST, KEY, epoch, 12)
        assert (trained.epoch, round(trained.top1, 4)) == (epoch, 0.5 + epoch / 100)
        assert Path(trained.run) == commands.run.relative_to(trials.folder)
    words = [words for _, words in commands.calls]
    assert all("data=digits" in each and "export.enabled=false" in each for each in words)
    assert ["ckpt_path=last" in each for each in words] == [False, True, True]
    assert [any("PauseAfterEpoch" in word for word in each) for each in words] == [
        True,
        True,
        False,
    ]
    assert not any("max_epochs" in word for each in words for word in each)


def test_what_is_trained_already_runs_no_command(
    trials: ProductTrials, commands: FakeCommands
) -> None:
    commands.write(6)
    assert trials.train(REQUEST, KEY, 6, 12).epoch == 6
    assert commands.calls == []
    commands.write(6, within=True)  # stopped in the middle of the seventh epoch
    assert trials.train(REQUEST, KEY, 7, 12).epoch == 7
    assert len(commands.calls) == 1


@pytest.mark.parametrize("epochs", [12, 900])
def test_an_earlier_rung_of_a_finished_training_has_the_best_accuracy_until_then(
    trials: ProductTrials, commands: FakeCommands, epochs: int
) -> None:
    commands.write(epochs)
    with SummaryWriter(str(commands.run)) as writer:
        for epoch in range(epochs):
            writer.add_scalar("epoch", epoch, epoch)
            writer.add_scalar("val/loss", 1, epoch)
            writer.add_scalar("val/top1", 0.9 if epoch == 5 else epoch / 1000, epoch)
    assert trials.train(REQUEST, KEY, 5, epochs).top1 == pytest.approx(0.004)
    assert trials.train(REQUEST, KEY, 7, epochs).top1 == pytest.approx(0.9)
    assert commands.calls == []


def test_a_training_notes_its_command_in_the_run_when_it_has_ended(
    trials: ProductTrials, commands: FakeCommands
) -> None:
    other = dataclasses.replace(REQUEST, rest=("data=digits", "benchmark=quick"))
    trials.train(REQUEST, KEY, 3, 12)
    run = Run.of(commands.run)
    assert run_words.are_of(run, REQUEST)
    trials.train(other, KEY, 6, 12)
    assert run_words.are_of(run, other)
    trials.train(REQUEST, KEY, 6, 12)  # no command is run, so config.yaml is that of the other
    assert run_words.are_of(run, other)
    commands.code = 2  # it may have replaced the options before it failed
    with pytest.raises(TrialError):
        trials.train(REQUEST, KEY, 12, 12)
    assert not run_words.are_of(run, REQUEST)
    assert not run_words.are_of(run, other)


def test_a_training_that_fails_or_ends_early_is_no_training(
    trials: ProductTrials, commands: FakeCommands
) -> None:
    commands.code = 2
    with pytest.raises(TrialError, match=r"src.train: data.root: no such \\x1b\[31mfolder \(see "):
        trials.train(REQUEST, KEY, 3, 12)
    commands.code, commands.stops_early = 0, True
    with pytest.raises(TrialError, match="ended after epoch 2"):
        trials.train(REQUEST, KEY, 3, 12)
    (commands.run / "checkpoints" / "last.ckpt").write_bytes(b"PK")
    with pytest.raises(TrialError, match=r"last\.ckpt: expected a whole checkpoint"):
        trials.train(REQUEST, KEY, 3, 12)


def test_a_training_tells_the_epochs_of_its_own_configuration(
    trials: ProductTrials, commands: FakeCommands
) -> None:
    assert trials.train(REQUEST, KEY, 2, 18).whole_epochs is None
    config = commands.run / "config.yaml"
    config.write_text(yaml.safe_dump({"trainer": {"max_epochs": 12}}))
    trained = trials.train(REQUEST, KEY, 3, 18)
    assert (trained.epoch, trained.whole_epochs) == (3, 12)
    config.write_text(yaml.safe_dump({"trainer": {"max_epochs": 5}}))
    commands.stops_early = True  # after epoch 5, where a rung of the assumed training is epoch 6
    trained = trials.train(REQUEST, KEY, 6, 24)
    assert (trained.epoch, trained.whole_epochs) == (5, 5)
    config.write_text(yaml.safe_dump({"trainer": {"max_epochs": 9}}))
    with pytest.raises(TrialError, match="ended after epoch 6"):
        trials.train(REQUEST, KEY, 7, 24)


def test_a_forecast_that_fails_has_its_reason(trials: ProductTrials) -> None:
    made = trials.forecast(REQUEST)
    assert made.status == "failed"
    assert "too small" in (made.reason or "")


def test_a_forecast_with_a_failed_format_is_known_and_a_failed_one_is_not(
    tmp_path: Path, trials: ProductTrials
) -> None:
    key = REQUEST.key(ENVIRONMENT)
    assert trials.known_forecast(REQUEST) is None
    lost = FileCost(format="onnx_int8", device="cpu", status="failed", reason="x", timings=[])
    for status, is_known in (("failed", False), ("ok", True)):
        candidate = Candidate(
            model=REQUEST.model, image_size=32, key=key, status=status, files=[lost]
        )
        made = Forecast(
            schema_version=1,
            command="command",
            made_at="2026-01-01T00:00:00+00:00",
            environment=ENVIRONMENT,
            baseline="eager",
            candidates=[candidate],
        )
        (tmp_path / RECORD).write_text(json.dumps(as_dict(made)))
        assert (trials.known_forecast(REQUEST) == candidate) is is_known
    assert trials.known_forecast(Request("timm/lcnet_050", 64, ("data=digits",))) is None


def test_the_files_of_a_judged_run_have_their_figures_and_their_place(
    tmp_path: Path, trials: ProductTrials, commands: FakeCommands
) -> None:
    commands.write(12)
    run = commands.run.relative_to(tmp_path)
    measured = results(
        row("eager", latency=[latency(1, 0.02)], verdict=None),
        row("onnx_fp32", latency=[latency(1, 0.005)], verdict="pass"),
        row("onnx_int8", latency=[latency(8, 0.005)]),
        row("onnx_fp32", **{**FAILED, "status": "skipped", "device": "cuda"}),
        row("torchscript", **FAILED),
        row("openvino_int8", latency=[latency(1, 0.001)]),  # an earlier search asked for it
    )
    (commands.run / "benchmark.json").write_text(json.dumps(measured))
    config = {"data": {"class_path": "src.data.datasets.digits.Digits", "init_args": {}}}
    (commands.run / "config.yaml").write_text(yaml.safe_dump(config))
    judged = trials.judge(str(run), ["onnx_fp32", "onnx_int8"])
    assert [module for module, _ in commands.calls] == ["src.export", "src.benchmark"]
    assert commands.calls[0][1][1] == '--formats=["onnx_fp32", "onnx_int8"]'
    assert judged.validation_images == 180
    assert len(judged.files) == 3
    by_format = {file.format: file for file in judged.files}
    assert set(by_format) == {"eager", "onnx_fp32", "onnx_int8"}
    fp32 = by_format["onnx_fp32"]
    assert fp32.folder == str(run / "exports" / "onnx_fp32")
    assert fp32.latency is not None
    assert fp32.latency.value == pytest.approx(0.005)
    assert (fp32.top1, fp32.images, fp32.keeps_budget) == (0.9876, 540, True)
    assert by_format["onnx_int8"].status == "failed"
    assert "benchmark.batch_sizes" in (by_format["onnx_int8"].reason or "")


def test_the_interval_of_a_latency_is_over_processes() -> None:
    seconds = {str(number): [0.010 + 0.001 * (number // 2)] * 3 for number in range(10)}
    cell = convert(latency(1, 0.012, seconds=seconds), Cell)
    assert isinstance(cell, Cell)
    interval = call_seconds(cell)
    assert interval is not None
    assert interval.processes == 5
    assert interval.low < 0.0115 < interval.value < 0.0125 < interval.high
    alone = convert(latency(1, 0.012, seconds={"0": [0.012]}), Cell)
    assert isinstance(alone, Cell)
    assert call_seconds(alone) is None


def test_a_training_that_was_left_behind_holds_the_lock(tmp_path: Path) -> None:
    reports: list[str] = []
    with occupied(tmp_path, lambda phase, *_: reports.append(phase)) as lock:
        program = "import sys; sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, pass_fds=(lock,)
        )
    assert reports == []
    other = os.open(tmp_path / LOCK, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child.communicate()
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    with occupied(tmp_path, lambda phase, *_: reports.append(phase)):
        pass
    assert reports == []


def test_a_training_that_was_left_on_another_machine_is_waited_for(tmp_path: Path) -> None:
    root = tmp_path / slug(REQUEST, KEY)
    with held_for_training(root) as lock:
        program = "import sys; sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, pass_fds=(lock,)
        )
    assert (root / TRAINING_LOCK).is_file()
    reports: list[str] = []
    waited = threading.Event()

    def report(phase: str, *_: object) -> None:
        reports.append(phase)
        waited.set()

    def work() -> None:
        with occupied(tmp_path, report):
            reports.append("works")

    search = threading.Thread(target=work)
    search.start()
    assert waited.wait(60)
    expected = (
        f"waiting for another search in {tmp_path}, or for a training that one left: process "
    )
    assert reports[0].startswith(f"{expected}{child.pid} (")
    child.communicate()
    search.join(60)
    assert reports[1:] == ["works"]


def test_a_training_holds_the_lock_of_its_candidate(
    trials: ProductTrials, commands: FakeCommands
) -> None:
    trials.train(REQUEST, KEY, 3, 12)
    [held] = commands.held
    assert held == (trials.folder / slug(REQUEST, KEY) / TRAINING_LOCK)


def test_the_newest_run_of_a_candidate_is_continued(
    tmp_path: Path, trials: ProductTrials, commands: FakeCommands
) -> None:
    commands.write(3)
    for name in ("version_2", "version_copy", "version_10"):
        commands.run = commands.run.with_name(name)
        commands.write(6)
    trained = trials.train(REQUEST, KEY, 6, 12)
    assert Run(tmp_path / trained.run).folder.name == "version_10"


def test_the_folder_of_candidates_may_be_a_link_to_another_disk(
    tmp_path: Path, trials: ProductTrials, commands: FakeCommands
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "candidates").symlink_to(tmp_path / "disk")
    for epoch in (3, 12):
        trained = trials.train(REQUEST, KEY, epoch, 12)
        assert (trained.epoch, Path(trained.run)) == (epoch, commands.run.relative_to(tmp_path))
        assert trials.is_present(trained.run)
    assert trials.train(REQUEST, KEY, 12, 12).run == trained.run
    assert len(commands.calls) == 2


@pytest.mark.parametrize("place", ["", "lightning_logs", "lightning_logs/lcnet"])
def test_a_folder_within_a_candidate_may_be_a_link(
    tmp_path: Path, trials: ProductTrials, commands: FakeCommands, place: str
) -> None:
    link = tmp_path / slug(REQUEST, KEY) / place
    link.parent.mkdir(parents=True)
    (tmp_path / "disk").mkdir()
    link.symlink_to(tmp_path / "disk")
    trained = trials.train(REQUEST, KEY, 3, 12)
    assert Path(trained.run) == commands.run.relative_to(tmp_path)


def test_a_search_under_a_linked_or_relative_path_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk" / LOGS).mkdir(parents=True)
    (tmp_path / "search").symlink_to(tmp_path / "disk")
    folder = Path("search")
    commands = FakeCommands(folder, 12)
    trained = training.train(folder, REQUEST, KEY, 3, 12, commands)
    assert Path(trained.run) == commands.run.relative_to(folder)


def test_a_row_that_failed_makes_no_failure_of_a_strict_measurement(
    tmp_path: Path, trials: ProductTrials, commands: FakeCommands
) -> None:
    commands.write(12)
    run = commands.run.relative_to(tmp_path)
    measured = results(row("eager", latency=[latency(1, 0.02)], verdict=None), row("x", **FAILED))
    (commands.run / "benchmark.json").write_text(json.dumps(measured))
    config = {
        "data": {"class_path": "src.data.datasets.digits.Digits", "init_args": {}},
        "benchmark": {"strict": True},
    }
    (commands.run / "config.yaml").write_text(yaml.safe_dump(config))
    judged = trials.judge(str(run), ["eager", "x"])
    assert {file.format: file.status for file in judged.files} == {"eager": "ok", "x": "failed"}
    assert benchmark_options(commands).strict is False


def benchmark_options(commands: FakeCommands) -> BenchmarkOptions:
    """Return the options of the last measurement."""
    words = dict(commands.calls)["src.benchmark"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["src.benchmark", *words])
        return parse("benchmark", None, BenchmarkOptions)[1]


@pytest.mark.parametrize(
    ("configured", "objective"),
    [({}, "latency"), ({"objective": None}, "latency"), ({"objective": "memory"}, "memory")],
)
def test_the_page_of_a_judged_run_compares_calls_as_the_search_does(
    tmp_path: Path,
    trials: ProductTrials,
    commands: FakeCommands,
    configured: dict[str, str | None],
    objective: str,
) -> None:
    commands.write(12)
    measured = results(row("eager", latency=[latency(1, 0.02)], verdict=None))
    (commands.run / "benchmark.json").write_text(json.dumps(measured))
    config = {
        "data": {"class_path": "src.data.datasets.digits.Digits", "init_args": {}},
        "benchmark": configured,
    }
    (commands.run / "config.yaml").write_text(yaml.safe_dump(config))
    trials.judge(str(commands.run.relative_to(tmp_path)), ["eager"])
    assert benchmark_options(commands).objective == objective
