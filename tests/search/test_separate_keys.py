"""Options of export and measurement decide the judgement of a candidate, and not its training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from src.forecast.candidate import Request, training_words
from src.run.folder import Run
from src.search import run_words
from src.search.judging_options import adopt_options
from src.search.notebook import RECORD
from src.search.plan import Plan
from src.search.records import Limits, SearchRecord
from src.search.training import LOGS, words_of
from src.search.trials import Trained, TrialError, slug
from tests.search.planted import ENVIRONMENT, EPOCHS, Planted, PlantedTrials, search

LIMITS = Limits(latency_s=0.008)
GRID = {
    "a-32px": Planted(0.95, 0.9, 0.010),
    "b-32px": Planted(0.90, 0.9, 0.010),
    "c-32px": Planted(0.85, 0.9, 0.010),
    "d-32px": Planted(0.60, 0.9, 0.010),
}
QUICK, OTHER = ("data=digits", "benchmark=quick"), ("data=digits", "benchmark.threads=1")


def plan(*words: str, limits: Limits = LIMITS, rungs: int = 2) -> Plan:
    return Plan(
        requests=[Request(name[0], 32, words) for name in GRID],
        limits=limits,
        environment=ENVIRONMENT,
        command="python -m src.search planted",
        rungs=rungs,
    )


def counts(trials: PlantedTrials, since: int = 0) -> dict[str, int]:
    kinds = [kind for kind, _ in trials.steps[since:]]
    return {kind: kinds.count(kind) for kind in ("train", "judge")}


def judged(record: SearchRecord) -> set[str]:
    return {outcome.model for outcome in record.outcomes if outcome.kind == "judged"}


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["data=digits", "benchmark=quick", "export=all"], ["data=digits"]),
        (["benchmark.threads=1", "--export.formats=[eager]", "model.lr=1"], ["model.lr=1"]),
        (["--benchmark.memory", "False", "--model.lr", "1"], ["--model.lr", "1"]),
        (["--export={formats: [eager]}", "seed_everything=3"], ["seed_everything=3"]),
        (["--config", "benchmark.yaml"], ["--config", "benchmark.yaml"]),
        (["-c", "export.yaml", "export=all"], ["-c", "export.yaml"]),
        (["--config", "", "data=digits"], ["--config", "", "data=digits"]),
        (["experiment=finetune", "exporter=x"], ["experiment=finetune", "exporter=x"]),
    ],
)
def test_only_words_of_export_and_measurement_decide_no_weights(
    words: list[str], kept: list[str]
) -> None:
    assert training_words(words) == kept
    one, other = Request("a", 32, tuple(words)), Request("a", 32, tuple(kept))
    assert one.training_key(ENVIRONMENT) == other.training_key(ENVIRONMENT)
    assert other.training_key(ENVIRONMENT) == other.key(ENVIRONMENT)
    assert (one.key(ENVIRONMENT) == other.key(ENVIRONMENT)) == (words == kept)


def test_another_measurement_judges_again_and_trains_nothing(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    first = search(tmp_path, trials, plan(*QUICK))
    assert trials.adopted == []
    before, epochs = len(trials.steps), trials.trained_epochs
    second = search(tmp_path, trials, plan(*OTHER))
    assert judged(second) == judged(first)
    assert counts(trials, before) == {"train": 0, "judge": len(judged(first))}
    assert trials.trained_epochs == epochs
    assert sorted(trials.adopted) == sorted(f"{name}-32px" for name in judged(first))
    assert second.answer is not None
    assert first.answer is not None
    assert second.answer.folder == first.answer.folder
    assert second.answer.key != first.answer.key


def test_files_that_another_command_replaced_are_forgotten(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    first = search(tmp_path, trials, plan(*QUICK))
    search(tmp_path, trials, plan(*OTHER))
    record = json.loads((tmp_path / RECORD).read_text())
    keys = {outcome.key for outcome in first.outcomes}
    assert all(not entry["files"] for entry in record["measured"] if entry["key"] in keys)
    before = len(trials.steps)
    again = search(tmp_path, trials, plan(*QUICK))
    assert counts(trials, before) == {"train": 0, "judge": len(judged(first))}
    assert again.answer == first.answer
    before = len(trials.steps)
    search(tmp_path, trials, plan(*QUICK))  # now they are those of this command
    assert len(trials.steps) == before


def test_files_are_forgotten_before_an_export_that_is_killed(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    first = search(tmp_path, trials, plan(*QUICK))
    trials.dies_after = len(trials.steps)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, trials, plan(*OTHER))
    trials.dies_after = None
    before = len(trials.steps)
    again = search(tmp_path, trials, plan(*QUICK))
    assert counts(trials, before) == {"train": 0, "judge": 1}
    assert again.answer == first.answer


def test_a_run_that_a_killed_command_trained_gets_the_options_of_the_next_one(
    tmp_path: Path,
) -> None:
    trials = PlantedTrials(GRID)

    class Killed(PlantedTrials):
        """Leaves trainings that go on to their rung, of which nothing is written down."""

        def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
            super().train(request, key, epoch, epochs)
            raise KeyboardInterrupt

    killed = Killed(GRID, done=trials.done, options=trials.options, steps=trials.steps)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, killed, plan(*QUICK, rungs=0))
    [left_behind] = trials.done

    class Known(PlantedTrials):
        """Steps that return an epoch which is trained already."""

        def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
            if self.done.get(request.name, 0) < epoch:
                return super().train(request, key, epoch, epochs)
            run = f"candidates/{request.name}"
            return Trained(run, epoch, self.top1(request.name, epoch))

    known = Known(GRID, done=trials.done, options=trials.options, steps=trials.steps)
    record = search(tmp_path, known, plan(*OTHER, rungs=0))
    assert judged(record) == {name[0] for name in GRID}
    assert known.adopted == [left_behind]


def test_a_training_that_was_begun_goes_on_for_another_measurement(tmp_path: Path) -> None:
    whole = PlantedTrials(GRID)
    expected = search(tmp_path / "whole", whole, plan(*QUICK))
    trials = PlantedTrials(GRID)
    trials.dies_after = 4 + 4 + 1  # forecasts, the first rung, and one training of the second one
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "killed", trials, plan(*QUICK))
    trials.dies_after = None
    record = search(tmp_path / "killed", trials, plan(*OTHER))
    assert judged(record) == judged(expected)
    assert trials.trained_epochs == whole.trained_epochs
    back = search(tmp_path / "killed", trials, plan(*QUICK))
    assert trials.trained_epochs == whole.trained_epochs
    assert back.answer is not None
    assert expected.answer is not None
    assert back.answer.folder == expected.answer.folder


def test_the_time_of_a_training_counts_in_the_budget_of_another_measurement(
    tmp_path: Path,
) -> None:
    trials = PlantedTrials(GRID)
    first = search(tmp_path, trials, plan(*QUICK))
    second = search(tmp_path, trials, plan(*OTHER))
    assert second.spent.training_s == first.spent.training_s > 0


def test_another_option_of_the_training_trains_anew(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    search(tmp_path, trials, plan(*QUICK))
    before = len(trials.steps)
    trials.done.clear()
    record = search(tmp_path, trials, plan(*QUICK, "model.lr=0.1"))
    assert counts(trials, before)["train"] > 0
    assert max(entry.epochs for entry in record.measured) == EPOCHS


def test_a_training_that_is_no_longer_there_is_not_taken(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    search(tmp_path, trials, plan(*QUICK))
    before = len(trials.steps)
    trials.removed = {*GRID}
    trials.done.clear()
    search(tmp_path, trials, plan(*OTHER))
    assert counts(trials, before)["train"] > 0


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    first = search(tmp_path, trials, plan(*QUICK))
    content = json.loads((tmp_path / RECORD).read_text())
    for entry in content["measured"]:
        del entry["training_key"]
    (tmp_path / RECORD).write_text(json.dumps(content))
    before = len(trials.steps)
    assert search(tmp_path, trials, plan(*QUICK)).answer == first.answer
    assert len(trials.steps) == before
    trials.done.clear()
    search(tmp_path, trials, plan(*OTHER))  # nobody knows which training it would be
    assert counts(trials, before)["train"] > 0


REQUEST = Request("timm/lcnet_050", 32, OTHER)


class FakeParser:
    """Writes options as the command does that reads them."""

    def __init__(self, text: str, code: int = 0) -> None:
        self.text = text
        self.code = code
        self.calls: list[tuple[str, list[str]]] = []

    def __call__(
        self, module: str, words: Sequence[str], log: Path, *, kept_open: Sequence[int] = ()
    ) -> int:
        self.calls.append((module, list(words)))
        log.write_text("error: benchmark.threads: expected a number\n")
        Path(words[0]).write_text(self.text)
        return self.code


@pytest.fixture
def run(tmp_path: Path) -> str:
    (tmp_path / LOGS).mkdir()
    place = slug(REQUEST, REQUEST.training_key(ENVIRONMENT)) / "lightning_logs/lcnet/version_0"
    (tmp_path / place).mkdir(parents=True)
    config = {"model": {"lr": 0.1}, "export": {"formats": ["eager"]}, "benchmark": {"threads": 2}}
    (tmp_path / place / "config.yaml").write_text(f"# lightning==1\n{yaml.safe_dump(config)}")
    return str(place)


def test_a_run_gets_the_options_of_the_present_command(tmp_path: Path, run: str) -> None:
    parser = FakeParser("export: {formats: [onnx_int8]}\nbenchmark: {threads: 1}\n")
    adopt_options(tmp_path, REQUEST, run, parser)
    text = (tmp_path / run / "config.yaml").read_text()
    assert text.startswith("# lightning==1\n")
    assert yaml.safe_load(text) == {
        "model": {"lr": 0.1},
        "export": {"formats": ["onnx_int8"]},
        "benchmark": {"threads": 1},
    }
    [(module, words)] = parser.calls
    assert module == "src.cli.judging_options"
    root = (tmp_path / run).parents[2]
    assert words[1:] == words_of(REQUEST, root, resumes=False)
    assert not Path(words[0]).exists()


@pytest.mark.parametrize(
    ("parser", "message"),
    [
        (FakeParser("", code=2), "benchmark.threads: expected a number"),
        (FakeParser(""), "timm/lcnet_050|timm-lcnet_050"),
        (FakeParser("export: {}"), "benchmark"),
        (FakeParser("{"), "timm-lcnet_050-32px"),
    ],
)
def test_options_that_cannot_be_read_leave_the_run_as_it_was(
    tmp_path: Path, run: str, parser: FakeParser, message: str
) -> None:
    before = (tmp_path / run / "config.yaml").read_text()
    with pytest.raises(TrialError, match=message) as caught:
        adopt_options(tmp_path, REQUEST, run, parser)
    assert "\n" not in str(caught.value)
    assert (tmp_path / run / "config.yaml").read_text() == before


def test_a_run_is_known_to_have_the_options_of_the_command_that_trained_or_judged_it(
    tmp_path: Path, run: str
) -> None:
    parser = FakeParser("export: {formats: [onnx_int8]}\nbenchmark: {threads: 1}\n")
    quick = Request(REQUEST.model, REQUEST.image_size, QUICK)
    for request, calls in ((REQUEST, 1), (REQUEST, 1), (quick, 2), (REQUEST, 3)):
        adopt_options(tmp_path, request, run, parser)
        assert len(parser.calls) == calls
    failing = FakeParser("", code=2)
    with pytest.raises(TrialError):
        adopt_options(tmp_path, quick, run, failing)
    adopt_options(tmp_path, REQUEST, run, failing)  # it has them still
    run_words.forget(Run.of(tmp_path / run))
    with pytest.raises(TrialError):
        adopt_options(tmp_path, REQUEST, run, failing)


def test_the_budget_counts_the_work_on_the_candidates_of_the_command(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    first = search(tmp_path, trials, plan(*QUICK))
    assert first.spent.total == pytest.approx(trials.now)
    second = search(tmp_path, trials, plan(*OTHER))  # keeps the trainings
    assert second.spent.training_s == first.spent.training_s
    before = trials.now
    trials.done.clear()
    third = search(tmp_path, trials, plan(*QUICK, "model.lr=0.1"))  # other candidates
    assert third.spent.total == pytest.approx(trials.now - before)
