#!/usr/bin/env python3
"""Compare the search with a whole grid, on curves and measurements that were recorded once.

scripts/benchmark_search.py FOLDER
scripts/benchmark_search.py FOLDER --under 0.6ms --seeds 5 --settings 3x2 2x2 2x1

The grid is a search without rungs and limits for each image size: every candidate is forecast,
trained to its end, exported and measured. FOLDER keeps it; what it has is not trained again. After
a change of the code --replay-only uses it as it is. The searches with rungs are then replayed:
their steps take their results and their seconds from the grid. So no replay trains anything, and
its time is the sum of the recorded seconds: the start of a command and the epochs of each rung, the
forecasts, and the judging of those that get there. The time of the grid is without forecasts, which
a plain grid does not need. The default grid is meant for about 90 minutes on two cores that do
nothing else.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.cli import quantities
from src.cli.commands.search import NothingFoundError
from src.forecast.candidate import Request
from src.forecast.records import VERSION as FORECAST_VERSION
from src.forecast.records import Candidate, Forecast
from src.forecast.stage import RECORD as FORECAST
from src.run import reading, scalars
from src.search.answer import answer_of
from src.search.budget import in_words
from src.search.notebook import RECORD, Notebook
from src.search.plan import Plan
from src.search.records import VERSION, Answer, Limits, Measured, SearchRecord
from src.search.running_search import RunningSearch
from src.search.stage import Search
from src.search.trials import Judged, Trained, TrialError

MODELS = (
    "timm/lcnet_035",
    "timm/lcnet_050",
    "timm/lcnet_075",
    "timm/mobilenetv3_small_050",
    "timm/mobilenetv3_small_075",
    "timm/tinynet_e",
    "timm/mnasnet_small",
    "torchvision/mobilenet_v3_small",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/shufflenet_v2_x1_0",
    "torchvision/mnasnet0_5",
    "torchvision/squeezenet1_1",
)
SIZES = ("32", "48")
WORDS = ("export.formats=[eager,onnx_fp32,onnx_int8]",)
_HIGHEST_PERCENTILE = 0.5  # of the latencies, as the limit of the replays without --under


@dataclass(frozen=True)
class Recorded:
    """A candidate of the grid with its curve.

    Args:
        measured: its record.
        forecast: its forecast.
        curve: validation top-1 after each epoch.
        epoch_s: seconds of an epoch.
        start_s: seconds of a training command apart from its epochs.
    """

    measured: Measured
    forecast: Candidate
    curve: list[float]
    epoch_s: float
    start_s: float


class Replay:
    """The steps of a search, with recorded results and seconds.

    Args:
        grid: the candidates by network, with its width, and image size.
    """

    def __init__(self, grid: dict[tuple[str, int | None], Recorded]) -> None:
        self._grid = grid
        self._by_run = {str(entry.measured.run): entry for entry in grid.values()}
        self._epochs: dict[str, int] = {}
        self._now = 0.0
        self.trained_epochs = 0

    def clock(self) -> float:
        """Return the recorded seconds of all steps so far."""
        return self._now

    def known_forecast(self, request: Request) -> Candidate | None:
        """Return None: a replay counts the seconds of each forecast."""

    def forecast(self, request: Request) -> Candidate:
        """Return the recorded forecast; a failed one for what the grid has not measured."""
        entry = self._grid.get(request.point)
        if entry is None:
            return Candidate(
                model=request.model,
                width=request.width,
                image_size=request.image_size,
                key=request.name,
                status="failed",
                reason="not measured in the grid",
                files=[],
            )
        self._now += entry.measured.forecast_seconds
        return entry.forecast

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        """Return the recorded state after an epoch."""
        entry = self._grid.get(request.point)
        if entry is None:
            raise TrialError(f"{request.name}: not measured in the grid")
        done = self._epochs.get(key, 0)
        if epoch > len(entry.curve):
            raise TrialError(f"{request.name}: the grid has {len(entry.curve)} epochs of it")
        self._now += entry.start_s + (epoch - done) * entry.epoch_s
        self.trained_epochs += epoch - done
        self._epochs[key] = epoch
        return Trained(str(entry.measured.run), epoch, max(entry.curve[:epoch]))

    def is_present(self, folder: str) -> bool:
        """Return True: a replay opens no file."""
        return True

    def adopt_options(self, request: Request, run: str) -> None:
        """Do nothing: a replay has one command."""

    def judge(self, run: str, formats: Sequence[str]) -> Judged:
        """Return the recorded files of these formats, of which the grid may have more."""
        measured = self._by_run[run].measured
        self._now += measured.judging_seconds
        files = [file for file in measured.files if file.format in formats]
        return Judged(files, measured.validation_images or 1)


def main() -> None:
    options = _parse()
    folder = options.folder
    if not options.replay_only:
        _train_grid(folder, options)
    record = reading.read(folder / RECORD, SearchRecord, (VERSION,))
    grid = _recorded(folder, record)
    if not grid:
        sys.exit(f"error: {folder} has no candidate that was trained and measured")
    limits = Limits(latency_s=_limit(options.under, grid))
    best = answer_of([entry.measured for entry in grid.values()], limits)
    epochs = sum(len(entry.curve) for entry in grid.values())
    print(f"grid: {len(grid)} candidates, {epochs} epochs, {in_words(_seconds_of_grid(record))}")
    print(f"  under {1e3 * (limits.latency_s or 0):.3g} ms: {best.sentence if best else 'nothing'}")
    for setting in options.settings:
        reduction, rungs = (int(part) for part in setting.split("x"))
        print(f"reduction={reduction} rungs={rungs}, replayed from the grid:")
        for seed in range(options.seeds):
            print(_replayed(record, grid, limits, best, seed, reduction, rungs))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="keeps the grid")
    parser.add_argument("--models", default=",".join(MODELS), help="networks, as in src.search")
    parser.add_argument("--sizes", default=",".join(SIZES), help="image sizes")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of each (default: 12)")
    parser.add_argument("--under", metavar="0.6ms", help="limit (default: the median latency)")
    parser.add_argument("--seeds", type=int, default=5, help="replays of a setting (default: 5)")
    parser.add_argument(
        "--settings", nargs="+", default=["2x2"], metavar="2x2", help="reduction x rungs"
    )
    parser.add_argument("--replay-only", action="store_true", help="train nothing")
    return parser.parse_args()


def _train_grid(folder: Path, options: argparse.Namespace) -> None:
    """Train the grid: the sizes one after the other, and then the record of all.

    A search of several sizes would not forecast all of them, and a replay needs each forecast with
    its seconds. The last command measures nothing: it writes down the outcomes of the whole grid.
    """
    sizes = options.sizes.split(",")
    for chosen in dict.fromkeys([*sizes, options.sizes]):
        command = [
            *(
                sys.executable,
                "-m",
                "src.search",
                f"output={folder}",
                f"forecast={folder / 'forecast'}",
            ),
            *("rungs=0", f"model={options.models}", f"data.image_size={chosen}"),
            *(f"trainer.max_epochs={options.epochs}", *WORDS),
        ]
        code = subprocess.run(command, check=False).returncode
        if code not in {0, NothingFoundError.exit_code}:
            sys.exit(f"error: the grid ended with exit code {code}")


def _recorded(folder: Path, record: SearchRecord) -> dict[tuple[str, int | None], Recorded]:
    """Return the candidates that were trained to their end and measured."""
    forecasts = reading.read(folder / "forecast" / FORECAST, Forecast, (FORECAST_VERSION,))
    by_key = {candidate.key: candidate for candidate in forecasts.candidates}
    kinds = {outcome.key: outcome.kind for outcome in record.outcomes}
    return {
        (entry.network, entry.image_size): _with_curve(folder, entry, by_key[entry.key])
        for entry in record.measured
        if kinds.get(entry.key) == "judged"
    }


def _with_curve(folder: Path, measured: Measured, forecast: Candidate) -> Recorded:
    points = scalars.read(folder / str(measured.run)).get("val/top1", [])
    epochs = measured.rungs[-1].epoch
    if len(points) != epochs:
        sys.exit(f"error: {measured.name} has {len(points)} validations in {epochs} epochs")
    seconds = measured.rungs[-1].seconds
    # The median, because a training that was stopped and went on has a pause between two epochs.
    between = [later.wall_time - point.wall_time for point, later in itertools.pairwise(points)]
    epoch_s = statistics.median(between) if between else seconds / 2
    return Recorded(
        measured,
        forecast,
        [point.value for point in points],
        epoch_s,
        max(0.0, seconds - epochs * epoch_s),
    )


def _limit(under: str | None, grid: dict[tuple[str, int | None], Recorded]) -> float:
    """Return the limit in seconds, by default the median of the candidates' fastest files."""
    if under is not None:
        return quantities.latency("--under", under)
    fastest = sorted(
        min(file.latency.value for file in entry.measured.files if file.latency)
        for entry in grid.values()
    )
    return fastest[int(_HIGHEST_PERCENTILE * (len(fastest) - 1))]


