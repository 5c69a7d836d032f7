"""Options of the data that a checkpoint's training decides: the input, and the splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from src.errors import UsageError
from src.run.folder import Run
from tests.cli.test_app import parse

DIGITS = "src.data.datasets.digits.Digits"
FOLDER = "src.data.datasets.image_folder.ImageFolder"
TRAINED = {"image_size": 96, "crop_share": 0.9, "noise": 0.25, "split_seed": 3}
pytestmark = pytest.mark.usefixtures("elsewhere")


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


def test_a_run_from_another_folder_of_the_project_is_the_same_data_set() -> None:
    make_run(class_path="src.data.digits.Digits")  # where older versions had it
    assert data_of("test", "ckpt_path=best").split_seed == 3
