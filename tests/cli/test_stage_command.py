"""The command line of a stage: options in any place, operands and mistakes."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from src.benchmark.options import BenchmarkOptions
from src.cli.stage_command import going_on, parse, parse_with_operands
from src.errors import UsageError
from src.run.earlier_results import EarlierResults
from src.run.folder import Run


@dataclass
class Options:
    """Options of a stage.

    Args:
        size: a number.
        output: a name.
    """

    size: int = 1
    output: str | None = None


def parsed(folder: Path, *words: str) -> tuple[list[str], Options]:
    (folder / "config.yaml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", str(folder), *words])
        _, operands, options = parse_with_operands("THING", "stage", None, Options)
    return operands, options


@pytest.mark.parametrize(
    "words",
    [
        ("--size", "2", "one", "two", "-o", "x"),
        ("one", "--size=2", "two", "--output", "x"),
        ("one", "two", "size=2", "output=x"),
        ("size=2", "one", "output=x", "two"),
    ],
)
def test_options_of_a_stage_may_be_anywhere_on_the_line(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert parsed(tmp_path, *words) == (["one", "two"], Options(2, "x"))


def test_an_existing_file_named_like_an_option_is_an_operand(tmp_path: Path) -> None:
    file = tmp_path / "size=3"
    file.touch()
    assert parsed(tmp_path, str(file), "size=2") == ([str(file)], Options(2))


def test_a_word_with_a_separator_before_its_equals_sign_is_an_operand(tmp_path: Path) -> None:
    missing = str(tmp_path / "lr=1" / "cat.png")
    assert parsed(tmp_path, missing, f"output={missing}") == ([missing], Options(1, missing))


def test_a_missing_operand_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="THING: expected at least one; found none"):
        parsed(tmp_path, "size=2")


def test_a_misspelt_option_of_a_stage_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"sise: expected an option that exists.*mean size"):
        parsed(tmp_path, "one", "sise=2")


def test_only_options_that_a_training_has_come_from_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's run could else name a file of this machine, to be packed or replaced."""
    stages = {"stage": {"output": "/home/me/secret"}, "export": {"size": 7}}
    (tmp_path / "config.yaml").write_text(json.dumps(stages))
    assert parsed(tmp_path, "one")[1] == Options()
    monkeypatch.setattr(sys, "argv", ["export", str(tmp_path), "one"])
    assert parse_with_operands("THING", "export", None, Options)[2] == Options(7)


@dataclass
class Repeatable:
    """Options of a stage that can be done anew.

    Args:
        size: a number.
        again: do it anew.
    """

    size: int = 1
    again: bool = False


@pytest.mark.parametrize("stage", ["twin", "export", "benchmark"])
def test_a_later_command_has_the_options_of_the_training_but_for_again(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps({stage: {"size": 7, "again": True}}))
    for words, again in (((), False), (("again=true",), True)):
        monkeypatch.setattr(sys, "argv", ["stage", str(tmp_path), *words])
        assert parse(stage, None, Repeatable)[1] == Repeatable(7, again)


@pytest.mark.parametrize(
    "again", [["again=true"], ["--again=true"], ["--again", "true"], ["again=True"]]
)
def test_the_advice_of_a_stopped_stage_drops_again_unless_an_earlier_result_stands(
    again: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    words = [str(tmp_path), *again, "size=2", "name=a b"]
    monkeypatch.setattr(sys, "argv", ["stage", *words])
    plain = shlex.join(["python", "-m", "src.export", str(tmp_path), "size=2", "name=a b"])
    whole = shlex.join(["python", "-m", "src.export", *words])
    assert going_on("export", EarlierResults(run)) == f"go on with: {plain}"
    run.exports.mkdir()
    run.manifest.touch()
    earlier = EarlierResults(run)
    assert going_on("export", earlier) == f"go on with: {whole}"
    run.manifest.write_text("{}")
    assert going_on("export", earlier) == f"go on with: {plain}"


def measuring(folder: Path, *words: str) -> BenchmarkOptions:
    load = {"load": True, "load_p99_limit": 0.02, "load_max_seconds": 30.0}
    (folder / "config.yaml").write_text(json.dumps({"benchmark": load}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["benchmark", str(folder), *words])
        return parse("benchmark", None, BenchmarkOptions)[1]


@pytest.mark.parametrize("words", [("load=false",), ("--load", "false"), ("--load=False",)])
def test_a_switch_that_is_turned_off_takes_its_options_of_the_training_with_it(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    options = measuring(tmp_path, *words)
    assert (options.load, options.load_p99_limit, options.load_max_seconds) == (False, None, None)
    options = measuring(tmp_path, "load_max_seconds=9")
    assert (options.load, options.load_p99_limit, options.load_max_seconds) == (True, 0.02, 9)
    # One that is typed has no effect, and is refused.
    with pytest.raises(UsageError, match=r"benchmark\.load_max_seconds: expected benchmark\.load"):
        measuring(tmp_path, *words, "load_max_seconds=9")


@pytest.mark.parametrize("stage", ["export", "benchmark", "twin", "bundle"])
@pytest.mark.parametrize(
    "words", [("data.root=moved",), ("--data.root", "moved"), ("--data.root=moved",)]
)
def test_a_stage_takes_the_place_of_a_data_set_that_was_moved(
    stage: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage", ".", *words, "size=2"])
    run, options = parse(stage, None, Options)
    assert (run, options) == (Run(tmp_path), Options(2))
    assert run.data_paths == {"root": str(tmp_path / "moved")}


def test_a_stage_without_data_refuses_their_options(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.root"):
        parsed(tmp_path, "one", "data.root=moved")