def _seconds_of_grid(record: SearchRecord) -> float:
    """Return the seconds of the grid without its forecasts, which a plain grid does not need."""
    return record.spent.total - record.spent.forecast_s


def _replayed(
    record: SearchRecord,
    grid: dict[tuple[str, int | None], Recorded],
    limits: Limits,
    best: Answer | None,
    seed: int,
    reduction: int,
    rungs: int,
) -> str:
    """Return the result of a replay in one line."""
    replay = Replay(grid)
    plan = Plan(
        requests=[
            Request(entry.model, entry.image_size, (), width=entry.width)
            for entry in record.outcomes
        ],
        limits=limits,
        environment=record.environment,
        command=record.command,
        seed=seed,
        reduction=reduction,
        rungs=rungs,
    )
    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        notebook = Notebook(Path(scratch), plan)
        running = RunningSearch.of(plan, notebook, replay, lambda *_: None, replay.clock)
        made = Search(running).run()
    epochs = sum(len(entry.curve) for entry in grid.values())
    answer, whole = made.answer, _seconds_of_grid(record)
    same = answer and best and (answer.folder == best.folder)
    return (
        f"  seed {seed}: {in_words(made.spent.total)} of {in_words(whole)} "
        f"({made.spent.total / whole:.0%}), {replay.trained_epochs} of {epochs} "
        f"epochs; {'the same file' if same else answer.sentence if answer else 'nothing'}"
    )


if __name__ == "__main__":
    main()
