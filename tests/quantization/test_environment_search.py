"""The search for int8 files by a tool in another environment: recipes that fail there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch

from src.backends.base import Unavailable
from src.backends.own_environment import ConversionError, OwnEnvironment
from src.quantization import environment_search
from src.quantization.candidates import CannotRunError
from src.quantization.environment_search import (
    PLAIN,
    EnvironmentCandidates,
    FloatLayers,
    Int8Program,
    write_int8,
)
from src.quantization.evaluation import Evaluation
from src.quantization.onnx.recipe import OnnxRecipe as Recipe
from src.run.facts import ExportDetails
from tests.quantization.planted_search import Planted


@pytest.mark.parametrize("error", [Unavailable("no layer for Gather"), ConversionError("killed")])
def test_the_search_goes_on_after_a_recipe_that_cannot_be_made(
    error: Exception, tmp_path: Path
) -> None:
    def convert(*_: object) -> NoReturn:
        raise error

    program = Int8Program(
        format="planted", tool="a tool", environment=OwnEnvironment("planted", size_bytes=1),
        runtime="planted", ending=".bin", reference=lambda: tmp_path, convert=convert, order=list,
    )  # fmt: skip
    evaluator: Any = None
    candidates = EnvironmentCandidates(program, evaluator, tmp_path, tmp_path)
    with pytest.raises(type(error)):  # there is no file at all
        candidates.make(PLAIN)
    with pytest.raises(CannotRunError, match=str(error)):
        candidates.make(FloatLayers(kept_in_float=("first",)))


class Evaluator:
    """Judges files by their names; one of some kinds cannot be run.

    Args:
        fails: gets the name of a file, and returns the error of running it.
    """

    reference = Evaluation(0.9, 1.0, 1e-2)

    def __init__(self, fails: Callable[[str], Exception | None]) -> None:
        self._fails = fails

    def __call__(self, file: Path) -> Evaluation:
        content = file.read_text()
        if error := self._fails(content):
            raise error
        return Evaluation(0.9, 0.6 if content == str(PLAIN) else 0.8, 1e-3)


def written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[[str], Exception | None],
    order: Callable[[], list[str]] = lambda: ["a", "b", "c", "d"],
) -> tuple[str, ExportDetails]:
    """Search with a planted tool, and return the content of the file and the account."""

    def convert(recipe: FloatLayers, _: Path, path: Path) -> None:
        path.write_text(str(recipe))

    program = Int8Program(
        format="planted", tool="a tool", environment=OwnEnvironment("planted", size_bytes=1),
        runtime="planted", ending=".bin", reference=lambda: tmp_path, convert=convert, order=order,
    )  # fmt: skip
    monkeypatch.setattr(environment_search, "RemoteEvaluator", lambda *_: Evaluator(fails))
    source: Any = SimpleNamespace(
        scratch=tmp_path, calibration=torch.zeros(2, 3, 4, 4), max_accuracy_drop=0.01,
        selection=(torch.zeros(2, 3, 4, 4), torch.zeros(2)),
    )  # fmt: skip
    details = write_int8(program, source, tmp_path / "file.bin", 100.0)
    return (tmp_path / "file.bin").read_text(), details


ERRORS = [Unavailable("no kernel for it"), ConversionError("killed: out of memory")]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_file_that_cannot_be_run_leaves_the_judged_one(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, details = written(
        tmp_path, monkeypatch, lambda name: None if name == str(PLAIN) else error
    )
    assert content == str(PLAIN)
    assert sum(f"cannot be made or run here: {error}" in line for line in details.summary) == 3


def test_the_search_goes_on_after_a_file_that_cannot_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = str(FloatLayers(kept_in_float=("a", "b")))
    content, details = written(
        tmp_path, monkeypatch, lambda name: ConversionError("a crash") if name == two else None
    )
    assert content == str(FloatLayers(kept_in_float=("a",)))
    assert details.table is not None
    assert len(details.table.rows) == 4  # the fp32 file, and 0, 1 and 3 layers in float


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_without_a_file_that_runs_the_format_fails_with_the_reason(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error), match=str(error)):
        written(tmp_path, monkeypatch, lambda _: error)


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_layers_that_cannot_be_ordered_leave_the_judged_file(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def order() -> NoReturn:
        raise error

    content, details = written(tmp_path, monkeypatch, lambda _: None, order)
    assert content == str(PLAIN)
    assert any(f"could not be ordered: {error}" in line for line in details.summary)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("sizes differ\nby 1"), "ValueError: sizes differ by 1"),
        (RuntimeError("no kernel"), "RuntimeError: no kernel"),
        (AttributeError("weight"), "AttributeError: weight"),
        (MemoryError(), "out of memory: MemoryError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_failure_of_the_order_leaves_the_judged_file_with_its_reason(
    error: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def order() -> NoReturn:
        raise error

    content, details = written(tmp_path, monkeypatch, lambda _: None, order)
    assert content == str(PLAIN)
    assert any(f"could not be ordered: {reason}" in line for line in details.summary)


def test_a_file_that_cannot_be_timed_is_not_taken() -> None:
    class Untimed(Planted):
        def speedup(self, model: Recipe, other: Recipe) -> float:
            raise CannotRunError("a crash")

    planted = Untimed(lambda recipe: 1.0, speedup=lambda *_: 2.0, faster={"has_gelu": True})
    outcome = planted.search()
    assert str(outcome.best.recipe) == "minmax"
    assert set(outcome.cannot_run.values()) == {"a crash"}
