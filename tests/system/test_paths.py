"""Paths as users type them: ``~`` and paths relative to another folder."""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from src import data as data_package
from src.bundle.options import BundleOptions
from src.cli import grammar, run_selection
from src.cli.commands.compare import main as compare
from src.cli.commands.data import check
from src.cli.data_command import parse_data
from src.cli.rollback import RunRollback
from src.cli.run_lock import RunLock
from src.cli.stage_command import data_paths, parse, parse_with_operands
from src.data.cache.policy import Cache
from src.data.dataset_module import DatasetModule
from src.data.datasets.cifar10 import CIFAR10Data
from src.data.datasets.csv_file import CSVFile
from src.data.datasets.image_folder import ImageFolder
from src.data.datasets.pets import PetsData
from src.data.images import ImageDataModule
from src.data.pipeline.image_files import ImageFiles
from src.data.restore import PATHS, data_of
from src.errors import UsageError
from src.export.options import ExportOptions
from src.predict.options import PredictOptions
from src.run import folder as runs
from src.run import started_in
from src.run.folder import Run
from src.system import paths
from tests.cli.test_app import parse as parse_training
from tests.conftest import CONFIGS, ROOT
from tests.support.tiny_classifier import TinyNet


def typed(stage: Callable[[], Any], *words: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", *words])
        return stage()


EXPANDED: dict[str, Callable[[Path], object]] = {
    "data.root": lambda _: parse_training("data=image_folder", "data.root=~/x").data.init_args.root,
    "data.file": lambda _: parse_training("data=csv", "data.file=~/x").data.init_args.file,
    "data.cache_dir": lambda _: parse_training("data.cache_dir=~/x").data.init_args.cache_dir,
    "default_root_dir": lambda _: (
        parse_training("trainer.default_root_dir=~/x").trainer.default_root_dir
    ),
    "model.weights": lambda _: parse_training("model.weights=~/x").model.init_args.weights,
    "ckpt_path": lambda _: parse_training("ckpt_path=~/x").ckpt_path,
    "a logger's folder": lambda _: (
        parse_training(
            "trainer.logger=lightning.pytorch.loggers.CSVLogger", "trainer.logger.save_dir=~/x"
        ).trainer.logger.init_args.save_dir
    ),
    "src.data": lambda _: parse_data(["data=image_folder", "data.root=~/x"]).source.folder,  # type: ignore[attr-defined]
    "a data set of images": lambda _: ImageFolder("~/x").source.folder,
    "a CSV file": lambda _: CSVFile("~/x").source.path,
    "the root of a CSV file": lambda _: CSVFile("labels.csv", root="~/x").source.folder,
    "a published data set": lambda _: PetsData("~/x").source.folder,
    "CIFAR": lambda _: CIFAR10Data("~/x").source.folder,
    "--config": lambda _: grammar.translate(["--config", "~/x"], CONFIGS)[-1].split("=")[1],
    "--config=": lambda _: grammar.translate(["--config=~/x"], CONFIGS)[-1].split("=")[1],
    "RUN": lambda _: Run.open("~/run").folder.with_name("x"),
    "RUN of a stage": lambda _: typed(
        lambda: parse("export", None, ExportOptions)[0].folder.with_name("x"), "~/run"
    ),
    "an image": lambda _: typed(
        lambda: parse_with_operands("IMAGE", "predict", None, PredictOptions)[1][0], "~/run", "~/x"
    ),
    "output": lambda _: Path(
        typed(
            lambda: parse_with_operands("IMAGE", "predict", None, PredictOptions)[2].output or "",
            *("~/run", "image", "output=~/x.csv"),
        )
    ).with_suffix(""),
    "-o": lambda _: Path(
        typed(lambda: parse("bundle", None, BundleOptions)[1].output, "~/run", "-o", "~/x.zip")
    ).with_suffix(""),
}


@pytest.mark.parametrize("name", EXPANDED)
def test_a_tilde_is_the_home_folder(home: Path, name: str) -> None:
    assert str(EXPANDED[name](home)) == str(home / "x")
    assert not Path("~").exists()


# Options whose value is a shell variable without a value.
EMPTY: dict[str, Callable[[Path], object]] = {
    "data.root": lambda _: ImageFolder(""),
    "data.file": lambda _: CSVFile(""),
    "data.root of a CSV file": lambda _: CSVFile("labels.csv", root=""),
    "data.root of a published data set": lambda _: PetsData(""),
    "data.root of CIFAR": lambda _: CIFAR10Data(""),
    "data.root of src.data": lambda _: parse_data(["data=image_folder", "data.root="]),
    "data.cache_dir": lambda home: Cache("disk", "", None).keep(
        "train",
        ImageFiles([str(next(home.rglob("*.png")))], [0]),
        np.arange(1),
        skip_unreadable=False,
        processes=1,
    ),
    "model.weights": lambda _: TinyNet(weights=""),
    "ckpt_path": lambda _: run_selection.open_run(
        run_selection.RunRequest(Path(), TinyNet(), "fit", "", is_trial=False),
        RunRollback(),
        RunLock(),
    ),
    "RUN": lambda _: Run.open(""),
    "data.root of a moved run": lambda _: data_paths({"root": ""}),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_path_is_not_the_working_folder(home: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        EMPTY[name](home)
    assert str(caught.value) == (
        f"{name.partition(' ')[0]}: expected a path; found nothing; write . for this folder, or "
        "give the variable of the shell a value"
    )


@pytest.mark.parametrize("text", [".", "./", "x", "~"])
def test_a_path_that_is_there_is_not_refused(text: str, home: Path) -> None:
    assert paths.user_path(text) == Path(text.replace("~", str(home)))


def test_a_tilde_in_a_configuration_file_is_the_home_folder(home: Path) -> None:
    content = {"data": {"class_path": "ImageFolder", "init_args": {"root": "~/photos"}}}
    (home / "mine.yaml").write_text(yaml.safe_dump(content))
    config = parse_training("--config", "~/mine.yaml")
    assert config.data.init_args.root == str(home / "photos")


def test_reading_and_writing_functions_expand_a_tilde(home: Path) -> None:
    assert CSVFile("~/labels.csv", root="~/photos").class_names == ["cat", "dog"]
    check(["data=image_folder", "data.root=~/photos", "data.image_size=8", "sheet=~/sheet.png"])
    assert (home / "sheet.png").is_file()
    torch.save({"state_dict": {"x": torch.zeros(1)}}, home / "x.pt")
    from src.models.resnet34 import ResNet34

    with pytest.raises(UsageError, match=rf"model\.weights: .*found {home}/x\.pt"):
        ResNet34(["cat", "dog"], weights="~/x.pt")
    pictures = ImageFiles(sorted(map(str, (home / "photos" / "cat").iterdir())), [0] * 10)
    cache = Cache("disk", "~/cache", None)
    cache.keep("train", pictures, np.arange(2), skip_unreadable=False, processes=1)
    assert (home / "cache").is_dir()
    with pytest.raises(UsageError, match=rf"RUN: .*found {home}/nothing"):
        compare(["~/nothing"])
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("text", ["~nobody-of-that-name/photos", "~nobody-of-that-name/a/b.csv"])
def test_a_tilde_with_an_unknown_user_is_refused_by_option_name(home: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"data\.root: expected ~ for a home folder that is known"):
        parse_training("data=image_folder", f"data.root={text}")
    with pytest.raises(UsageError, match=r"trainer\.default_root_dir"):
        parse_training(f"trainer.default_root_dir={text}")
    # An ordinary file name, because it has no slash.
    assert paths.expand("~nobody-of-that-name") == "~nobody-of-that-name"


def test_an_existing_folder_whose_name_starts_with_a_tilde_is_used(home: Path) -> None:
    (Path("~old-ones") / "photos").mkdir(parents=True)
    assert paths.expand("~old-ones/photos") == "~old-ones/photos"


# Relative paths of a training, when a stage is started in another folder.


def trained(folder: Path, root_dir: Path, **options: str) -> Run:
    """Return a run of a training that was started in ``folder``."""
    run = runs.create(root_dir, "resnet34")
    data = {"class_path": "src.data.datasets.image_folder.ImageFolder", "init_args": options}
    run.config.write_text(yaml.safe_dump({"data": data}))
    started_in.note(run, folder)
    return run


def unchanged(folder: Path, run: Run) -> Run:
    return run


def moved_with_the_data(folder: Path, run: Run) -> Run:
    moved = folder.rename(folder.with_name("moved"))
    return Run(moved / run.folder.relative_to(folder))


def copied_without_the_data(folder: Path, run: Run) -> Run:
    os.chdir(folder)  # relative paths are then looked up in the working folder
    return Run(Path(shutil.copytree(run.folder, folder.parent / "copy" / "version_0")))


def without_the_started_in_file(folder: Path, run: Run) -> Run:
    run.started_in_file.unlink()  # as in a run of an earlier version
    return run


@pytest.mark.parametrize(
    "change", [unchanged, moved_with_the_data, copied_without_the_data, without_the_started_in_file]
)
def test_a_relative_root_is_found_from_another_folder(
    home: Path, change: Callable[[Path, Run], Run]
) -> None:
    run = change(home, trained(home, home, root="photos", cache="disk", cache_dir="."))
    assert data_of(run).class_names == ["cat", "dog"]


def test_an_empty_cache_dir_of_an_earlier_run_is_the_default(home: Path) -> None:
    run = trained(home, home, root="photos", cache="disk", cache_dir="")
    data = data_of(run)
    assert isinstance(data, ImageDataModule)
    assert data.loading.cache_dir is None


@pytest.mark.parametrize("linked", [False, True])
def test_a_relative_root_is_found_for_a_run_on_another_disk(home: Path, linked: bool) -> None:
    scratch = home.parent / "scratch"
    scratch.mkdir()
    root = scratch
    if linked:
        root = home / "logs"
        root.symlink_to(scratch)
    assert data_of(trained(home, root, root="photos")).class_names == ["cat", "dog"]


def test_an_absolute_root_is_not_changed(home: Path) -> None:
    run = trained(home.parent, home, root=str(home / "photos"))
    assert data_of(run).class_names == ["cat", "dog"]


def test_a_missing_relative_root_is_named_with_the_folder_of_the_training(home: Path) -> None:
    run = trained(home, home, root="gone")
    with pytest.raises(UsageError, match=rf"data\.root: .*found {home}/gone"):
        _ = data_of(run).class_names


def test_every_text_option_of_a_data_set_is_a_known_path_or_no_path() -> None:
    """Every new text option must be listed in PATHS, or here as no path."""
    for file in Path(str(data_package.__file__)).parent.rglob("*.py"):
        name = file.relative_to(ROOT).with_suffix("")
        importlib.import_module(".".join(name.parts))
    no_paths = {"path_column", "label_column", "split_column", "group_column"}
    pending = [DatasetModule]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        for name, parameter in inspect.signature(kind).parameters.items():
            if parameter.annotation in {str, str | None} and name not in no_paths:
                assert name in PATHS, f"{kind.__name__}.{name}"
