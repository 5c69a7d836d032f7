"""A grid with planted learning curves, latencies and accuracies, and a clock for its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from src.forecast.candidate import Request
from src.forecast.records import Candidate, FileCost, Timing, TrainingCost
from src.run.circumstances import Container, Environment
from src.run.latency import Interval
from src.search.engine import Engine
from src.search.limits import BATCH_SIZE
from src.search.notebook import Notebook
from src.search.plan import Plan
from src.search.records import JudgedFile, Limits, SearchRecord
from src.search.running_search import RunningSearch
from src.search.stage import Search
from src.search.trials import Judged, Trained, TrialError

EPOCHS = 18
EPOCH_S = 10.0
IMAGES_PER_SECOND = 100.0
VALIDATION_IMAGES = 1000
TEST_IMAGES = 2000
FORMATS = ("eager", "onnx_fp32", "onnx_int8")
SPEED = {"eager": 1.0, "onnx_fp32": 0.4, "onnx_int8": 0.2}

ENVIRONMENT = Environment(
    cpu="planted",
    isa=[],
    int8_dot_product=True,
    usable_cores=2,
    threads=2,
    machine_cores=2,
    frequency_governor=None,
    virtual_machine=None,
    memory_bytes=8 * 10**9,
    container=Container(cores=None, memory_bytes=None),
    gpu=None,
    system="planted",
    python="3.11",
    packages={},
)


@dataclass(frozen=True)
class Planted:
    """One candidate: its true accuracy, how fast it learns, and its time of a call."""

    final: float
    rate: float  # share of the gap that an epoch closes
    eager_s: float
    size_bytes: int = 10_000_000
    training_fails: bool = False
    judging_fails: bool = False


def curve(planted: Planted, rng: np.random.Generator) -> list[float]:
    """Return the validation accuracy after each epoch, as a split of images shows it."""
    true = [
        planted.final - (planted.final - 0.1) * math.exp(-planted.rate * epoch)
        for epoch in range(1, EPOCHS + 1)
    ]
    return [float(rng.binomial(VALIDATION_IMAGES, value) / VALIDATION_IMAGES) for value in true]


@dataclass
class PlantedTrials:
    """Steps with planted results; each moves the clock and is noted."""

    grid: dict[str, Planted]
    seed: int = 0
    now: float = 0.0
    trained_epochs: int = 0
    forecast_s: float = 30.0
    judging_s: float = 100.0
    start_s: float = 5.0
    done: dict[str, int] = field(default_factory=dict)  # epochs trained, by candidate
    steps: list[tuple[str, str]] = field(default_factory=list)
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)  # words that a run has
    adopted: list[str] = field(default_factory=list)  # candidates whose runs got other options
    removed: set[str] = field(default_factory=set)  # candidates whose folders are gone
    dies_after: int | None = None  # steps until the command is killed

    def clock(self) -> float:
        return self.now

    def curve(self, name: str) -> list[float]:
        rng = np.random.default_rng([self.seed, sorted(self.grid).index(name)])
        return curve(self.grid[name], rng)

    def top1(self, name: str, epoch: int) -> float:
        return max(self.curve(name)[:epoch])

    def test_top1(self, name: str) -> float:
        rng = np.random.default_rng([self.seed, 1000 + sorted(self.grid).index(name)])
        return float(rng.binomial(TEST_IMAGES, self.grid[name].final) / TEST_IMAGES)

    def _step(self, kind: str, name: str, seconds: float) -> None:
        if self.dies_after is not None and len(self.steps) >= self.dies_after:
            raise KeyboardInterrupt
        self.steps.append((kind, name))
        self.now += seconds

    def known_forecast(self, request: Request) -> Candidate | None:
        """Return a forecast that was a step already, as forecast.json keeps it."""
        return self.cost(request) if ("forecast", request.name) in self.steps else None

    def forecast(self, request: Request) -> Candidate:
        self._step("forecast", request.name, self.forecast_s)
        return self.cost(request)

    def cost(self, request: Request) -> Candidate:
        planted = self.grid[request.name]
        return Candidate(
            model=request.model,
            image_size=request.image_size,
            key="unused",
            status="ok",
            parameters=1,
            macs=1,
            training=TrainingCost(
                images_per_second=IMAGES_PER_SECOND,
                step_seconds=0.1,
                images=int(EPOCH_S * IMAGES_PER_SECOND / 1.2),
                epochs=EPOCHS,
            ),
            files=[self._cost(name, planted) for name in FORMATS],
        )

    def _cost(self, name: str, planted: Planted) -> FileCost:
        seconds = planted.eager_s * SPEED[name]
        return FileCost(
            format=name,
            device="cpu",
            status="ok",
            size_bytes=planted.size_bytes,
            timings=[
                Timing(
                    batch_size=BATCH_SIZE,
                    p50_s=seconds,
                    low_s=seconds * 0.95,
                    high_s=seconds * 1.05,
                    unstable=[],
                    peak_rss_bytes=50_000_000,
                )
            ],
        )

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        assert epochs == EPOCHS
        done = self.done.get(request.name, 0)
        if self.grid[request.name].training_fails:
            self._step("train", request.name, self.start_s)
            raise TrialError(f"{request.name}: planted failure")
        assert epoch > done, f"{request.name} is at epoch {done} and was asked for {epoch}"
        self._step("train", request.name, self.start_s + (epoch - done) * EPOCH_S)
        self.trained_epochs += epoch - done
        self.done[request.name] = epoch
        self.options[request.name] = request.rest
        return Trained(f"candidates/{request.name}", epoch, self.top1(request.name, epoch))

    def is_present(self, folder: str) -> bool:
        return Path(folder).parts[1] not in self.removed

    def adopt_options(self, request: Request, run: str) -> None:
        assert run == f"candidates/{request.name}"
        if self.options.get(request.name) != request.rest:
            self.options[request.name] = request.rest
            self.adopted.append(request.name)

    def judge(self, run: str, formats: Sequence[str]) -> Judged:
        name = Path(run).name
        self._step("judge", name, self.judging_s)
        planted = self.grid[name]
        if planted.judging_fails:
            raise TrialError(f"{name}: planted failure")
        assert self.done[name] == EPOCHS
        return Judged([self.file(name, each) for each in formats], VALIDATION_IMAGES)

    def file(self, name: str, format_: str) -> JudgedFile:
        seconds = self.grid[name].eager_s * SPEED[format_]
        return JudgedFile(
            format=format_,
            device="cpu",
            status="ok",
            folder=f"candidates/{name}/exports/{format_}",
            size_bytes=self.grid[name].size_bytes,
            latency=Interval(value=seconds, low=seconds * 0.97, high=seconds * 1.03, processes=5),
            peak_rss_bytes=50_000_000,
            top1=self.test_top1(name),
            images=TEST_IMAGES,
            keeps_budget=True,
        )


def grid_of(seed: int, models: int = 8, sizes: int = 3) -> dict[str, Planted]:
    """Return a grid where larger images are more accurate, slower to compute and to learn.

    The rates are those of the four networks of the README on the digits, as shares of their
    trainings: ResNet-34 is at 86 % after an eighth and EfficientNet-B0 at 29 % after a twelfth.
    """
    rng = np.random.default_rng(seed)
    grid = {}
    for model in range(models):
        base, rate = rng.uniform(0.80, 0.96), rng.uniform(0.45, 0.9)
        speed = rng.uniform(0.004, 0.02)
        for size in range(sizes):
            grid[f"net{model}-{32 * 2**size}px"] = Planted(
                final=min(0.995, base + 0.015 * size + rng.normal(0, 0.005)),
                rate=rate * rng.uniform(0.85, 1.0) * 0.9**size,
                eager_s=speed * 2**size,
            )
    return grid


def plan_of(grid: dict[str, Planted], limits: Limits, **settings: object) -> Plan:
    """Return the plan of a whole grid."""
    models = list(dict.fromkeys(name.rpartition("-")[0] for name in grid))
    sizes = list(dict.fromkeys(int(name.rpartition("-")[2][:-2]) for name in grid))
    requests = [Request(model, size, ()) for model in models for size in sizes]
    return Plan(
        requests=requests,
        limits=limits,
        environment=ENVIRONMENT,
        command="python -m src.search planted",
        **settings,  # type: ignore[arg-type]
    )


def search(
    folder: Path, trials: PlantedTrials, plan: Plan, engine: Engine | None = None
) -> SearchRecord:
    """Run one command in ``folder``."""
    folder.mkdir(exist_ok=True)
    notebook = Notebook(folder, plan)
    running = RunningSearch.of(plan, notebook, trials, lambda *_: None, trials.clock)
    return Search(running, engine).run()
