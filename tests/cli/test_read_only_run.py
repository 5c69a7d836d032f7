"""Commands that write are refused before their work where their result could not be written."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from src.bundle import stage as bundle_stage
from src.bundle.options import BundleOptions
from src.cli.writable_run import require_writable
from src.compare.collection import collect
from src.compare.stage import compare_runs
from src.errors import UsageError
from src.run.folder import Run
from src.system import partial_files, writable_folder
from tests.compare.test_comparison import file, keep
from tests.report.planted import results
from tests.report.writers.test_cards import manifest
from tests.support.user_files import contents

# A disk that is mounted read-only; folders of another user, as Docker leaves them; files that are
# marked immutable; a quota.
NUMBERS = [errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT]
COMMANDS = [
    ("export",),
    ("benchmark",),
    ("benchmark", "--with", "onnxruntime==1.30.0"),
    ("serve_test",),
    ("twin",),
    ("report",),
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path.resolve() / "run")
    run.last_checkpoint.parent.mkdir(parents=True)
    run.config.write_text("{}\n")
    run.last_checkpoint.touch()
    return run


def refuse(patch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Let no file be made directly in a folder. Permissions do not stop the root account."""
    create = partial_files._create

    def refusing(path: str, flags: int) -> int:
        if Path(path).parent == folder:
            raise OSError(number, os.strerror(number), path)
        return create(path, flags)

    patch.setattr(partial_files, "_create", refusing)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_a_command_refuses_a_run_that_cannot_be_written_before_it_works(
    words: tuple[str, ...], number: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    command: Any = importlib.import_module(f"src.cli.commands.{words[0]}")
    monkeypatch.setattr(sys, "argv", [words[0], str(run.folder), *words[1:]])
    refuse(monkeypatch, run.folder, number)
    before = contents(run.folder)
    expected = "^RUN: expected a run that can be written; found .*; copy the run to another folder"
    with pytest.raises(UsageError, match=expected) as refused:
        command.main()
    assert f"{run.folder} ({os.strerror(number)})" in str(refused.value)
    assert contents(run.folder) == before


# Folders of a run, and the commands that write to each.
WRITERS: dict[str, set[str]] = {
    "exports": {"export"},
    "exports/eager": {"export"},
    "exports/onnx": {"export", "benchmark", "report"},  # a card
    "exports/ncnn": set(),
    "measurements": {"benchmark"},
    "flipped": {"benchmark"},
    "profile/inference": {"benchmark --trace true"},
    "versions": {"benchmark --with onnxruntime==1.30.0"},
    "twin": {"twin"},
    "twin/distillation/checkpoints": {"twin"},
}
EAGER = ("--formats", "[eager]")


class AllowedError(Exception):
    """The command found its run writable."""


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("words", [*COMMANDS, ("benchmark", "--trace", "true")], ids=" ".join)
def test_a_folder_of_another_user_within_a_run_stops_the_commands_that_write_to_it(
    words: tuple[str, ...], name: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run.folder / name
    folder.mkdir(parents=True)
    run.exports.mkdir(exist_ok=True)
    run.manifest.write_text(json.dumps(manifest()))
    module = "other_version" if "--with" in words else words[0]
    command: Any = importlib.import_module(f"src.cli.commands.{module}")

    def require(*args: Any) -> None:
        require_writable(*args)
        raise AllowedError

    monkeypatch.setattr(command, "require_writable", require)
    options = EAGER if words == ("export",) else words[1:]
    monkeypatch.setattr(sys, "argv", [words[0], str(run.folder), *options])
    refuse(monkeypatch, folder, errno.EACCES)
    is_refused = " ".join(words) in WRITERS[name]
    is_refused |= words[:2] == ("benchmark", "--trace") and "benchmark" in WRITERS[name]
    with pytest.raises(UsageError if is_refused else AllowedError) as caught:
        command.main()
    assert (f"found {folder} (Permission denied)" in str(caught.value)) == is_refused


def test_a_folder_that_is_not_there_yet_counts_as_the_one_around_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.profile.mkdir()
    require_writable(run, run.inference_traces, run.versions)
    refuse(monkeypatch, run.profile, errno.EACCES)
    with pytest.raises(UsageError, match=rf"found {run.profile} \(Permission denied\)"):
        require_writable(run, run.inference_traces)
    require_writable(run, run.versions)


def test_the_test_of_a_folder_leaves_nothing_there(run: Run) -> None:
    before = contents(run.folder)
    require_writable(run)
    assert writable_folder.refusal(run.folder) is None
    assert contents(run.folder) == before
    assert writable_folder.refusal(run.folder / "none") == os.strerror(errno.ENOENT)


@pytest.mark.parametrize("number", [*NUMBERS, errno.ENOSPC], ids=errno.errorcode.get)
def test_a_comparison_is_shown_though_its_pages_cannot_be_written(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for name in ("one", "two"):
        keep(runs, name, results(file("eager", 0.008, 0.98), file("onnx_fp32", 0.002, 0.98)))
    measured = collect([str(runs)])
    refuse(monkeypatch, runs, number)
    shown = io.StringIO()
    expected = "^--output: expected a folder that can be written.*name another one with --output"
    with pytest.raises(UsageError, match=expected):
        compare_runs(measured, Console(file=shown, width=200))
    assert shown.getvalue().count("onnx_fp32") >= 2
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert compare_runs(measured, Console(file=io.StringIO()), folder=other).is_file()


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_a_bundle_whose_zip_file_cannot_be_written_is_refused_before_it_is_made(
    number: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    refuse(monkeypatch, place, number)
    options = BundleOptions(output=str(place / "model.zip"))
    with pytest.raises(UsageError, match=r"^output: expected a file that can be written; found"):
        bundle_stage.bundle(run, options)  # which has no exports to read


def test_a_folder_in_the_place_of_a_zip_file_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.zip").mkdir()
    options = BundleOptions(output=str(tmp_path / "model.zip"))
    with pytest.raises(
        UsageError, match=r"model\.zip, which is a folder; give the zip file another"
    ):
        bundle_stage.bundle(run, options)
