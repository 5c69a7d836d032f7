"""Measurements after exported files or test images were changed, removed or emptied."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from src import formats
from src.backends import own_environment
from src.backends.own_environment import OwnEnvironment
from src.benchmark import up_to_date
from src.benchmark.environment import description
from src.benchmark.suite import measure, measure_unless_done
from src.errors import UsageError
from src.report.sections.footnotes import footnotes
from src.run.circumstances import Environment
from src.run.folder import Run
from src.run.reading import convert
from src.run.results import Results
from src.system import atomic_files, environments
from tests.benchmark.planted_formats import (
    FEW,
    Data,
    silent,
)
from tests.report.planted import FAILED, results, row


@pytest.mark.parametrize("text", ["another", "longer than before", "short"])
def test_a_changed_file_is_measured_again_with_its_present_hash_and_size(
    well_behaved: Run, text: str
) -> None:
    first = measure(well_behaved, Data(), FEW, silent)
    assert up_to_date.find(well_behaved, FEW, lambda: Data().sha256("test")) is not None
    file = well_behaved.exports / "talking" / "weights"
    file.write_text(text)
    assert up_to_date.find(well_behaved, FEW, lambda: Data().sha256("test")) is None
    results = measure_unless_done(well_behaved, Data(), FEW, silent)
    before, row = (each.rows[1] for each in (first, results))
    assert (before.as_exported, row.as_exported) == (True, False)
    assert row.sha256 == {"weights": atomic_files.sha256(file)} != before.sha256
    assert row.size_bytes == len(text)
    assert "talking: its files were changed" in " ".join(footnotes(results))
    assert (
        up_to_date.find(well_behaved, FEW, lambda: Data().sha256("test")) == results
    )  # which is of what is there now


class OtherData(Data):
    """The same number of other test images under the same name."""

    def sha256(self, split: str) -> str:
        return "another"


class GoneData(Data):
    """Data whose test images cannot be read any more."""

    def sha256(self, split: str) -> str:
        raise UsageError("data.root", expected="a folder", found="nothing", remedy="mount it")


def test_a_run_is_measured_again_if_its_test_images_changed(well_behaved: Run) -> None:
    first = measure(well_behaved, Data(), FEW, silent)
    messages: list[str] = []

    def report(text: str, *_: object) -> None:
        messages.append(text)

    latest = measure_unless_done(well_behaved, Data(), FEW, report)
    assert latest == well_behaved.read_benchmark()
    assert [text for text in messages if "measured already" in text]
    messages.clear()
    # If the disk with the images is not mounted, the measurement is kept, and this is reported.
    assert measure_unless_done(well_behaved, GoneData(), FEW, report).rows == first.rows
    assert "images are taken to be those that were scored: data.root" in messages[0]
    again = measure_unless_done(well_behaved, OtherData(), FEW, silent)
    assert (first.dataset.sha256, again.dataset.sha256) == (
        Data().sha256("test"),
        "another",
    )
    assert again.measured_seconds != first.measured_seconds


def test_test_images_are_read_only_if_everything_else_is_unchanged(well_behaved: Run) -> None:
    measure(well_behaved, Data(), FEW, silent)

    def unread() -> str:
        raise AssertionError("the images are read")

    assert up_to_date.find(well_behaved, replace(FEW, samples=7), unread) is None
    with pytest.raises(AssertionError, match="are read"):
        up_to_date.find(well_behaved, FEW, unread)


def test_a_missing_or_empty_file_is_a_failed_row(well_behaved: Run) -> None:
    (well_behaved.exports / "talking" / "weights").unlink()
    (well_behaved.exports / "eager" / "weights").write_text("")
    rows = measure(well_behaved, Data(), FEW, silent).rows
    assert [row.status for row in rows] == ["failed", "failed"]
    assert [row.reason for row in rows] == [
        "the export is empty",
        "weights of the export is missing",
    ]
    well_behaved.read_benchmark()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a", "b", "c", "d"], "d in addition"),
        (["a", "b"], "no c"),
        (["b", "a", "c"], "another order: b, a, c"),
        (["a", "b", "sea"], "sea in addition and no c"),
    ],
)
def test_data_with_other_classes_are_not_measured(
    well_behaved: Run, names: list[str], found: str
) -> None:
    data = Data()
    data.class_names = names
    with pytest.raises(UsageError, match=f"expected the 3 classes of the training; found {found};"):
        measure(well_behaved, data, FEW, silent)


def test_a_file_that_is_changed_while_it_is_measured_is_a_failed_row(well_behaved: Run) -> None:
    class Changing(Data):
        def batches(self, split: str, batch_size: int = 64) -> Iterator[Any]:
            (well_behaved.exports / "talking" / "weights").write_text(split)
            return super().batches(split, batch_size)

    rows = measure(well_behaved, Changing(), FEW, silent).rows
    assert [row.status for row in rows] == ["ok", "failed"]
    assert "changed while they were measured" in (rows[1].reason or "")


@pytest.mark.parametrize(
    ("reason", "is_open"),
    [
        ("environments/mnn cannot be installed: no network; export or measure it again", True),
        ("environments/mnn.lock cannot be read (No such file); restore it", True),
        ("no layer for Gather", False),
    ],
)
def test_a_row_whose_environment_was_missing_is_measured_once_it_is_there(
    reason: str, is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = results(row("eager"), row("mnn", **{**FAILED, "status": "skipped", "reason": reason}))
    measured, skipped = convert(planted, Results).rows
    monkeypatch.setattr(OwnEnvironment, "may_be_had", lambda _: True)
    assert not up_to_date._has_failed(measured)
    assert up_to_date._has_failed(skipped) is is_open
    monkeypatch.setattr(OwnEnvironment, "may_be_had", lambda _: False)
    assert not up_to_date._has_failed(skipped)  # else every command would measure again


def test_a_row_is_up_to_date_with_the_packages_that_it_was_measured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    lock = tmp_path / "mnn.lock"
    lock.write_text("one")
    environment = formats.get("mnn").environment
    assert environment
    name = environment.identity

    def is_current(format_name: str, **changes: Any) -> bool:
        planted = convert(results(row("onnx_fp32"), row(format_name, **changes)), Results)
        return up_to_date.has_present_packages(planted.rows[1])

    never_ran = {**FAILED, "status": "skipped", "reason": "it was not exported"}
    could_not_run = {**never_ran, "environment": name}
    assert is_current("mnn", environment=name)
    with monkeypatch.context() as patch:  # as an earlier version of this project wrote it
        stamp = OwnEnvironment._stamp
        patch.setattr(
            OwnEnvironment,
            "_stamp",
            lambda self: own_environment._without_platform(stamp(self)),
        )
        without_platform = environment.identity
    assert without_platform != name
    assert is_current("mnn", environment=without_platform)
    assert is_current("mnn", **could_not_run)
    assert is_current("mnn", **never_ran)
    assert not is_current("mnn")  # it was measured before rows had an environment
    assert is_current("eager")
    assert not is_current("eager", environment=name)
    assert is_current("of_another_project", environment=name)
    lock.write_text("two")
    assert not is_current("mnn", environment=name)
    assert not is_current("mnn", **could_not_run)
    lock.write_text("one")
    with monkeypatch.context() as patch:
        patch.setattr(OwnEnvironment, "_wanted_python", "3.99")
        assert not is_current("mnn", environment=name)
    lock.unlink()
    assert not is_current("mnn", environment=name)


def test_a_row_has_one_environment_in_all_its_processes_and_another_one_is_measured(
    well_behaved: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Environment:
        identity = "planted-1"

        def has_run(self, identity: str | None) -> bool:
            return identity == self.identity

        def python(self) -> Path:
            asked.append(self.identity)
            return Path(sys.executable)

    monkeypatch.setattr(type(formats.get("eager")), "environment", Environment())
    monkeypatch.setattr(own_environment, "identity_of", lambda _: "planted-1")
    options = replace(FEW, processes=2, memory=True)
    measured = measure(well_behaved, Data(), options, silent)
    assert len(asked) == len(measured.rows)
    assert {row.environment for row in measured.rows} == {"planted-1"}
    assert up_to_date.find(well_behaved, options, lambda: None) is not None
    monkeypatch.setattr(Environment, "identity", "planted-2")
    assert up_to_date.find(well_behaved, options, lambda: None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"isa": ["AVX2", "another"]},  # hypervisors give processors with and without VNNI one name
        {"variables": {"KMP_BLOCKTIME": "0"}},
    ],
)
def test_other_instruction_sets_and_variables_are_another_machine(
    change: dict[str, Any], well_behaved: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(well_behaved, Data(), FEW, silent)

    def scored() -> str:
        return Data().sha256("test")

    assert up_to_date.find(well_behaved, FEW, scored) is not None
    here = description.describe

    def describe(threads: int) -> Environment:
        return msgspec.structs.replace(here(threads), **change)

    monkeypatch.setattr(description, "describe", describe)
    assert up_to_date.find(well_behaved, FEW, scored) is None
