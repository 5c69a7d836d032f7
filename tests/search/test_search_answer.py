"""The file of an answer where an accuracy is asked for: the file is judged, not the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from src.cli.commands import search as command
from src.search import page
from src.search.records import JudgedFile, Limits, SearchRecord
from src.search.stage import Search
from tests.search.planted import EPOCHS, FORMATS, Planted, PlantedTrials, plan_of, search

LIMITS = Limits(latency_s=0.02, top1=0.95)


@dataclass
class PlantedFiles(PlantedTrials):
    """Files with a test accuracy of their own, and networks with a validation accuracy."""

    def __post_init__(self) -> None:
        self.test: dict[tuple[str, str], float] = {}
        self.validation: dict[str, float] = {}
        self.in_one_process: set[tuple[str, str]] = set()

    def curve(self, name: str) -> list[float]:
        return [self.validation[name]] * EPOCHS

    def file(self, name: str, format_: str) -> JudgedFile:
        made = super().file(name, format_)
        assert made.latency is not None
        processes = 1 if (name, format_) in self.in_one_process else 5
        latency = msgspec.structs.replace(made.latency, processes=processes)
        return msgspec.structs.replace(made, top1=self.test[name, format_], latency=latency)


def answered(
    folder: Path,
    validation: dict[str, float],
    test: dict[tuple[str, str], float],
    in_one_process: Iterable[tuple[str, str]] = (),
    limits: Limits = LIMITS,
    rungs: int = 0,
) -> SearchRecord:
    """Return the record of a search over networks, each of which takes 10 ms in eager."""
    trials = PlantedFiles({name: Planted(0.97, 1.0, 0.01) for name in validation})
    trials.validation, trials.test = validation, test
    trials.in_one_process = set(in_one_process)
    return search(folder, trials, plan_of(trials.grid, limits, rungs=rungs))


def files_of(name: str, eager: float, fp32: float, int8: float) -> dict[tuple[str, str], float]:
    formats = {"eager": eager, "onnx_fp32": fp32, "onnx_int8": int8}
    return {(name, format_): top1 for format_, top1 in formats.items()}


@pytest.mark.parametrize("int8", [0.955, 0.90])  # inconclusive, fail
def test_a_file_that_passes_goes_before_a_faster_one_of_its_network_that_does_not(
    tmp_path: Path, int8: float
) -> None:
    test = files_of("a-32px", 0.97, 0.97, int8)
    answer = answered(tmp_path, {"a-32px": 0.98}, test).answer
    assert answer is not None
    assert (answer.format, answer.accuracy, answer.satisfied) == ("onnx_fp32", "pass", True)
    assert "No file is shown" not in answer.sentence


def test_a_fast_file_that_passes_stays_chosen(tmp_path: Path) -> None:
    answer = answered(tmp_path, {"a-32px": 0.98}, files_of("a-32px", 0.99, 0.99, 0.97)).answer
    assert answer is not None
    assert (answer.format, answer.satisfied) == ("onnx_int8", True)


def test_a_file_of_another_network_is_chosen_if_none_of_the_best_one_passes(
    tmp_path: Path,
) -> None:
    test = (
        files_of("a-32px", 0.955, 0.955, 0.955)
        | files_of("b-32px", 0.97, 0.97, 0.955)
        | files_of("c-32px", 0.99, 0.99, 0.99)
    )
    validation = {"a-32px": 0.99, "b-32px": 0.985, "c-32px": 0.975}
    record = answered(tmp_path, validation, test)
    assert record.answer is not None
    assert record.answer.satisfied
    # The next one by validation, not the best one by the test images.
    assert record.answer.folder == "candidates/b-32px/exports/onnx_fp32"


def test_without_a_file_that_passes_the_chosen_one_is_the_nearest(tmp_path: Path) -> None:
    answer = answered(tmp_path, {"a-32px": 0.98}, files_of("a-32px", 0.955, 0.955, 0.955)).answer
    assert answer is not None
    assert (answer.format, answer.accuracy, answer.satisfied) == (
        "onnx_int8",
        "inconclusive",
        False,
    )
    assert "No file is shown to keep every limit" in answer.sentence


@pytest.mark.parametrize("limits", [LIMITS, Limits(latency_s=0.02)])
def test_an_assumed_interval_does_not_settle_that_the_latency_holds(
    tmp_path: Path, limits: Limits
) -> None:
    test = files_of("a-32px", 0.97, 0.97, 0.97)
    record = answered(tmp_path, {"a-32px": 0.98}, test, test, limits)
    answer = record.answer
    assert answer is not None
    assert (answer.format, answer.satisfied, answer.latency) == (
        "onnx_int8",
        False,
        "inconclusive",
    )
    assert "No file is shown to keep every limit" in answer.sentence
    assert "Reason: timed in one process, so the interval" in answer.sentence
    assert "benchmark.processes=5" in answer.sentence
    text = page.markdown_page(record)
    assert text.count("holds, assumed") == len(FORMATS)
    assert text.count("timed in one process") == len(FORMATS) + 1  # and in the answer
    assert "timed in one process" in page.html_page(record)


def test_a_measured_interval_goes_before_an_assumed_one_of_a_faster_file(tmp_path: Path) -> None:
    test = files_of("a-32px", 0.97, 0.97, 0.97)
    answer = answered(tmp_path, {"a-32px": 0.98}, test, [("a-32px", "onnx_int8")]).answer
    assert answer is not None
    assert (answer.format, answer.satisfied, answer.latency) == ("onnx_fp32", True, "holds")


def test_a_measured_interval_of_another_network_goes_before_an_assumed_one(
    tmp_path: Path,
) -> None:
    best = files_of("a-32px", 0.99, 0.99, 0.99)
    test = best | files_of("b-32px", 0.97, 0.97, 0.955) | files_of("c-32px", 0.99, 0.99, 0.99)
    validation = {"a-32px": 0.99, "b-32px": 0.985, "c-32px": 0.975}
    answer = answered(tmp_path, validation, test, best).answer
    assert answer is not None
    assert answer.satisfied
    assert answer.folder == "candidates/b-32px/exports/onnx_fp32"


@pytest.mark.parametrize("limits", [LIMITS, Limits(latency_s=0.02)])
def test_a_better_file_with_an_assumed_interval_is_named_beside_the_one_to_ship(
    tmp_path: Path, limits: Limits
) -> None:
    best = files_of("a-32px", 0.99, 0.99, 0.99)
    test = best | files_of("b-32px", 0.97, 0.97, 0.97)
    record = answered(tmp_path, {"a-32px": 0.99, "b-32px": 0.96}, test, best, limits)
    answer = record.answer
    assert answer is not None
    assert answer.sentence.startswith("Ship candidates/b-32px/exports/onnx_int8: ")
    assert (
        " candidates/a-32px/exports/onnx_int8 is better by 3.00 points on the validation images, "
        "but its latency was timed in one process. Repeat the command with more processes"
    ) in answer.sentence
    assert "is better by 3.00 points" in page.markdown_page(record)


def test_a_faster_file_of_the_same_network_with_an_assumed_interval_is_not_named(
    tmp_path: Path,
) -> None:
    test = files_of("a-32px", 0.97, 0.97, 0.97)
    answer = answered(tmp_path, {"a-32px": 0.98}, test, [("a-32px", "onnx_int8")]).answer
    assert answer is not None
    assert "is better by" not in answer.sentence


def test_without_a_file_of_both_the_accuracy_that_is_shown_counts(tmp_path: Path) -> None:
    test = files_of("a-32px", 0.97, 0.955, 0.955)
    answer = answered(tmp_path, {"a-32px": 0.98}, test, [("a-32px", "eager")]).answer
    assert answer is not None
    assert (answer.format, answer.accuracy, answer.satisfied) == ("eager", "pass", False)
    assert "Reason: timed in one process" in answer.sentence


def test_all_reasons_are_named_where_neither_accuracy_nor_latency_is_shown(tmp_path: Path) -> None:
    test = files_of("a-32px", 0.955, 0.955, 0.955)
    answer = answered(tmp_path, {"a-32px": 0.98}, test, test).answer
    assert answer is not None
    assert (answer.accuracy, answer.latency, answer.satisfied) == (
        "inconclusive",
        "inconclusive",
        False,
    )
    reasons = answer.sentence.partition("Reason: ")[2]
    assert reasons.index("timed in one process") < reasons.index("too few to tell")


def test_an_assumed_interval_over_the_limit_is_no_assumption_that_it_holds(tmp_path: Path) -> None:
    test = files_of("a-32px", 0.97, 0.97, 0.97)
    # The forecast of int8 is 1.9 ms at least, so it is tried. It takes 2 ms, 1.94 at least.
    answer = answered(tmp_path, {"a-32px": 0.98}, test, test, Limits(latency_s=0.00192)).answer
    assert answer is not None
    assert (answer.satisfied, answer.latency) == (False, "exceeds")
    assert "wholly over" in answer.sentence
    assert "benchmark.processes" not in answer.sentence


def test_without_a_limit_of_latency_an_assumed_interval_decides_nothing(tmp_path: Path) -> None:
    test = files_of("a-32px", 0.97, 0.97, 0.97)
    record = answered(tmp_path, {"a-32px": 0.98}, test, test, Limits(top1=0.95))
    assert record.answer is not None
    assert record.answer.satisfied
    assert "not measured" not in page.markdown_page(record).split("## Forecast")[0]


def test_no_dropped_candidate_is_trained_because_an_interval_is_assumed(tmp_path: Path) -> None:
    test = files_of("a-32px", 0.97, 0.97, 0.97) | files_of("b-32px", 0.97, 0.97, 0.97)
    record = answered(tmp_path, {"a-32px": 0.98, "b-32px": 0.97}, test, test, rungs=1)
    assert {outcome.model: outcome.kind for outcome in record.outcomes} == {
        "a": "judged",
        "b": "dropped",
    }


@pytest.mark.parametrize("is_assumed", [True, False])
def test_the_command_ends_with_code_3_where_the_interval_is_assumed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_assumed: bool,
) -> None:
    test = files_of("a-32px", 0.97, 0.97, 0.97)
    record = answered(tmp_path, {"a-32px": 0.98}, test, test if is_assumed else ())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Search, "run", lambda _: record)
    words = ["under=20ms", "at_least=95%", "model=resnet34"]
    if is_assumed:
        with pytest.raises(command.NothingFoundError, match="timed in one process") as caught:
            command.main(words)
        assert caught.value.exit_code == 3
    else:
        command.main(words)
    printed = capsys.readouterr().out
    assert ("Ship candidates/" in printed) is not is_assumed
    assert ("File: " in printed) is not is_assumed
    assert ("holds, assumed" in printed) is is_assumed
