"""A run that was renamed, copied or mounted elsewhere resumes there and keeps its best weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.export import finished_checkpoint
from src.callbacks.run_paths import RunPaths
from src.errors import UsageError
from tests.support.tiny_classifier import TinyNet, loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


class Falling(TinyNet):
    """Network whose score falls with each epoch, so that the first weights are the best."""

    def on_validation_epoch_end(self) -> None:
        self.log("val/score", -float(self.current_epoch))


def fit(
    run: Path,
    epochs: int,
    resume_from: Path | None = None,
    *,
    monitor: str = "val/score",
    every: int = 1,
) -> Trainer:
    """Train with the callbacks of the command line and a ModelCheckpoint of the user."""
    checkpoints = [BestCheckpoint(monitor, every_n_epochs=every), LastCheckpoint()]
    of_user = ModelCheckpoint(filename="mine", monitor="val/score", mode="max")
    for checkpoint in (*checkpoints, of_user):
        checkpoint.dirpath = str(run / "checkpoints")
    training = trainer(
        run.parent,
        max_epochs=epochs,
        callbacks=[RunPaths(run), of_user, *checkpoints],
        enable_checkpointing=True,
        num_sanity_val_steps=0,
    )
    training.fit(Falling(), loader(), loader(), ckpt_path=resume_from)
    return training


def texts(value: Any) -> list[str]:
    """Return every text in a nested value, keys included."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts(item)]
    return [str(value)] if isinstance(value, str | Path) else []


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("first") / "lightning_logs" / "tiny" / "version_0"
    fit(run, 2)
    return run


def test_a_checkpoint_stores_no_folder(trained: Path) -> None:
    for path in (trained / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        assert not [text for text in texts(content) if str(trained.parent) in text], path


def renamed(run: Path) -> Path:
    return run.rename(run.with_name("the good one"))


def renumbered(run: Path) -> Path:
    return run.rename(run.with_name("version_12"))


def in_a_moved_project(run: Path) -> Path:
    project = run.parent.parent.parent
    moved = project.rename(project.with_name("elsewhere"))
    return moved / run.relative_to(project)


def copied(run: Path) -> Path:
    return Path(shutil.copytree(run, run.parent.parent.parent / "copies" / "run"))


def behind_a_link(run: Path) -> Path:
    link = run.parent.parent.parent / "mounted"
    link.symlink_to(run)
    return link


MOVES = [renamed, renumbered, in_a_moved_project, copied, behind_a_link]


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_a_moved_run_resumes_in_its_new_place_and_keeps_its_best_checkpoint(
    move: Callable[[Path], Path], trained: Path, tmp_path: Path
) -> None:
    original = Path(shutil.copytree(trained, tmp_path / "project" / "lightning_logs" / "t" / "v"))
    run = move(original)
    before = files(original) if original.exists() else {}
    best = (run / "checkpoints" / "best.ckpt").read_bytes()
    training = fit(run, 4, run / "checkpoints" / "last.ckpt")
    assert (run / "checkpoints" / "best.ckpt").read_bytes() == best
    assert finished_checkpoint(training) == (run / "checkpoints" / "best.ckpt").resolve()
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["callbacks"]["BestCheckpoint"]["score"]) == (3, 0)
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["best.ckpt", "last.ckpt", "mine.ckpt"]
    assert torch.load(run / "checkpoints" / "mine.ckpt", weights_only=True)["epoch"] == 0
    if move is copied:
        assert files(original) == before


def test_changed_checkpoint_options_keep_the_best_score(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "a" / "b"))
    fit(run, 4, run / "checkpoints" / "last.ckpt", every=2)
    assert torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 0


def test_a_best_checkpoint_chosen_by_another_metric_is_not_overwritten(
    trained: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "a" / "b"))
    before = files(run)
    with pytest.raises(UsageError, match=r"checkpoint.monitor: expected val/score \(max\)"):
        fit(run, 4, run / "checkpoints" / "last.ckpt", monitor="val/loss")
    assert files(run) == before


def test_a_new_run_from_a_checkpoint_starts_without_a_best_score(
    trained: Path, tmp_path: Path
) -> None:
    before = files(trained)
    run = tmp_path / "a" / "b"
    training = fit(run, 3, trained / "checkpoints" / "last.ckpt")
    assert finished_checkpoint(training) == run / "checkpoints" / "best.ckpt"
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert (best["epoch"], best["callbacks"]["BestCheckpoint"]["score"]) == (2, -2)
    assert files(trained) == before


def test_a_removed_best_checkpoint_is_not_exported(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "a" / "b"))
    (run / "checkpoints" / "best.ckpt").unlink()
    training = fit(run, 2, run / "checkpoints" / "last.ckpt")
    assert finished_checkpoint(training) == run / "checkpoints" / "last.ckpt"
    fit(run, 3, run / "checkpoints" / "last.ckpt")
    assert torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 2


@pytest.mark.parametrize("name", ["run:../../other/best.ckpt", "run:/etc/passwd", "/etc/passwd"])
def test_paths_in_an_untrusted_checkpoint_cannot_leave_its_run(name: str, tmp_path: Path) -> None:
    state = {"monitor": "val/score", "mode": "max", "score": torch.tensor(1.0)}
    best = BestCheckpoint("val/score")
    best.dirpath = str(tmp_path)
    torch.save({"callbacks": {}}, tmp_path / "best.ckpt")

    class Training:
        is_global_zero = True
        ckpt_path = str(tmp_path / "checkpoints" / "last.ckpt")

        class strategy:  # noqa: N801  # the attribute's name in Trainer
            broadcast = staticmethod(lambda value: value)

    content: dict[str, Any] = {
        "callbacks": {"BestCheckpoint": {**state, "best_model_path": name, "dirpath": name}}
    }
    RunPaths(None).on_load_checkpoint(Training(), None, content)  # type: ignore[arg-type]
    best.on_load_checkpoint(Training(), None, content)  # type: ignore[arg-type]
    best.load_state_dict(content["callbacks"]["BestCheckpoint"])
    assert best.saved_path == tmp_path / "best.ckpt"
    # Unchanged, because it is not a path in this run.
    assert content["callbacks"]["BestCheckpoint"]["dirpath"] == name
