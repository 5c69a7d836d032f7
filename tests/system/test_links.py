"""Runs of unknown origin: no link in one gets a file elsewhere read, packed or written."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.bundle.options import BundleOptions
from src.bundle.stage import bundle
from src.compare.collection import collect
from src.errors import UsageError
from src.export import up_to_date
from src.run import folder as runs
from src.run.folder import Run
from src.system import links
from tests.report.planted import results, row
from tests.report.writers.test_cards import manifest

FILES = (
    *("config.yaml", "command.txt", "hparams.yaml", "events.out.tfevents.1.host", "report.md"),
    *("benchmark.json", "report.html", "predictions.csv", "tradeoff.png", "measurements/a.json"),
    *("checkpoints/best.ckpt", "checkpoints/last.ckpt", "exports/manifest.json"),
    *("exports/probe.npz", "exports/onnx/model", "exports/onnx/not_listed.bin"),
    *("exports/onnx/README.md", "exports/onnx_embedded/model.onnx", "exports/other/model.onnx"),
    *("profile/rank0.json", "profile/inference/.eager-cpu.json.gz", "flipped/3.png"),
    "a/folder/of/others",
)
FOLDERS = (
    *("checkpoints", "exports", "exports/onnx", "exports/onnx_embedded", "measurements"),
    *("flipped", "profile", "profile/inference", "a/folder"),
)
REFUSED = r"RUN: expected files and folders of the run's own; found .*, a link to "


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run with a manifest and a measurement."""
    run = Run(tmp_path / "lightning_logs" / "resnet34" / "version_0")
    for name in ("checkpoints", "exports/onnx", "exports/onnx_embedded"):
        (run.folder / name).mkdir(parents=True)
    run.config.write_text("model: {}\n")
    run.best_checkpoint.touch()
    (run.exports / "onnx" / "model").write_text("weights")
    run.manifest.write_text(json.dumps(manifest()))
    run.benchmark.write_text(json.dumps(results(row("onnx"))))
    return run


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder outside the run with a secret file, and check that it does not change."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "secret").write_text("mine")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert (folder / "secret").read_text() == "mine"


def link(run: Run, place: str, target: Path | str) -> None:
    """Put a link at ``place`` and move aside what is there."""
    path = run.folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(path.parent.parent / f"{path.name}.aside")
    path.symlink_to(target)


@pytest.mark.parametrize("place", [*FILES, *FOLDERS])
def test_a_run_with_a_link_out_of_it_is_not_opened(run: Run, elsewhere: Path, place: str) -> None:
    assert Run.open(run.folder) == run
    link(run, place, elsewhere if place in FOLDERS else elsewhere / "secret")
    with pytest.raises(UsageError, match=REFUSED):
        Run.open(run.folder)


