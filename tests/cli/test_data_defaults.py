"""Options of the data that a checkpoint's training decides: the input, and the splits."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from src.data.dataset_module import DatasetModule
from src.data.datasets.digits import DigitsDataset
from src.errors import UsageError
from src.run.folder import Run
from tests.cli.test_app import parse

DIGITS = "src.data.datasets.digits.Digits"
FOLDER = "src.data.datasets.image_folder.ImageFolder"
TRAINED = {"image_size": 96, "crop_share": 0.9, "noise": 0.25, "split_seed": 3}
pytestmark = pytest.mark.usefixtures("elsewhere")


@dataclass(eq=False)
class OwnDataset(DigitsDataset):
    file: str = ""
    shares: tuple[float, float] = (0.1, 0.2)
    is_mirrored: bool = False


class Own(DatasetModule, dataset=OwnDataset):
    pass


def make_run(model: str = "resnet34", class_path: str = DIGITS, **options: object) -> Run:
    run = Run(Path("lightning_logs", model, "version_0").resolve())
    run.last_checkpoint.parent.mkdir(parents=True)
    for file in (run.last_checkpoint, run.best_checkpoint):
        file.touch()
    data = {"class_path": class_path, "init_args": {**TRAINED, **options}}
    run.config.write_text(yaml.safe_dump({"data": data}))
    return run


def data_of(*words: str) -> Any:
    return parse(*words).data.init_args


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
@pytest.mark.parametrize("path", ["best", "last", "folder", "file"])
def test_an_evaluation_takes_input_and_splits_of_the_training(
    command: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(mean=[0.1, 0.2, 0.3])
    named = {"folder": str(run.folder), "file": str(run.best_checkpoint)}.get(path, path)
    options = data_of(command, "data.batch_size=7", f"ckpt_path={named}")
    assert {name: options[name] for name in TRAINED} == TRAINED
    assert (tuple(options.mean), options.batch_size) == ((0.1, 0.2, 0.3), 7)
    told = capsys.readouterr().out
    assert "as in the training: data.image_size=96" in told
    assert "data.mean=[0.1,0.2,0.3]" in told


def test_what_the_user_sets_stays_and_the_difference_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_run()
    options = data_of("test", "data.image_size=64", "data.noise=0", "ckpt_path=best")
    assert (options.image_size, options.noise, options.split_seed) == (64, 0, 3)
    told = capsys.readouterr().out
    note = "note: data.image_size=64 data.noise=0.0, but the training had data.image_size=96 "
    assert note in told


def test_an_evaluation_on_other_data_takes_the_input_only() -> None:
    make_run()
    Path("photos").mkdir()
    options = data_of("test", "data=image_folder", "data.root=photos", "ckpt_path=best")
    assert (options.image_size, options.crop_share) == (96, 0.9)
    assert options.split_seed == 0


@pytest.mark.parametrize("path", ["last", "folder", "file"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_training_with_another_input_or_other_splits_does_not_go_on(name: str, path: str) -> None:
    run = make_run()
    named = {"folder": str(run.folder), "file": str(run.best_checkpoint)}.get(path, path)
    others = [f"data.{other}={value}" for other, value in TRAINED.items() if other != name]
    expected = rf"^data\.{name}: expected {TRAINED[name]}, .* set data\.{name}={TRAINED[name]}, or"
    with pytest.raises(UsageError, match=expected):
        parse("fit", *others, f"ckpt_path={named}")
    assert parse("fit", *others, f"data.{name}={TRAINED[name]}", f"ckpt_path={named}")


def test_a_new_training_and_one_from_weights_have_their_own_options() -> None:
    run = make_run()
    assert data_of("fit").image_size == 64
    assert data_of("fit", f"model.weights={run.best_checkpoint}").image_size == 64


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["model=densenet121"], "densenet121"),
        (["model=resnet34", "model.width=0.5"], "resnet34_x0.5"),
        (["model=timm/resnet18"], "timm_resnet18"),
    ],
)
def test_the_run_is_that_of_the_model(words: list[str], name: str) -> None:
    make_run()  # of another model
    make_run(name, image_size=80)
    assert data_of("test", *words, "ckpt_path=best").image_size == 80


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": [96]},
        {"image_size": {"a": 1}},
        {"image_size": True},
        {"mean": ["a", "b", "c"]},
        {"mean": [0.1]},
        {"resize": "other"},
        {"interpolation": ["bilinear"]},
    ],
)
def test_what_cannot_be_an_option_is_left_to_the_command_that_reads_the_run(
    changes: dict[str, object],
) -> None:
    make_run(**changes)
    [name] = changes
    assert data_of("test", "ckpt_path=best")[name] == data_of("fit")[name]


@pytest.mark.parametrize("content", ["", "data: []", "data: {class_path: 3}", "[", "data: {}"])
def test_a_damaged_configuration_is_left_to_the_command_that_reads_the_run(content: str) -> None:
    run = make_run()
    run.config.write_text(content)
    assert data_of("test", "ckpt_path=best").image_size == 64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train_images", "abc"),
        ("train_images", [1]),
        ("noise", True),
        ("noise", {"class_path": "os.path"}),
        ("split_seed", "x"),
        ("other", 3),
    ],
)
def test_what_the_data_set_does_not_take_is_not_adopted(name: str, value: object) -> None:
    make_run(**{name: value})
    assert data_of("test", "ckpt_path=best").get(name) == data_of("fit").get(name)


IN_FOLDER = {"val_share": 0.2, "test_share": 0.3, "root": "photos", "verify": True}


@pytest.mark.parametrize("has_record", [True, False])
def test_the_shares_of_a_training_hold_where_it_recorded_no_splits(
    has_record: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(class_path=FOLDER, **IN_FOLDER)
    if has_record:
        run.split_record.touch()
    for name in ("photos", "moved"):
        Path(name).mkdir()
    words = ["data=image_folder", "data.root=moved", "ckpt_path=last"]
    options = data_of("test", *words)
    expected = (0.1, 0.2) if has_record else (0.2, 0.3)
    assert (options.val_share, options.test_share) == expected
    assert (options.root, options.verify, options.split_seed) == ("moved", None, 3)
    assert ("data.test_share=0.3" in capsys.readouterr().out) != has_record
    training = ["fit", *words, "data.image_size=96", "data.crop_share=0.9", "data.split_seed=3"]
    if has_record:
        assert parse(*training)
        return
    with pytest.raises(UsageError, match=r"set data\.test_share=0\.3 data\.val_share=0\.2, or"):
        parse(*training)
    assert parse(*training, "data.val_share=0.2", "data.test_share=0.3")


def test_each_option_of_a_list_that_decides_its_images_holds() -> None:
    stored = {"split_column": "fold", "label_column": ["a", "b"], "group_column": "patient"}
    make_run(class_path="src.data.datasets.csv_file.CSVFile", file="a.csv", num_workers=3, **stored)
    Path("b.csv").touch()
    options = data_of("test", "data=csv", "data.file=b.csv", "ckpt_path=best")
    assert {name: options[name] for name in stored} == stored
    assert (options.file, options.num_workers) == ("b.csv", None)
    typed = ["data.label_column=label", "data.split_column=null"]
    options = data_of("test", "data=csv", "data.file=b.csv", "ckpt_path=best", *typed)
    assert (options.label_column, options.split_column) == ("label", None)
    assert options.group_column == "patient"


def test_the_options_of_a_data_set_of_the_users_own_hold() -> None:
    own = f"{__name__}.Own"
    make_run(class_path=own, file="a.npz", shares=[0.2, 0.3], is_mirrored=True)
    words = [f"--data={own}", "--data.file=b.npz", "ckpt_path=best"]
    options = data_of("test", *words)
    assert (options.file, tuple(options.shares), options.is_mirrored) == ("b.npz", (0.2, 0.3), True)
    training = ["fit", *words, *(f"data.{name}={value}" for name, value in TRAINED.items())]
    with pytest.raises(
        UsageError, match=r"set data\.is_mirrored=true data\.shares=\[0\.2,0\.3\], or"
    ):
        parse(*training)
    assert parse(*training, "data.shares=[0.2,0.3]", "data.is_mirrored=true")


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_an_evaluation_of_a_checkpoint_outside_all_runs_says_so(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    shutil.copy(run.best_checkpoint, "copy.ckpt")
    assert data_of(command, "ckpt_path=copy.ckpt").image_size == 64
    note = "note: copy.ckpt is in no run folder, so the input and the splits are those of the"
    assert note in capsys.readouterr().out
    data_of(command, "ckpt_path=none.ckpt")  # which is refused later
    data_of("fit", "ckpt_path=copy.ckpt")
    data_of(command, "ckpt_path=best", "model=densenet121")
    assert "note:" not in capsys.readouterr().out


def test_an_evaluation_of_a_run_with_a_damaged_configuration_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run()
    run.config.write_text("data: []")
    data_of("test", "ckpt_path=best")
    assert f"note: {run.config} is damaged, so the input and" in capsys.readouterr().out


def test_a_run_from_another_folder_of_the_project_is_the_same_data_set() -> None:
    make_run(class_path="src.data.digits.Digits")  # where older versions had it
    assert data_of("test", "ckpt_path=best").split_seed == 3
