"""The replay of searches on a grid that is planted instead of trained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from torch.utils.tensorboard import SummaryWriter

from src.forecast.candidate import Request
from src.forecast.records import VERSION, Forecast
from src.forecast.stage import RECORD
from src.run import reading
from src.run.layout import as_dict
from src.search.budget import in_words
from src.search.notebook import RECORD as SEARCH
from src.search.records import VERSION as SEARCH_VERSION
from src.search.records import Limits, SearchRecord
from src.search.trials import TrialError
from tests.conftest import ROOT
from tests.search.planted import ENVIRONMENT, EPOCHS, PlantedTrials, grid_of, plan_of, search

sys.path.insert(0, str(ROOT / "scripts"))

import benchmark_search


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """A folder as the grid's command leaves it."""
    planted = grid_of(1, models=3, sizes=2)
    trials, plan = PlantedTrials(planted, seed=1), plan_of(planted, Limits(), rungs=0)
    for size in plan.sizes:  # first alone, so that each candidate is forecast
        of_size = {name: each for name, each in planted.items() if name.endswith(f"-{size}px")}
        search(tmp_path, trials, plan_of(of_size, Limits(), rungs=0))
    record = search(tmp_path, trials, plan)
    assert all(entry.forecast_seconds for entry in record.measured)
    assert {outcome.kind for outcome in record.outcomes} == {"judged"}
    forecasts = [
        msgspec.structs.replace(trials.forecast(request), key=plan.keys[point])
        for point, request in plan.by_point.items()
    ]
    made = Forecast(
        schema_version=VERSION,
        command="planted",
        made_at="2026-01-01",
        environment=ENVIRONMENT,
        baseline="eager",
        candidates=forecasts,
    )
    (tmp_path / "forecast").mkdir()
    (tmp_path / "forecast" / RECORD).write_text(json.dumps(as_dict(made)))
    for name in planted:
        with SummaryWriter(str(tmp_path / "candidates" / name)) as writer:
            for epoch, top1 in enumerate(trials.curve(name)):
                writer.add_scalar("val/top1", top1, epoch, walltime=1000.0 + 10 * epoch)
    return tmp_path


def test_replays_take_their_figures_from_the_grid(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(grid), "--replay-only", "--seeds", "2", "--settings", "2x2", "2x0"]
    monkeypatch.setattr(sys, "argv", ["benchmark_search.py", *words])
    benchmark_search.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"grid: 6 candidates, {6 * EPOCHS} epochs, ")
    assert "Ship candidates/" in lines[1]
    assert lines[2] == "reduction=2 rungs=2, replayed from the grid:"
    replays = [line for line in lines if line.startswith("  seed ")]
    assert len(replays) == 4
    assert all(f"of {6 * EPOCHS} epochs" in line for line in replays)
    # Without rungs a replay trains all candidates that its limit leaves, and finds the same file.
    assert all(line.endswith("epochs; the same file") for line in replays[2:])
    shares = [int(line.partition("(")[2].partition("%")[0]) for line in replays]
    assert max(shares[:2]) < min(shares[2:])


def test_a_grid_that_lacks_epochs_is_refused(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = next((grid / "candidates").iterdir())
    for file in folder.iterdir():
        file.unlink()
    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar("val/top1", 0.5, 0)
    monkeypatch.setattr(sys, "argv", ["benchmark_search.py", str(grid), "--replay-only"])
    with pytest.raises(SystemExit, match="has 1 validations in 18 epochs"):
        benchmark_search.main()


def test_a_night_between_two_epochs_is_no_epoch(grid: Path) -> None:
    folder = next((grid / "candidates").iterdir())
    for file in folder.iterdir():
        file.unlink()
    with SummaryWriter(str(folder)) as writer:
        for epoch in range(EPOCHS):
            night = 30_000 if epoch >= EPOCHS // 2 else 0
            writer.add_scalar("val/top1", 0.5, epoch, walltime=1000.0 + 10 * epoch + night)
    record = reading.read(grid / SEARCH, SearchRecord, (SEARCH_VERSION,))
    recorded = benchmark_search._recorded(grid, record)
    assert {entry.epoch_s for entry in recorded.values()} == {10.0}


def test_a_replay_judges_the_formats_that_are_asked_for(grid: Path) -> None:
    record = reading.read(grid / SEARCH, SearchRecord, (SEARCH_VERSION,))
    recorded = benchmark_search._recorded(grid, record)
    entry = next(iter(recorded.values()))
    formats = [file.format for file in entry.measured.files]
    assert len(formats) > 1
    replay = benchmark_search.Replay(recorded)
    judged = replay.judge(str(entry.measured.run), formats[1:])
    assert [file.format for file in judged.files] == formats[1:]


def test_a_replay_trains_before_a_forecast_and_counts_its_seconds(grid: Path) -> None:
    record = reading.read(grid / SEARCH, SearchRecord, (SEARCH_VERSION,))
    recorded = benchmark_search._recorded(grid, record)
    entry = next(iter(recorded.values()))
    replay = benchmark_search.Replay(recorded)
    request = Request(entry.measured.model, entry.measured.image_size, ())
    assert replay.train(request, "key", 2, EPOCHS).epoch == 2
    seconds = replay.clock()
    assert seconds == pytest.approx(entry.start_s + 2 * entry.epoch_s)
    replay.forecast(request)
    assert replay.clock() == pytest.approx(seconds + entry.measured.forecast_seconds)
    with pytest.raises(TrialError, match="other-32px: not measured in the grid"):
        replay.train(Request("other", 32, ()), "key", 2, EPOCHS)


def test_a_plain_grid_needs_no_forecasts(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(grid), "--replay-only", "--seeds", "1", "--settings", "2x2"]
    monkeypatch.setattr(sys, "argv", ["benchmark_search.py", *words])
    benchmark_search.main()
    spent = reading.read(grid / SEARCH, SearchRecord, (SEARCH_VERSION,)).spent
    assert spent.forecast_s > 0
    whole = in_words(spent.training_s + spent.judging_s)
    assert whole != in_words(spent.total)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"epochs, {whole}")
    [replay] = [line for line in lines if line.startswith("  seed ")]
    assert f" of {whole} (" in replay


@pytest.mark.parametrize(
    ("sizes", "commands"),
    [("32,48", ["32", "48", "32,48"]), ("32", ["32"]), ("8,4", ["8", "4", "8,4"])],
)
def test_each_size_is_a_search_of_its_own_before_the_whole_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: str, commands: list[str]
) -> None:
    codes = iter([3, 0, 0])  # no file of the first size keeps its accuracy
    started: list[list[str]] = []

    def run(words: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        started.append(words)
        return subprocess.CompletedProcess(words, next(codes))

    monkeypatch.setattr(benchmark_search.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmark_search.py", str(tmp_path), "--sizes", sizes])
    benchmark_search._train_grid(tmp_path, benchmark_search._parse())
    chosen = [
        word.removeprefix("data.image_size=")
        for words in started
        for word in words
        if word.startswith("data.image_size=")
    ]
    assert chosen == commands
    assert all("rungs=0" in words for words in started)


def test_a_grid_whose_command_fails_is_not_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(words: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 1)

    monkeypatch.setattr(benchmark_search.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmark_search.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="the grid ended with exit code 1"):
        benchmark_search.main()
