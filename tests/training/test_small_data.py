"""Small data sets, images and batches on the command line: trained on, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli import app
from src.cli.entry_point import run_command
from src.run.folder import Run
from tests.data.datasets.test_image_folder import fill
from tests.data.test_folder_walk import mixed
from tests.support.small_network import NAME, WORDS

SHORT = (
    *("data=image_folder", "data.root=photos", "data.num_workers=0", "trainer.max_epochs=1"),
    *("trainer.num_sanity_val_steps=0", "trainer.precision=32", "trainer.log_every_n_steps=1"),
    *("export.enabled=false", "benchmark.enabled=false", "profiler=none"),
    "trainer.enable_progress_bar=false",
)
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("elsewhere")]


def train(*words: str) -> int:
    """Run a training; return its exit code."""
    try:
        run_command(lambda: app.main([*words, *SHORT]))
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def write_images(*folders: str, count: int) -> None:
    for seed, name in enumerate(folders):
        fill(Path("photos") / name, count, seed)


REFUSED = {
    "model=resnet34 data.image_size=32 data.batch_size=1": "data.batch_size: expected at least 2",
    "model=densenet121 data.image_size=28": "data.image_size: expected images that densenet121",
    "model=convnext_t data.image_size=28": "data.image_size: expected images that convnext_t takes",
    "model=efficientnet_b0 data.image_size=16 data.batch_size=1": "data.batch_size: expected at",
    "model=resnet34 data.image_size=0": "data.image_size: expected a positive number",
    "model=resnet34 data.batch_size=-3": "data.batch_size: expected a positive number",
}


@pytest.mark.parametrize("words", REFUSED)
def test_inputs_that_the_network_rejects_are_reported_and_leave_no_run(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images("cat", "dog", count=6)
    assert train(*words.split()) == 2
    printed = capsys.readouterr().err
    [line] = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {REFUSED[words]}")
    assert "Traceback" not in printed
    assert not list(Path().glob("lightning_logs/*/version_*"))


# Class folders, images in each, and options of the training.
SMALL = {
    "a batch larger than the set": (("cat", "dog"), 6, "data.batch_size=500 data.image_size=28"),
    "three images of each class": (("ant", "bee", "cow"), 3, "data.batch_size=32"),
    "one image more than full batches": (("cat", "dog"), 8, "data.batch_size=3"),
    "a batch of one": (("cat", "dog"), 4, "data.batch_size=1 data.image_size=64"),
}


@pytest.mark.parametrize(
    "name",
    [
        *("three images of each class", "one image more than full batches"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("a batch larger than the set", "a batch of one")
        ),
    ],
)
def test_small_data_sets_can_be_trained_on(name: str) -> None:
    folders, count, words = SMALL[name]
    write_images(*folders, count=count)
    assert train(*WORDS, "data.image_size=32", *words.split()) == 0
    assert Run(Path(f"lightning_logs/{NAME}/version_0")).best_checkpoint.is_file()


def test_the_default_network_can_be_trained_by_default() -> None:
    write_images("ant", "bee", "cow", count=3)
    assert train("data.image_size=32") == 0
    assert Run(Path("lightning_logs/resnet34/version_0")).best_checkpoint.is_file()


def test_a_training_set_of_one_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_images("train/cat", count=1)
    write_images("val/cat", count=2)
    assert train("model=resnet34", "data.image_size=32") == 2
    assert "error: data.root: expected at least 2 classes" in capsys.readouterr().err


def test_training_prints_the_files_that_it_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    mixed(Path("photos").absolute())
    assert train(*WORDS, "data.image_size=32", "trainer.limit_train_batches=1") == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("passed over ")] == [
        "passed over 6 of 48 files in photos: 2 .h5, 2 .pdf, 2 HEIC; "
        "install pillow-heif to read HEIC, or convert the file to JPEG"
    ]


def test_training_prints_that_validation_is_a_link_to_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_images("train/cat", "train/dog", "test/cat", "test/dog", count=4)
    Path("photos/val").symlink_to("train")
    words = (*WORDS, "data.image_size=32", "data.batch_size=4", "trainer.limit_train_batches=1")
    assert train(*words) == 0
    leak = "8 of 8 images of val are in train too"
    assert leak in capsys.readouterr().out
    evaluation = [word for word in SHORT if word.startswith(("data", "trainer.precision"))]
    app.main(["test", *words[:3], *evaluation, "ckpt_path=best"])
    assert leak not in capsys.readouterr().out


def test_images_too_small_for_the_network_are_refused_in_test_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_images("cat", "dog", count=6)
    model = "model=torchvision/squeezenet1_1"
    network = (model, "data.image_size=32", "data.batch_size=4")
    assert train(*network, "trainer.limit_train_batches=1") == 0
    words = ("data=image_folder", "data.root=photos", "data.num_workers=0", "ckpt_path=best")
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: app.main(["test", model, "data.image_size=8", *words]))
    assert caught.value.code == 2
    expected = "error: data.image_size: expected images that squeezenet1_1 takes"
    assert expected in capsys.readouterr().err


def test_images_that_are_added_after_a_training_are_not_tested(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_images("cat", "dog", count=10)
    network = (*WORDS, "data.image_size=32", "data.batch_size=4")
    assert train(*network, "trainer.limit_train_batches=1") == 0
    write_images("!new", count=3)
    for image in Path("photos/!new").glob("*.png"):
        image.rename(f"photos/cat/!{image.name}")  # the first of the class
    Path("photos/!new").rmdir()
    note = "the splits are those of the training: 3 newer images are left out (3 in cat)"
    capsys.readouterr()
    assert train(*network, "trainer.max_epochs=2", "ckpt_path=last") == 0
    assert note in capsys.readouterr().out.splitlines()
    words = ("data=image_folder", "data.root=photos", "data.num_workers=0", "ckpt_path=best")
    app.main(["test", *network, *words])
    assert note in capsys.readouterr().out.splitlines()
    write_images("owl", count=3)
    assert train(*network, "ckpt_path=last") == 2
