"""Notes on what differs between compared runs besides their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from src.compare import __main__ as command
from src.compare import conditions
from src.compare.collection import Measured, collect
from tests.compare.test_comparison import comparison, file, keep
from tests.report.planted import FAILED, results, row


def measured(folder: Path, **environments: dict[str, Any]) -> list[Measured]:
    """Runs that differ by their environment alone."""
    for name, changes in environments.items():
        content = results(file("eager", 0.008, 0.95))
        content["environment"] |= changes
        keep(folder, name, content)
    return collect([str(folder)])


def of_runtime(version: str) -> dict[str, Any]:
    content = results(file("eager", 0.008, 0.95) | {"effective": {"runtime": version}})
    content["rows"] += [row("onnx", **FAILED) | {"effective": {"runtime": "onnxruntime 9"}}]
    return content


def test_runs_with_another_version_of_a_runtime_are_told(tmp_path: Path) -> None:
    for name, version in (("a", "torch 2.1"), ("b", "torch 2.2"), ("c", "torch 2.1"), ("d", "")):
        keep(tmp_path, name, of_runtime(version))
    (note,) = conditions.notes(collect([str(tmp_path)]))
    assert note == (
        "torch has several versions here (2.1: a/version_0, c/version_0; 2.2: b/version_0): a "
        "difference between these runs may be that of the versions."
    )
    assert note in comparison(tmp_path).notes()


def test_the_version_that_resizes_is_told(tmp_path: Path) -> None:
    packages = {"a": {"pillow": "12.0"}, "b": {"pillow": "11.0"}, "c": {}}
    runs = measured(tmp_path, **{name: {"packages": value} for name, value in packages.items()})
    (note,) = conditions.notes(runs)
    assert note.startswith("pillow has several versions here (11.0: b/version_0; 12.0: a/")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"container": {"cores": 1.5, "memory_bytes": None}}, "container's limit on a CPU, 2 "),
        ({"usable_cores": 3}, "number of usable cores on a CPU, 2 threads"),
        ({"frequency_governor": "powersave"}, "frequency governor on a CPU, 2 threads"),
        ({"variables": {"KMP_BLOCKTIME": "0"}}, "environment of runtimes on a CPU, 2 threads"),
    ],
)
def test_other_conditions_of_one_place_are_told(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    runs = measured(tmp_path, a={}, b=changes)
    (note,) = conditions.notes(runs)
    assert note.startswith(f"The {words}")
    assert "a/version_0" in note
    assert "b/version_0" in note


def test_other_places_and_equal_runs_need_no_note(tmp_path: Path) -> None:
    elsewhere = {"threads": 4, "usable_cores": 4, "frequency_governor": "performance"}
    assert conditions.notes(measured(tmp_path, a={}, b={}, c=elsewhere)) == []


def test_many_runs_are_counted(tmp_path: Path) -> None:
    runs = measured(tmp_path, **{f"r{number}": {} for number in range(5)}, s={"usable_cores": 3})
    (note,) = conditions.notes(runs)
    assert "(2: r0/version_0, r1/version_0, r2/version_0 and 2 more; 3: s/version_0)" in note


def test_a_guard_names_the_versions_before_its_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (keep(tmp_path, name, of_runtime(f"torch {name}")) for name in ("1.0", "2.0"))
    command.main([str(old), str(new), "--max-drop", "5"])
    first, second, third, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("OLD: 1.0/version_0, measured at 20")
    assert second.startswith("NEW: 2.0/version_0, measured at 20")
    assert third.startswith("note: torch has several versions here (1.0: 1.0/version_0; 2.0: ")