TARGETS = {
    "absolute": lambda elsewhere: elsewhere / "secret",
    "relative": lambda elsewhere: Path("../../../../elsewhere/secret"),
    "to what is not there yet": lambda elsewhere: elsewhere / "new",
    "to a device": lambda elsewhere: Path("/dev/zero"),
    "to itself": lambda elsewhere: Path("report.html"),
    "to the root": lambda elsewhere: Path("/"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_link_out_of_a_run_is_refused_for_every_kind_of_target(
    run: Run, elsewhere: Path, target: str
) -> None:
    place = "report.html" if target == "to itself" else "profile/x"
    link(run, place, TARGETS[target](elsewhere))
    with pytest.raises(UsageError, match=REFUSED):
        Run.open(run.folder)


def test_a_link_out_of_a_run_through_another_link_is_refused(run: Run, elsewhere: Path) -> None:
    link(run, "a", "b/secret")
    link(run, "b", elsewhere)
    with pytest.raises(UsageError, match=REFUSED):
        run.own("a")


def test_a_named_pipe_in_a_run_is_refused_and_not_waited_for(run: Run) -> None:
    os.mkfifo(run.folder / "events.out.tfevents.1")
    with pytest.raises(UsageError, match="which is neither a file nor a folder"):
        Run.open(run.folder)


@pytest.mark.parametrize("target", ["best.ckpt", "../checkpoints/best.ckpt"])
def test_a_link_within_a_run_is_followed(run: Run, target: str) -> None:
    link(run, "checkpoints/last.ckpt", target)
    assert Run.open(run.folder).last_checkpoint.is_file()


def test_a_link_to_a_run_is_followed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "newest").symlink_to(run.folder)
    assert Run.open(tmp_path / "newest") == run


NEEDS = {"compare": "benchmark.json", "predict": "config.yaml"}
COMMANDS = ("export", "benchmark", "report", "predict", "bundle", "compare")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_run_with_a_link_out_of_it(
    run: Run, elsewhere: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(run, NEEDS.get(command, "profile/inference/x"), elsewhere / "secret")
    more = {"predict": ["x.png"], "bundle": ["embedded=true", "-o", str(tmp_path / "x.zip")]}
    monkeypatch.setattr("sys.argv", [command, str(run.folder), *more.get(command, [])])
    before = sorted(run.folder.rglob("*"))
    with pytest.raises(UsageError, match=REFUSED):
        importlib.import_module(f"src.{command}.__main__").main()
    assert sorted(run.folder.rglob("*")) == before
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("place", ["exports/onnx_embedded/model.onnx", "exports/onnx/more"])
def test_a_linked_file_that_the_manifest_does_not_list_is_not_packed(
    run: Run, elsewhere: Path, tmp_path: Path, place: str
) -> None:
    content = manifest()
    embedded = {"folder": "onnx_embedded", "status": "ok", "reason": None, "files": []}
    content["formats"]["onnx"]["embedded"] = embedded
    run.manifest.write_text(json.dumps(content))
    link(run, place, elsewhere / "secret")
    options = BundleOptions(output=str(tmp_path / "x.zip"), format="onnx", embedded=True)
    with pytest.raises(UsageError, match=REFUSED):
        bundle(run, options)
    with pytest.raises(UsageError, match=REFUSED):
        up_to_date.read(run)
    assert not (tmp_path / "x.zip").exists()


def test_a_training_is_not_resumed_in_a_run_with_a_link_out_of_it(
    run: Run, elsewhere: Path
) -> None:
    root = run.folder.parents[2]
    assert runs.newest(root, "resnet34", having="checkpoints/best.ckpt") == run
    assert runs.containing(run.best_checkpoint) == run
    link(run, "profile", elsewhere)
    with pytest.raises(UsageError, match=REFUSED):
        runs.newest(root, "resnet34", having="checkpoints/best.ckpt")
    with pytest.raises(UsageError, match=REFUSED):
        runs.containing(run.best_checkpoint)


def test_a_folder_that_is_no_run_is_not_checked_for_links(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "home" / "weights").mkdir(parents=True)
    (tmp_path / "home" / "link").symlink_to(elsewhere)
    assert runs.containing(tmp_path / "home" / "weights" / "x.ckpt") is None


def test_comparing_a_folder_of_runs_refuses_a_linked_benchmark_json(
    run: Run, elsewhere: Path
) -> None:
    assert len(collect([str(run.folder.parents[1])])) == 1
    link(run, "benchmark.json", elsewhere / "secret")
    with pytest.raises(UsageError, match=REFUSED):
        collect([str(run.folder.parents[1])])


def test_every_path_property_of_a_run_refuses_a_link_out_of_it(run: Run, elsewhere: Path) -> None:
    paths = [name for name, value in inspect.getmembers(Run) if isinstance(value, property)]
    checked = 0
    for name in paths:
        path = getattr(run, name)
        if isinstance(path, Path) and path != run.folder:
            place = str(path.relative_to(run.folder))
            if path.exists():
                path.rename(run.folder.with_name("aside"))
            link(run, place, elsewhere)
            with pytest.raises(UsageError, match=REFUSED):
                getattr(run, name)
            path.unlink()
            if run.folder.with_name("aside").exists():
                run.folder.with_name("aside").rename(path)
            checked += 1
    assert checked > 10


def test_a_missing_file_is_no_unsafe_path(tmp_path: Path) -> None:
    links.require_inside(tmp_path / "gone")
    assert links.inside(tmp_path, "gone", "too") == tmp_path / "gone" / "too"
