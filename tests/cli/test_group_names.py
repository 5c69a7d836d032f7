"""Words in the place of a name of ``configs/``, as users of other tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli import data_sets, grammar, sweep
from src.cli.presets import nearest
from src.errors import UsageError
from tests.cli.test_app import parse
from tests.conftest import CONFIGS


@pytest.fixture(autouse=True)
def folder(elsewhere: Path) -> Path:
    for name in ("photos/cat", "lightning_logs/resnet34/version_0", "digits"):
        (elsewhere / name).mkdir(parents=True)
    (elsewhere / "my labels.csv").touch()
    (elsewhere / "convnext_t.yaml").touch()
    return elsewhere


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("data=photos", "write data=image_folder data.root=photos"),
        ("data=./photos/", r"write data=image_folder data.root=\./photos/"),
        ("data=/mnt/not/here", "write data=image_folder data.root=/mnt/not/here"),
        ("data=my labels.csv", "write data=csv data.file='my labels.csv'"),
        ("data=data.yaml", "a file of options is given by --config data.yaml"),
        ("model=my.yml", "a file of options is given by --config my.yml"),
        ("model=resnet34.yaml", r"did you mean model=resnet34\?"),
        ("experiment=finetune.yaml", r"did you mean experiment=finetune\?"),
        ("data=configs/data/cifar10.yml", r"did you mean data=cifar10\?"),
        ("model=convnext_t.yaml", r"a file of options is given by --config convnext_t\.yaml"),
        ("model=yolo11n-cls.pt", "name the network, and add model.weights=yolo11n-cls.pt"),
        ("model=runs/w.safetensors", "add model.weights=runs/w.safetensors to begin with it$"),
        ("model=last.ckpt", "model.weights=last.ckpt to begin with it, or ckpt_path=last.ckpt"),
        ("model=lightning_logs/resnet34/version_0", "add ckpt_path=lightning_logs/resnet34/ver"),
        ("model=resnet50", r"did you mean model=torchvision/resnet50\?"),
        ("model=EfficientNet-B3", r"did you mean model=torchvision/efficientnet_b3\?"),
        ("model=MobileNet_V3_Small", r"did you mean model=torchvision/mobilenet_v3_small\?"),
        ("model=resnet43", r"did you mean model=resnet34\?"),
    ],
)
def test_a_path_or_a_librarys_name_has_its_own_remedy(word: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=rf"^{word.partition('=')[0]}: .*; .*{remedy}"):
        grammar.translate([word], CONFIGS)


def test_a_name_that_is_also_a_folder_here_is_the_name() -> None:
    assert any("data/digits" in word for word in grammar.translate(["data=digits"], CONFIGS))
    assert sweep.models_in(["model=resnet34"]) == []
    assert nearest("convnxt", ["convnext_t", "resnet34"]) == "convnext_t"


def test_a_file_of_options_in_the_short_form_loses_against_values(folder: Path) -> None:
    (folder / "my.yaml").write_text("trainer: {max_epochs: 5}")
    words = grammar.translate(["trainer.max_epochs=3", "config=my.yaml", "trainer=cpu"], CONFIGS)
    assert words == grammar.translate(
        ["--config", "my.yaml", "trainer=cpu", "trainer.max_epochs=3"], CONFIGS
    )
    with pytest.raises(
        UsageError, match=r"^--config: expected a YAML file; found photos, a folder"
    ):
        grammar.translate(["config=photos"], CONFIGS)


def test_a_name_behind_dashes_is_the_name_of_the_group() -> None:
    short = grammar.translate(["model=convnext_t", "data=cifar10", "trainer.max_epochs=3"], CONFIGS)
    words = ["--model", "convnext_t", "--data=cifar10", "--trainer.max_epochs", "3"]
    assert grammar.translate(words, CONFIGS) == [*short[:-1], "--trainer.max_epochs", "3"]
    library = grammar.translate(["--model", "timm/lcnet_050"], CONFIGS)
    assert library == grammar.translate(["model=timm/lcnet_050"], CONFIGS)
    classes = grammar.translate(["--model", "ConvNeXtTiny", "--help"], CONFIGS)
    assert classes[-3:] == ["--model", "ConvNeXtTiny", "--help"]
    assert grammar.translate(["--ckpt_path"], CONFIGS)[-1] == "--ckpt_path"


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["data.root=photos"], "add data=csv or data=image_folder or another, which has it"),
        (["data.file=labels.csv"], "add data=csv, which has it"),
        (["data.noise=1", "data=cifar10"], "add data=digits, which has it"),
        (["data.nonsens=1"], r"did you mean data\.noise\?"),
        (["optimizer.lr=0.1"], "name the class first, such as optimizer=AdamW"),
        (["lr_scheduler.T_max=3"], "name the class first, such as lr_scheduler=CosineAnnealingLR"),
        (["export.formats=onnx_fp32"], r"write 'export\.formats=\[onnx_fp32\]'"),
        (["benchmark.batch_sizes=1,8"], r"write 'benchmark\.batch_sizes=\[1,8\]'"),
        (["data.mean=(0.5,0.5,0.5)"], r"write 'data\.mean=\[0\.5,0\.5,0\.5\]'"),
        (["data.mean=[a]"], "see python -m src.train fit --help"),
        (["data.mean=0.5"], "found 0.5; see python -m src.train fit --help"),
        (["trainer.max_epochs=1,2"], "found 1,2; see python -m src.train fit --help"),
    ],
)
def test_an_option_in_a_wrong_place_or_form_has_its_own_remedy(
    words: list[str], remedy: str
) -> None:
    with pytest.raises(UsageError, match=rf"; (found .*; )?.*({remedy})"):
        parse(*words)


def test_a_message_passes_over_presets_whose_class_cannot_be_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = (CONFIGS / "data" / "digits.yaml").read_text()
    contents = {
        "digits": digits,
        "elsewhere": "data: {class_path: package_that_is_not_there.Images}",
        "misspelt": digits.replace(".Digits", ".Digit"),
        "options": "data: {init_args: {noise: 0.5}}",
        "trainer": "trainer: {max_epochs: 3}",
        "empty": "",
    }
    for name, content in contents.items():
        (folder / f"{name}.yaml").write_text(content)
    monkeypatch.setattr(data_sets, "_PRESETS", folder)
    (folder / "convnext_t.yaml").unlink()
    assert data_sets.data_sets_with("noise") == ["digits"]
