"""Runs that a script keeps: only a finished training with the script's own options is reused."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import ROOT

WORDS = (
    *("experiment=source_report", "data.image_size=224", "trainer.limit_val_batches=3"),
    *("benchmark.batch_sizes=[1]", "seed_everything=1"),
)
COMMAND = ["python", "-m", "src.train", "model=resnet34", *WORDS]
BEST = "checkpoints/best.ckpt"


@pytest.fixture(autouse=True)
def _scripts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield


def plant(
    root: Path,
    number: int = 0,
    *,
    command: list[str] = COMMAND,
    epochs: int = 2,
    options: dict[str, Any] | None = None,
) -> Path:
    """Write what a training leaves; ``options`` change its configuration."""
    folder = root / "lightning_logs" / "resnet34" / f"version_{number}"
    (folder / "checkpoints").mkdir(parents=True)
    config: dict[str, Any] = {
        "seed_everything": 1,
        "trainer": {"max_epochs": 2, "limit_val_batches": 3},
        "data": {"class_path": "src.data.Digits", "init_args": {"image_size": 224}},
        "profiler": {"windows": 2, "record_shapes": True},
        "benchmark": {"trace": True, "batch_sizes": [1]},
    }
    for name, value in (options or {}).items():
        *groups, last = name.split("/")
        part = config
        for group in groups:
            part = part[group]
        part[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "command.txt").write_text(f"{shlex.join(command)}\n")
    progress = {"fit_loop": {"epoch_progress": {"current": {"processed": epochs}}}}
    content = {"loops": progress, "callbacks": {"BestCheckpoint": {"score": 0.5}}}
    torch.save(content, folder / "checkpoints" / "last.ckpt")
    (folder / BEST).touch()
    os.utime(folder / BEST, (number, number))
    return folder


def found(root: Path) -> Path | None:
    from kept_runs import find

    run = find("resnet34", ["model=resnet34", *WORDS], root, BEST)
    return run and run.folder


def test_a_finished_training_with_the_same_options_is_found_again(tmp_path: Path) -> None:
    assert found(tmp_path) is None
    plant(tmp_path, 8)
    newest = plant(tmp_path, 9, command=[*COMMAND, "trainer.default_root_dir=there"])
    assert found(tmp_path) == newest.resolve()
    resumed = plant(tmp_path, 10, command=[*COMMAND, "ckpt_path=last"])
    assert found(tmp_path) == resumed.resolve()


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ({"options": {"data/init_args/image_size": 64}}, "data.image_size is 64, not 224"),
        ({"options": {"trainer/max_epochs": 1}}, "trainer.max_epochs is 1, not 2"),
        ({"options": {"benchmark/batch_sizes": [8]}}, "benchmark.batch_sizes is [8], not [1]"),
        ({"options": {"seed_everything": 0}}, "seed_everything is 0, not 1"),
        ({"options": {"profiler/windows": None}}, "profiler.windows is None, not 2"),
        ({"options": {"data": {}}}, "data.image_size is None, not 224"),
        ({"options": {"trainer": None}}, "trainer.max_epochs is None, not 2"),
        ({"command": [*COMMAND, "data=cifar10"]}, "it was trained with data=cifar10"),
        ({"command": [*COMMAND, "--model.lr=1"]}, "it was trained with model.lr=1"),
        ({"epochs": 1}, "its training ended after epoch 1 of 2"),
        ({"epochs": 0}, "its training ended after epoch 0 of 2"),
    ],
)
def test_another_training_is_left_out_with_the_reason(
    planted: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = plant(tmp_path, 3)
    other = plant(tmp_path, 4, **planted)
    assert found(tmp_path) == older.resolve()
    assert capsys.readouterr().err == f"{other} is not used: {reason}\n"


@pytest.mark.parametrize("name", ["config.yaml", "command.txt", "checkpoints/last.ckpt"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]"])
def test_a_damaged_run_is_left_out_with_the_reason(
    name: str, content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = plant(tmp_path)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    is_plain = name == "command.txt" and content in {b"", b"{", b"[1]"}  # no options in it
    assert (found(tmp_path) is not None) == is_plain
    assert ("is not used: " in capsys.readouterr().err) != is_plain


@pytest.mark.parametrize(("code", "message"), [(3, "exit code 3"), (0, "left no checkpoints")])
def test_a_training_that_leaves_no_run_is_one_line(
    code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kept_runs import trained

    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match=message):
        trained("resnet34", WORDS, tmp_path, BEST)
    [command] = commands
    assert command[1:] == [*COMMAND[1:], f"trainer.default_root_dir={tmp_path}"]


def test_the_options_of_each_script_are_those_of_a_training(tmp_path: Path) -> None:
    import compare_runtimes
    import reproduce_source_report

    from src.cli import grammar

    for words in (compare_runtimes.training("resnet34"), reproduce_source_report.TRAINING):
        assert "--data.image_size=224" in grammar.translate(
            ["model=resnet34", *words], ROOT / "configs"
        )
