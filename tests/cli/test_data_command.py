"""The command line of ``src.data`` has the forms and the one-line errors of a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli.commands import data as command
from src.cli.data_command import parse_data, place_of_run
from src.cli.entry_point import run_command
from src.data.datasets.digits import Digits
from src.data.datasets.image_folder import ImageFolder
from src.errors import UsageError

pytestmark = pytest.mark.usefixtures("elsewhere")

DIGITS = "data=digits"
FOLDER = ("data=image_folder", "data.root=photos")
MISTAKES: list[tuple[tuple[str, ...], str]] = [
    ((DIGITS, "data.batch_size=0"), "data.batch_size: expected a positive number; found 0"),
    ((DIGITS, "data.split_seed=-1"), "data.split_seed: expected a number from 0"),
    ((DIGITS, "data.cache_dir=x"), "data.cache_dir: expected data.cache=disk beside it"),
    ((DIGITS, "data.std=[0,1,1]"), "data.std: expected three numbers above 0"),
    ((DIGITS, "--data.num_workers", "-1"), "data.num_workers: expected a number of processes"),
    ((DIGITS, "data.mean=[1,2]"), "data.mean: expected tuple with 3 elements"),
    ((DIGITS, "data.batch_size=abc"), "data.batch_size: expected int; found abc"),
    ((DIGITS, "data.batchsize=3"), "did you mean data.batch_size?"),
    ((DIGITS, "batch_size=3"), "did you mean data.batch_size?"),
    ((*FOLDER, "data.val_share=0.7"), "data.val_share: expected "),
    (("data=image_folder",), "data.root: expected a value; found none"),
    (("data=digts",), "did you mean data=digits?"),
    (("data.batch_size=3",), "data: expected one of "),
    ((DIGITS, "model=resnet34"), "model: expected data=NAME and options of the data only"),
    ((DIGITS, "photos"), "see python -m src.data --help"),
    ((DIGITS, "test"), "found test; see python -m src.data --help"),  # it has no subcommands
    ((DIGITS, "data.batch_size=&a [*a]"), "data.batch_size: expected a plain value"),
    (("--config", "missing.yaml"), "missing.yaml (No such file or directory)"),
    (("--config=no_data.yaml",), "no_data.yaml without it"),
    (("--config=broken.yaml",), "--config: expected a YAML file of plain values"),
    (("--config",), "--config: expected "),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_in_the_options_of_the_data_is_one_line(
    words: tuple[str, ...], message: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "no_data.yaml").write_text("trainer: {max_epochs: 3}")
    (elsewhere / "broken.yaml").write_text("data: [")
    for name in ("cat", "dog"):
        (elsewhere / "photos" / name).mkdir(parents=True)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: command.check(words))
    assert ended.value.code == UsageError.exit_code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ("data=image_folder", "data.root=photos", "data.batch_size=7"),
        ("data=image_folder", "--data.root", "photos", "--data.batch_size=7"),
        ("--data.batch_size", "7", "--data.root=photos", "data=image_folder"),
        ("--config", "mine.yaml"),
        ("--config=mine.yaml", "data.batch_size=7"),
        ("--data", "ImageFolder", "data.root=photos", "data.batch_size=7"),
    ],
)
def test_options_of_the_data_have_the_forms_of_a_training(
    words: tuple[str, ...], elsewhere: Path
) -> None:
    (elsewhere / "mine.yaml").write_text(
        "trainer: {max_epochs: 3}\n"
        "data: {class_path: src.data.datasets.image_folder.ImageFolder,"
        " init_args: {root: photos, batch_size: 7}}\n"
    )
    module = parse_data(words)
    assert isinstance(module, ImageFolder)
    assert module.batch_size == 7
    assert Path(module.source.folder).name == "photos"  # type: ignore[attr-defined]


def test_a_value_on_the_line_wins_over_a_file(elsewhere: Path) -> None:
    file = elsewhere / "mine.yaml"
    file.write_text("data: {class_path: Digits, init_args: {batch_size: 7}}")
    for words in (
        ("data.batch_size=9", f"--config={file}"),
        ("--config", str(file), "data.batch_size=9"),
    ):
        module = parse_data(words)
        assert isinstance(module, Digits)
        assert module.batch_size == 9


@pytest.mark.parametrize("words", [["sheet=a.png"], ["--sheet=a.png"], ["--sheet", "a.png"]])
def test_the_place_of_the_contact_sheet_has_every_form(words: list[str]) -> None:
    assert command._split_sheets([*words, DIGITS]) == (["a.png"], [DIGITS])
    assert command._split_sheets([DIGITS, *words]) == (["a.png"], [DIGITS])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["runs/0"], ("runs/0", {})),
        (["runs/0", "data.root=there"], ("runs/0", {"root": "there"})),
        (["--data.file=a=b.csv", "runs/0"], ("runs/0", {"file": "a=b.csv"})),
        (["runs/0", "--data.root", "there"], ("runs/0", {"root": "there"})),
        (["runs/a=c/0"], ("runs/a=c/0", {})),
        (["lr=1/0", "data.root=a=b"], ("lr=1/0", {"root": "a=b"})),  # there is such a folder
        (["data=digits"], None),
        (["data.root=there"], None),
        (["runs/0", "runs/1"], None),
        (["runs/0", "data.val_share=0.2"], None),
        (["data=image_folder", "--data.root", "there"], None),
    ],
)
def test_a_run_and_the_place_of_its_data_are_told_from_options_of_a_data_set(
    words: list[str], expected: tuple[str, dict[str, str]] | None, elsewhere: Path
) -> None:
    (elsewhere / "lr=1" / "0").mkdir(parents=True)
    assert place_of_run(words) == expected
