"""Names as people have them: ``~``, bytes that are no UTF-8, and paths from another folder."""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import json
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
from src.cli import grammar
from src.cli.commands.compare import main as compare
from src.cli.commands.data import check
from src.cli.entry_point import run_command
from src.cli.stage_command import parse, parse_data, parse_with
from src.compare.collection import collect
from src.data.cache.policy import Cache
from src.data.dataset_module import DatasetModule
from src.data.datasets.cifar10 import CIFAR10Data
from src.data.datasets.csv_file import CSVFile
from src.data.datasets.image_folder import ImageFolder
from src.data.datasets.pets import PetsData
from src.data.pipeline.image_files import ImageFiles
from src.data.restore import PATHS, data_of
from src.errors import UsageError, printable
from src.export.options import ExportOptions
from src.predict.options import PredictOptions
from src.predict.output import open_writer
from src.predict.stage import Prediction
from src.run import folder as runs
from src.run import started_in
from src.run.folder import Run
from src.system import atomic_files, paths
from tests.cli.test_app import parse as parse_training
from tests.conftest import CONFIGS, ROOT
from tests.data.datasets.test_image_folder import fill

BAD = "caf\udce9"  # as Python has the bytes of café in Latin-1


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with photos, a list of them, weights and a run; the user is elsewhere."""
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    for seed, name in enumerate(("cat", "dog")):
        fill(home / "photos" / name, 10, seed)
    names = sorted((home / "photos" / "cat").iterdir())
    (home / "labels.csv").write_text(
        "path,label\n"
        + "".join(f"{name}/{file.name},{name}\n" for name in ("cat", "dog") for file in names)
    )
    (home / "run").mkdir()
    (home / "run" / "config.yaml").write_text("{}")
    return home


def typed(stage: Callable[[], Any], *words: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", *words])
        return stage()


HOMELY: dict[str, Callable[[Path], object]] = {
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
        lambda: parse_with("IMAGE", "predict", None, PredictOptions)[1][0], "~/run", "~/x"
    ),
    "output": lambda _: Path(
        typed(
            lambda: parse_with("IMAGE", "predict", None, PredictOptions)[2].output or "",
            *("~/run", "image", "output=~/x.csv"),
        )
    ).with_suffix(""),
    "-o": lambda _: Path(
        typed(lambda: parse("bundle", None, BundleOptions)[1].output, "~/run", "-o", "~/x.zip")
    ).with_suffix(""),
}


@pytest.mark.parametrize("name", HOMELY)
def test_a_tilde_is_the_home_folder(home: Path, name: str) -> None:
    assert str(HOMELY[name](home)) == str(home / "x")
    assert not Path("~").exists()


def test_a_tilde_in_a_configuration_file_is_the_home_folder(home: Path) -> None:
    content = {"data": {"class_path": "ImageFolder", "init_args": {"root": "~/photos"}}}
    (home / "mine.yaml").write_text(yaml.safe_dump(content))
    config = parse_training("--config", "~/mine.yaml")
    assert config.data.init_args.root == str(home / "photos")


def test_a_tilde_is_taken_by_what_reads_and_writes(home: Path) -> None:
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
def test_a_user_that_does_not_exist_is_named(home: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"data\.root: expected ~ for a home folder that is known"):
        parse_training("data=image_folder", f"data.root={text}")
    with pytest.raises(UsageError, match=r"trainer\.default_root_dir"):
        parse_training(f"trainer.default_root_dir={text}")
    assert paths.expand("~nobody-of-that-name") == "~nobody-of-that-name"  # a name as any other


def test_what_only_begins_like_a_home_folder_and_is_there_is_meant(home: Path) -> None:
    (Path("~old-ones") / "photos").mkdir(parents=True)
    assert paths.expand("~old-ones/photos") == "~old-ones/photos"


# A training's relative paths, from wherever a stage is started.


def trained(folder: Path, root_dir: Path, **options: str) -> Run:
    """A run of a training that was started in ``folder``."""
    run = runs.create(root_dir, "resnet34")
    data = {"class_path": "src.data.datasets.image_folder.ImageFolder", "init_args": options}
    run.config.write_text(yaml.safe_dump({"data": data}))
    started_in.note(run, folder)
    return run


def stays(folder: Path, run: Run) -> Run:
    return run


def moves_with_all(folder: Path, run: Run) -> Run:
    moved = folder.rename(folder.with_name("moved"))
    return Run(moved / run.folder.relative_to(folder))


def is_copied_alone(folder: Path, run: Run) -> Run:
    os.chdir(folder)  # then the working folder tells
    return Run(Path(shutil.copytree(run.folder, folder.parent / "copy" / "version_0")))


def forgets_where(folder: Path, run: Run) -> Run:
    run.started_in_file.unlink()  # as one of an earlier version
    return run


@pytest.mark.parametrize("change", [stays, moves_with_all, is_copied_alone, forgets_where])
def test_a_relative_root_is_found_from_another_folder(
    home: Path, change: Callable[[Path, Run], Run]
) -> None:
    run = change(home, trained(home, home, root="photos", cache="disk", cache_dir="."))
    assert data_of(run).class_names == ["cat", "dog"]


@pytest.mark.parametrize("linked", [False, True])
def test_it_is_found_for_a_run_that_is_kept_elsewhere(home: Path, linked: bool) -> None:
    scratch = home.parent / "scratch"
    scratch.mkdir()
    root = scratch
    if linked:
        root = home / "logs"
        root.symlink_to(scratch)
    assert data_of(trained(home, root, root="photos")).class_names == ["cat", "dog"]


def test_an_absolute_root_stays(home: Path) -> None:
    run = trained(home.parent, home, root=str(home / "photos"))
    assert data_of(run).class_names == ["cat", "dog"]


def test_a_root_that_is_nowhere_is_named_where_it_was(home: Path) -> None:
    run = trained(home, home, root="gone")
    with pytest.raises(UsageError, match=rf"data\.root: .*found {home}/gone"):
        _ = data_of(run).class_names


def test_every_path_of_a_data_set_is_known_as_one() -> None:
    """A new option that is text is either a path, and found from anywhere, or said to be none."""
    for file in Path(str(data_package.__file__)).parent.rglob("*.py"):
        name = file.relative_to(ROOT).with_suffix("")
        importlib.import_module(".".join(name.parts))
    no_paths = {"path_column", "label_column", "split_column"}
    pending = [DatasetModule]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        for name, parameter in inspect.signature(kind).parameters.items():
            if parameter.annotation in {str, str | None} and name not in no_paths:
                assert name in PATHS, f"{kind.__name__}.{name}"


# Names that are not UTF-8.


@pytest.fixture
def badly_named(home: Path) -> Path:
    """The photos, each second one with a name that is not UTF-8."""
    for folder in (home / "photos").iterdir():
        for number, path in enumerate(sorted(folder.iterdir())):
            if number % 2:
                path.rename(path.with_name(f"{BAD} {number}.png"))
    return home / "photos"


@pytest.mark.parametrize("options", [{}, {"cache": "memory"}, {"cache": "disk", "cache_dir": "."}])
def test_a_training_reads_pictures_of_any_name(badly_named: Path, options: Any) -> None:
    module = ImageFolder(str(badly_named), image_size=8, batch_size=4, num_workers=0, **options)
    module.prepare_data()
    assert sum(len(labels) for _, labels in module.train_dataloader()) >= 12
    assert sum(len(labels) for _, labels in module.val_dataloader()) == module.count("val")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_check_of_the_data_prints_names_of_any_bytes(
    badly_named: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    dogs = badly_named / "dog"
    (badly_named / "cat" / f"{BAD}.png").write_bytes(b"nothing")
    for number in range(9):  # the same picture in two splits, by its name
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
def test_predictions_name_pictures_of_any_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answers{suffix}"
    problem = UsageError(f"{BAD}.png", expected="an image", found="none", remedy="replace it")
    with open_writer(path, ["cat", "dog"], 1) as write:
        write(Prediction(Path(f"{BAD}.png"), np.array([0.25, 0.75])))
        write(Prediction(Path(f"{BAD}.png"), None, problem))
    with path.open(encoding="utf-8", newline="") as file:
        rows = json.load(file) if suffix == ".json" else list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [r"caf\udce9.png"] * 2
    assert rows[1]["error"].startswith(r"caf\udce9.png: expected an image")


def test_text_of_any_bytes_is_written(tmp_path: Path) -> None:
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


def test_a_picture_on_the_command_line_may_have_any_name(home: Path) -> None:
    words = ("~/run", f"~/photos/{BAD}.png", f"{BAD}=1.png")
    Path(words[2]).touch()
    read = typed(lambda: parse_with("IMAGE", "predict", None, PredictOptions)[1], *words)
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


def test_a_training_started_in_a_folder_of_any_name_finds_its_data(home: Path) -> None:
    work = home / BAD
    (home / "photos").rename(work)
    run = trained(work, home, root=".")
    assert os.fsencode(BAD) in run.started_in_file.read_bytes()
    os.chdir(work)
    assert data_of(run).class_names == ["cat", "dog"]
