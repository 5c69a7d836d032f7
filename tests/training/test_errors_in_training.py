"""Failures during a training, started by its command line: one line and an exit code."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from src.cli import app
from src.cli.entry_point import run_command
from src.export.source import Checkpoint
from src.run import folder as runs
from src.run.folder import Run
from tests.data.datasets.test_image_folder import broken_image
from tests.support.checkpoints import checkpoint_bytes, checkpoint_content
from tests.support.failing_disk import failing_disk
from tests.support.small_network import BUILDER, NAME, WORDS
from tests.support.warm_command import command
from tests.training.test_train import SHORT as SHORT_WITH_STAGES

SHORT = (
    *(*WORDS, "data.image_size=32", "data.batch_size=8", "data.num_workers=0"),
    *("trainer.max_epochs=2", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"),
    *("trainer.num_sanity_val_steps=0", "trainer.precision=32", "trainer.log_every_n_steps=1"),
    *("export.enabled=false", "benchmark.enabled=false", "profiler=none"),
    "trainer.enable_progress_bar=false",
)
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("elsewhere")]


def train(*words: str) -> int:
    """Run a training; return its exit code."""
    try:
        run_command(lambda: app.main([*SHORT, *words]))
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only error line that was printed."""
    printed = capsys.readouterr().err
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, printed
    assert "Traceback" not in printed
    return errors[0]


def only_run() -> Run:
    return Run(Path(f"lightning_logs/{NAME}/version_0").resolve())


def test_out_of_memory_suggests_a_smaller_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("trainer.callbacks=tests.support.failing_callbacks.ExhaustMemory") == 1
    message = error_line(capsys)
    assert "error: out of memory: " in message
    assert (
        "data.batch_size is 8: set data.batch_size=4 trainer.accumulate_grad_batches=2" in message
    )


def test_a_removed_run_folder_is_reported_and_the_last_checkpoint_is_saved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("trainer.callbacks=tests.support.failing_callbacks.RemoveRunFolder") == 1
    message = error_line(capsys)
    assert (
        "version_0: expected the run's folder as it was at the start; found it without" in message
    )
    assert f"go on with ckpt_path={only_run().last_checkpoint}" in message
    assert Checkpoint.read(only_run().last_checkpoint).epoch == 0


@pytest.mark.faults
def test_a_run_folder_replaced_by_a_file_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("trainer.callbacks=tests.support.failing_callbacks.ReplaceRunFolderByFile") == 1
    assert "version_0/checkpoints: it is not in a folder" in error_line(capsys)


@pytest.mark.faults
def test_a_killed_loader_process_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        train(
            "trainer.callbacks=tests.support.failing_callbacks.KillLoaderProcess",
            "data.num_workers=1",
        )
        == 1
    )
    assert "a process that loads images ended: " in error_line(capsys)


def test_weights_with_a_non_finite_validation_loss_are_not_saved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("trainer.callbacks=tests.support.failing_callbacks.MakeWeightsInfinite") == 1
    assert "error: the loss is not finite at step 4" in error_line(capsys)
    for path in (only_run().best_checkpoint, only_run().last_checkpoint):
        assert Checkpoint.read(path).epoch == 0
        weights = Checkpoint.read(path).weights.values()
        assert all(bool(torch.isfinite(value).all()) for value in weights)


def test_a_read_only_log_folder_is_reported_before_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Simulated, because permissions do not stop the root account that tests may run under.
    def refuse(path: Any, *_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "mkdir", refuse)
    assert train() == 2
    message = error_line(capsys)
    assert "trainer.default_root_dir: expected a folder that can be written" in message
    assert "Read-only file system" in message


