"""Output of ``predict`` and ``test``: in the checkpoint's run, else in the working directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from src.cli import app
from src.cli.entry_point import run_command
from src.run import folder as runs
from src.run.folder import Run
from tests.support.small_network import NAME, WORDS

OPTIONS = (
    *(*WORDS, "data.image_size=32", "data.batch_size=4", "data.num_workers=0"),
    *("trainer.precision=32", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"),
)
ONE_BATCH = ("trainer.limit_predict_batches=1", "trainer.limit_test_batches=1")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of zero epochs, with its initial weights."""
    folder = tmp_path_factory.mktemp("user")
    stages = ("export.enabled=false", "benchmark.enabled=false", "profiler=none")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_command(lambda: app.main([*OPTIONS, *stages, "trainer.max_epochs=0"]))
    return Run(folder / "lightning_logs" / NAME / "version_0")


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("subcommand", "name"),
    [("predict", "home/weights/x.ckpt"), ("test", "home/checkpoints/x.ckpt")],
)
def test_nothing_is_written_beside_a_checkpoint_outside_a_run(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subcommand: str, name: str
) -> None:
    user_folder, here = tmp_path / "place", tmp_path / "here"
    checkpoint = user_folder / name
    for folder in (checkpoint.parent, here):
        folder.mkdir(parents=True)
    shutil.copy(trained.last_checkpoint, checkpoint)
    if checkpoint.parent.name != "checkpoints":  # a user's file of the same name
        (checkpoint.parent.parent / "config.yaml").write_text("colour: blue")
    before = files_below(user_folder)
    monkeypatch.chdir(here)
    run_command(lambda: app.main([subcommand, *OPTIONS, *ONE_BATCH, f"ckpt_path={checkpoint}"]))
    assert files_below(user_folder) == before
    assert files_below(here) == ({"predictions.csv"} if subcommand == "predict" else set())


def test_predictions_are_written_into_the_run_of_the_checkpoint(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Run(shutil.copytree(trained.folder, tmp_path / "a copy"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = [*OPTIONS, *ONE_BATCH, f"ckpt_path={copy.last_checkpoint}"]
    run_command(lambda: app.main(["predict", *words]))
    lines = (copy.folder / "predictions.csv").read_text().splitlines()
    assert lines[0] == "position,true,predicted,probability,image"
    assert len(lines) == 1 + 4
    assert files_below(tmp_path / "here") == set()


def test_a_run_is_a_folder_with_a_configuration_and_checkpoints(
    trained: Run, tmp_path: Path
) -> None:
    assert runs.containing(trained.last_checkpoint) == trained
    nested = trained.last_checkpoint.parent / "epoch=1-val" / "top1=0.93.ckpt"
    assert runs.containing(nested) == trained
    assert runs.containing(trained.folder / "exports" / "x.ckpt") is None
    assert runs.containing(trained.folder / "x.ckpt") is None
    link = tmp_path / "checkpoints"
    link.symlink_to(trained.last_checkpoint.parent)
    assert runs.containing(link / "last.ckpt") is None  # the path decides, not the link's target
