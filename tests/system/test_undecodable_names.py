"""Names of files and folders that are not UTF-8."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.cli import grammar
from src.cli.commands.data import check
from src.cli.entry_point import run_command
from src.cli.stage_command import parse_with_operands
from src.compare.collection import collect
from src.data.datasets.image_folder import ImageFolder
from src.data.restore import data_of
from src.errors import UsageError, printable
from src.predict.options import PredictOptions
from src.predict.output import open_writer
from src.predict.stage import Prediction
from src.run import folder as runs
from src.run.folder import Run
from src.system import atomic_files
from tests.conftest import CONFIGS
from tests.system.test_paths import trained, typed

BAD = "caf\udce9"  # Python's form of the bytes of café in Latin-1


@pytest.fixture
def badly_named(home: Path) -> Path:
    """Return the folder of images, in which every second name is not UTF-8."""
    for folder in (home / "photos").iterdir():
        for number, path in enumerate(sorted(folder.iterdir())):
            if number % 2:
                path.rename(path.with_name(f"{BAD} {number}.png"))
    return home / "photos"


@pytest.mark.parametrize("options", [{}, {"cache": "memory"}, {"cache": "disk", "cache_dir": "."}])
def test_a_training_reads_images_whose_names_are_not_utf8(badly_named: Path, options: Any) -> None:
    module = ImageFolder(str(badly_named), image_size=8, batch_size=4, num_workers=0, **options)
    module.prepare_data()
    assert sum(len(labels) for _, labels in module.train_dataloader()) >= 12
    assert sum(len(labels) for _, labels in module.val_dataloader()) == module.count("val")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_data_check_prints_names_that_are_not_utf8(
    badly_named: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    dogs = badly_named / "dog"
    (badly_named / "cat" / f"{BAD}.png").write_bytes(b"nothing")
    for number in range(9):  # the same image in two splits, which are chosen by name
        shutil.copy(dogs / f"{BAD} 1.png", dogs / f"{number}{BAD}.png")
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding, write_through=True))
    with pytest.raises(SystemExit):
        run_command(
            lambda: check(["data=image_folder", f"data.root={badly_named}", "data.image_size=8"])
        )
    assert rb"caf\udce9.png: expected an image" in printed.getvalue()
    assert rb"caf\udce9 1.png" in printed.getvalue()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_predictions_escape_names_that_are_not_utf8(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answers{suffix}"
    problem = UsageError(f"{BAD}.png", expected="an image", found="none", remedy="replace it")
    with open_writer(path, ["cat", "dog"], 1) as write:
        write(Prediction(Path(f"{BAD}.png"), np.array([0.25, 0.75])))
        write(Prediction(Path(f"{BAD}.png"), None, problem))
    with path.open(encoding="utf-8", newline="") as file:
        rows = json.load(file) if suffix == ".json" else list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [r"caf\udce9.png"] * 2
    assert rows[1]["error"].startswith(r"caf\udce9.png: expected an image")


def test_text_that_is_not_utf8_is_written_with_escapes(tmp_path: Path) -> None:
    atomic_files.write_text(tmp_path / "command.txt", f"python -m src.predict RUN {BAD}")
    assert (tmp_path / "command.txt").read_text("utf-8").endswith(r"caf\udce9")
    assert printable(Path(BAD)) == r"caf\udce9"


def test_a_class_whose_name_is_not_utf8_is_refused_by_name(badly_named: Path) -> None:
    (badly_named / "cat").rename(badly_named / BAD)
    with pytest.raises(UsageError, match=r"data\.root: .*not UTF-8: 'caf\\udce9'; rename"):
        _ = ImageFolder(str(badly_named)).class_names


@pytest.mark.parametrize("words", [["data.root=" + BAD], ["--data.root=" + BAD]])
def test_an_option_that_is_not_utf8_is_refused_by_name(words: list[str]) -> None:
    with pytest.raises(
        UsageError, match=r"data\.root: expected a value in UTF-8; found caf\\udce9"
    ):
        grammar.translate(["data=image_folder", *words], CONFIGS)


def test_an_image_on_the_command_line_may_have_a_name_that_is_not_utf8(home: Path) -> None:
    words = ("~/run", f"~/photos/{BAD}.png", f"{BAD}=1.png")
    Path(words[2]).touch()
    read = typed(lambda: parse_with_operands("IMAGE", "predict", None, PredictOptions)[1], *words)
    assert read == [f"{home}/photos/{BAD}.png", words[2]]


def test_a_run_in_a_folder_that_is_not_utf8_is_refused_before_it_is_made(tmp_path: Path) -> None:
    root = tmp_path / BAD
    root.mkdir()
    with pytest.raises(UsageError, match=r"trainer\.default_root_dir: expected a path in UTF-8"):
        runs.create(root, "resnet34")
    assert list(root.iterdir()) == []
    (root / "config.yaml").touch()
    with pytest.raises(UsageError, match=r"RUN: expected a path in UTF-8"):
        Run.open(root)
    with pytest.raises(UsageError, match="RUN: expected a run with"):
        collect([str(root)])


def test_a_training_started_in_a_folder_that_is_not_utf8_finds_its_data(home: Path) -> None:
    work = home / BAD
    (home / "photos").rename(work)
    run = trained(work, home, root=".")
    assert os.fsencode(BAD) in run.started_in_file.read_bytes()
    os.chdir(work)
    assert data_of(run).class_names == ["cat", "dog"]
