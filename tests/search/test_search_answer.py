"""The file of an answer where an accuracy is asked for: the file is judged, not the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from src.search.records import JudgedFile, Limits, SearchRecord
from tests.search.planted import EPOCHS, Planted, PlantedTrials, plan_of, search

LIMITS = Limits(latency_s=0.02, top1=0.95)


@dataclass
class PlantedFiles(PlantedTrials):
    """Files with a test accuracy of their own, and networks with a validation accuracy."""

    def __post_init__(self) -> None:
        self.test: dict[tuple[str, str], float] = {}
        self.validation: dict[str, float] = {}

    def curve(self, name: str) -> list[float]:
        return [self.validation[name]] * EPOCHS

    def file(self, name: str, format_: str) -> JudgedFile:
        top1 = self.test[name, format_]
        return msgspec.structs.replace(super().file(name, format_), top1=top1)


def answered(
    folder: Path, validation: dict[str, float], test: dict[tuple[str, str], float]
) -> SearchRecord:
    """Return the record of a search over networks, each of which takes 10 ms in eager."""
    trials = PlantedFiles({name: Planted(0.97, 1.0, 0.01) for name in validation})
    trials.validation, trials.test = validation, test
    return search(folder, trials, plan_of(trials.grid, LIMITS, rungs=0))


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