DAMAGED = {
    "missing": (None, "found .*x.ckpt, which is no file"),
    "empty": (b"", "expected a whole checkpoint"),
    "truncated": (0.5, "expected a whole checkpoint"),
    "flipped": (-1, "expected a whole checkpoint"),
    "another network": ("builder", f"expected a checkpoint of {NAME} .*one of resnet18"),
    "other classes": ("classes", r"for 10 classes \(0, 1.*for 2 classes \(cat, dog\)"),
    "other weights": ("weights", f"expected the weights of {NAME} with 10 classes"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_an_unusable_checkpoint_is_reported_before_training(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    damage, expected = DAMAGED[name]
    content = checkpoint_content()
    description = content["lightship"]
    description["network"] = {"builder": BUILDER, "num_classes": 10, "options": {}}
    description["class_names"] = [str(digit) for digit in range(10)]
    if damage == "builder":
        description["network"]["builder"] = "resnet18"
    if damage == "classes":
        description["network"]["num_classes"], description["class_names"] = 2, ["cat", "dog"]
    whole = checkpoint_bytes(content)
    path = tmp_path / "x.ckpt"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    elif isinstance(damage, float):
        path.write_bytes(whole[: int(len(whole) * damage)])
    elif damage is not None:
        flip = bytes(255 - byte for byte in whole[-300:-100]) if damage == -1 else whole[-300:-100]
        path.write_bytes(whole[:-300] + flip + whole[-100:])
    assert train(f"ckpt_path={path}") == 2
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(error_line(capsys))
    assert not list(tmp_path.glob("lightning_logs/*/*"))


def test_weights_alone_are_no_checkpoint_to_go_on_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    callback = {"filename": "{epoch}-{val/top1:.2f}", "save_weights_only": "true"}
    options = [f"trainer.callbacks.{name}={value}" for name, value in callback.items()]
    assert train("trainer.callbacks=ModelCheckpoint", *options, "trainer.max_epochs=1") == 0
    [path] = only_run().folder.glob("checkpoints/*/*.ckpt")  # the metric has a slash in its name
    assert train(f"ckpt_path={path}") == 2
    message = error_line(capsys)
    assert "ckpt_path: expected a checkpoint with the state of its optimizer" in message
    assert "model.weights=PATH" in message
    assert [run.name for run in only_run().folder.parent.iterdir()] == ["version_0"]
    assert train(f"model.weights={path}", "trainer.max_epochs=1") == 0
    evaluation = [word for word in SHORT if word.partition(".")[0] in {"model", "data", "trainer"}]
    run_command(lambda: app.main(["test", *WORDS, *evaluation, f"ckpt_path={path}"]))
    assert runs.containing(path) == only_run()  # whose splits and folder are used


def written(folder: Path) -> list[str]:
    """Return the files below a folder, without the time stamps in the names of event files."""
    files = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name.partition(".tfevents")[0] for name in files)


@pytest.mark.faults
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "failing"])
def test_a_disk_that_fails_at_any_write_of_a_training_loses_no_checkpoint(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def new_folder(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        return folder

    with failing_disk(new_folder("whole")) as disk:
        assert train("trainer.max_epochs=1") == 0
    count, all_files = len(disk.calls), written(tmp_path / "whole")
    capsys.readouterr()
    for at in range(count):
        with failing_disk(new_folder(str(at)), number, at) as disk:
            code = train("trainer.max_epochs=1")
        where = f"write call {at} of {count}, {disk.calls[at]}"
        # A failed call may be ignored only if nothing depends on it, as making an existing folder.
        assert code in {1, 2} or written(tmp_path / str(at)) == all_files, where
        if code:
            assert error_line(capsys), where
        for path in Path("lightning_logs").rglob("*.ckpt"):
            assert Checkpoint.read(path).epoch == 0, where
    print(f"training: {count} write calls, none lost")


def test_a_loss_that_is_not_finite_exports_nothing(tmp_path: Path) -> None:
    short = [word for word in SHORT_WITH_STAGES if "benchmark" not in word]
    process = command(
        tmp_path, "src.train", *short, "model.lr=1e30", "export.preflight=false",
        "trainer.gradient_clip_val=null",
    )  # fmt: skip
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("error: the loss is not finite at step ")
    [run] = (tmp_path / "lightning_logs").glob("*/version_0")
    assert not (run / "exports").exists()
    assert not (run / "checkpoints").exists()


def test_a_corrupt_image_is_reported_in_one_line_before_training(tmp_path: Path) -> None:
    broken_image(tmp_path / "photos")
    process = command(tmp_path, "src.train", "data=image_folder", "data.root=photos")
    assert process.returncode == 2
    assert "photos/dog/3.png: expected an image that Pillow can decode" in process.stderr
    assert "Traceback" not in process.stderr
    assert not list(tmp_path.glob("lightning_logs/*/*"))
