"""The command line of ``src.train``: every file of configs/, and every kind of mistake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src import formats
from src.cli import app, grammar, stage_command
from src.cli.entry_point import run_command
from src.cli.parser import Parser
from src.errors import LightshipError, UsageError
from src.export.options import ExportOptions
from src.formats.executorch_int8 import ExecutorchInt8Options
from src.formats.litert_int8 import LitertInt8Options
from src.formats.onnx_int8 import OnnxInt8Options
from src.formats.openvino_int8 import OpenVinoInt8Options
from src.models.classifier import Classifier
from tests.conftest import CONFIGS, ROOT


class ParseOnly(app.CLI):
    """The command line without the training that it would start."""

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def parsed_command_line(*argv: str) -> ParseOnly:
    return ParseOnly(
        Classifier,
        app.DatasetModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        parser_class=Parser,
        args=grammar.translate(argv, CONFIGS),
    )


def parse(*argv: str) -> Any:
    parsed = parsed_command_line(*argv)
    return parsed.config[parsed.subcommand]


GROUP_FILES = sorted((path.parent.name, path.stem) for path in CONFIGS.glob("*/*.yaml"))


@pytest.mark.parametrize(("group", "name"), GROUP_FILES)
@pytest.mark.usefixtures("elsewhere")
def test_every_yaml_of_configs_parses(group: str, name: str) -> None:
    needed = []
    if group == "data":
        content = (CONFIGS / group / f"{name}.yaml").read_text(encoding="utf-8")
        command = content.partition("data:")[0]
        needed = re.findall(r"data\.(?:root|file)=\S+", command)
    if group == "family":  # a recipe for a network that is named by its library
        needed = ["model=torchvision/resnet18"]
    config = parse(f"{group}={name}", *needed)
    if group in {"model", "data"}:
        assert name in config[group].class_path


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_of_configs_begins_with_its_command(path: Path) -> None:
    head = path.read_text().split("\n\n")[0]
    assert "#   python -m src.train" in head


@pytest.mark.usefixtures("elsewhere")
def test_single_values_override_files() -> None:
    config = parse(
        "model.lr=0.5", "trainer.max_epochs=3", "model=convnext_t", "export.formats=[eager]"
    )
    assert config.model.class_path == "src.models.convnext_t.ConvNeXtTiny"
    assert config.model.init_args.lr == 0.5
    assert config.trainer.max_epochs == 3
    assert config.export.formats == ["eager"]


LIMITS = """
from src.cli import sweep  # imports rich before Lightning, as src.train does
from tests.cli.test_app import parse
words = ("limit_train_batches=1", "limit_val_batches=1.0", "limit_test_batches=0.5")
trainer = parse("fit", *(f"trainer.{word}" for word in words)).trainer
print(repr([trainer.limit_train_batches, trainer.limit_val_batches, trainer.limit_test_batches]))
"""


def test_a_limit_of_one_batch_stays_an_integer_whatever_is_imported_first(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LIMITS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "[1, 1.0, 0.5]"


@pytest.mark.usefixtures("elsewhere")
def test_pretrained_weights_set_the_preprocessing_that_the_user_did_not_set() -> None:
    plain = parse("model=efficientnet_b0").data.init_args
    assert (plain.image_size, plain.resize, plain.interpolation) == (64, "squash", "bilinear")
    adopted = parse("model=efficientnet_b0", "model.pretrained=true").data.init_args
    assert (adopted.image_size, adopted.resize, adopted.interpolation) == (224, "crop", "bicubic")
    assert adopted.mean == (0.485, 0.456, 0.406)
    Path("mine.yaml").write_text("data: {init_args: {resize: squash}}")
    words = ("model.pretrained=true", "data.image_size=32", "--config", "mine.yaml")
    mine = parse(*words).data.init_args
    assert (mine.image_size, mine.resize, mine.mean) == (32, "squash", (0.485, 0.456, 0.406))
    for word in ("--data.init_args={image_size: 32}", "data.init_args.image_size=32"):
        assert parse("model.pretrained=true", word).data.init_args.image_size == 32


@pytest.mark.usefixtures("elsewhere")
def test_named_weights_and_no_pretrained_weights_contradict_each_other() -> None:
    named = "model=torchvision/mobilenet_v3_small.IMAGENET1K_V1"
    with pytest.raises(UsageError, match=r"model.pretrained: expected true.*IMAGENET1K_V1"):
        parse(named, "model.pretrained=false")
    assert parse(named, "model.weights=mine.pt", "model.pretrained=false")


@pytest.mark.usefixtures("elsewhere")
def test_experiment_finetune_applies_to_any_data_and_model() -> None:
    config = parse("experiment=finetune", "model=convnext_t", "data=csv", "data.file=x.csv")
    assert config.data.class_path == "src.data.datasets.csv_file.CSVFile"
    assert config.data.init_args.cutmix == 1.0
    assert config.model.class_path == "src.models.convnext_t.ConvNeXtTiny"
    assert config.model.init_args.pretrained
    assert config.finetune.ema_decay == 0.998


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("value", "column"), [("null", None), ("fold", "fold"), (" split", " split"), ("1", "1")]
)
def test_the_column_of_splits_is_a_name_or_null(value: str, column: str | None) -> None:
    config = parse("data=csv", "data.file=x.csv", f"data.split_column={value}")
    assert config.data.init_args.split_column == column


@pytest.mark.usefixtures("elsewhere")
def test_a_model_by_class_name_gets_no_options_of_the_default_model() -> None:
    config = parse("fit", "--config", str(CONFIGS / "train.yaml"), "--model", "ConvNeXtTiny")
    assert config.model.class_path.endswith(".ConvNeXtTiny")
    assert config.model.init_args.network_options is None


@pytest.mark.usefixtures("elsewhere")
def test_a_width_is_a_plain_value_of_the_configuration() -> None:
    config = parse("model=torchvision/mobilenet_v2", "model.width=0.5", "data.image_size=32")
    assert config.model.init_args.width == 0.5
    assert parse("model=efficientnet_b0").model.init_args.width == 1.0


@pytest.mark.usefixtures("elsewhere")
def test_the_baseline_format_is_always_exported() -> None:
    config = parse("export.formats=[onnx_int8]", "benchmark.baseline=onnx_fp32")
    assert config.export.formats == ["onnx_fp32", "onnx_int8"]


@pytest.mark.usefixtures("elsewhere")
def test_format_options_and_the_accuracy_budget_reach_the_export() -> None:
    parsed = parsed_command_line(
        "export.onnx_int8.target=avx2",
        "export.onnx_int8.search_seconds=7",
        "export.openvino_int8.search_seconds=9",
        "benchmark.max_accuracy_drop=0.03",
    )
    made = parsed._parser("fit").instantiate_classes(parsed.config["fit"])
    assert made.export.options.by_format == {
        "executorch_int8": ExecutorchInt8Options(),
        "litert_int8": LitertInt8Options(),
        "onnx_int8": OnnxInt8Options("avx2", 7.0),
        "openvino_int8": OpenVinoInt8Options(9.0),
    }
    assert made.export.options.max_accuracy_drop == 0.03
    assert made.benchmark.options.max_accuracy_drop == 0.03


@pytest.mark.usefixtures("elsewhere")
def test_a_printed_configuration_can_be_read_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse("fit", "--print_config", "benchmark.max_accuracy_drop=0.03")
    Path("printed.yaml").write_text(capsys.readouterr().out)
    config = parse("fit", "--config", "printed.yaml")
    assert config.export.max_accuracy_drop == 0.03


def test_the_export_command_accepts_format_options(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["src.export", ".", "onnx_int8.target=arm", "max_accuracy_drop=0.05"]
    monkeypatch.setattr(sys, "argv", words)
    (elsewhere / "config.yaml").touch()
    _, options = stage_command.parse("export", None, ExportOptions)
    assert options.by_format == {
        "onnx_int8": OnnxInt8Options("arm", 120.0),
        "executorch_int8": ExecutorchInt8Options(),
        "litert_int8": LitertInt8Options(),
        "openvino_int8": OpenVinoInt8Options(120.0),
    }
    assert options.max_accuracy_drop == 0.05
    monkeypatch.setattr(sys, "argv", [*words, "onnx_int8.target=vax"])
    with pytest.raises(
        UsageError, match=r"onnx_int8.target: expected one of auto, vnni, avx2, arm"
    ):
        stage_command.parse("export", None, ExportOptions)


FORMATS = f"expected names among {', '.join(formats.names())}; found onnx"
SGD = ["optimizer=SGD", "optimizer.lr=0.1"]
PLATEAU = [*SGD, "lr_scheduler=ReduceLROnPlateau", "lr_scheduler.monitor=val/loss"]
MISTAKES: list[tuple[list[str], str]] = [
    (["model=convnxt"], "model: expected one of convnext_t, densenet121"),
    (["trainer.max_epoch=3"], "did you mean trainer.max_epochs?"),
    (["trainer.max_epochs=abc"], "trainer.max_epochs: expected int or null; found abc"),
    (["model.lrr=1"], "did you mean model.lr?"),
    (["model.lr=abc"], "model.lr: expected float; found abc"),
    (["model.lr=-1"], "model.lr: expected a number from 0"),
    (["data.batch_size=0"], "data.batch_size: expected a positive number; found 0"),
    (["test", "export.formats=[eager]"], "export.formats: expected no such option, for only fit"),
    (["trainer.profiler=simple", "profiler.windows=3"], "trainer.profiler: expected nothing"),
    (["data.mean=[1,2]"], "data.mean: expected tuple with 3 elements"),
    (["data.mean=[123.675,116.28,103.53]"], "data.mean: expected three numbers up to 1, on the"),
    (["data=image_folder"], "data.root: expected a value; found none"),
    (["data=image_folder", "data.root=missing"], "found missing (No such file or directory)"),
    (["export.formats=[onnx]"], f"export.formats: {FORMATS}"),
    (["benchmark.baseline=onnx"], f"benchmark.baseline: {FORMATS}"),
    (["export.onnx_int8.target=vax"], "export.onnx_int8.target: expected one of auto, vnni, avx2"),
    (["export.onnx_int8.search_seconds=-1"], "search_seconds: expected seconds, or 0"),
    (["export.openvino_int8.search_seconds=-1"], "search_seconds: expected seconds, or 0"),
    (["export.onnx_int8.tarket=arm"], "did you mean export.onnx_int8.target?"),
    (["export.judging_images=-1"], "export.judging_images: expected a number of images, or 0"),
    (["export.max_accuracy_drop=0.1"], "set benchmark.max_accuracy_drop instead"),
    (["export.enabled=false"], "benchmark.enabled: expected false where export.enabled is"),
    (
        ["benchmark.load=true", "benchmark.enabled=false"],
        "benchmark.load: expected benchmark.enabled=true beside it",
    ),
    (["benchmark.load_p99_limit=0.02"], "benchmark.load_p99_limit: expected benchmark.load=true"),
    (["benchmark.objective=speed"], "benchmark.objective: expected one of latency, size"),
    (["benchmark.batch_sizes=[0]"], "benchmark.batch_sizes: expected a positive number; found 0"),
    (
        ["checkpoint.monitor=val/loss", "checkpoint.mode=max"],
        "checkpoint.mode: expected min, for a smaller val/loss is better; found max; set",
    ),
    (["checkpoint.monitor=train/loss", "checkpoint.mode=max"], "a smaller train/loss is better"),
    (["checkpoint.mode=min"], "checkpoint.mode: expected max, for a larger val/top1 is better"),
    ([*PLATEAU, "lr_scheduler.monitor=val/f1"], "lr_scheduler.mode: expected max, for a larger"),
    ([*PLATEAU, "lr_scheduler.mode=max"], "lr_scheduler.mode: expected min, for a smaller"),
    (
        ["trainer.callbacks=EarlyStopping", "trainer.callbacks.monitor=val/top1"],
        "trainer.callbacks.mode: expected max, for a larger val/top1 is better; found min; set",
    ),
    (
        ["trainer.callbacks=ModelCheckpoint", "trainer.callbacks.monitor=val_loss"],
        "trainer.callbacks.monitor: expected one of val/top1, val/top5",
    ),
    (["lr_scheduler=CosineAnnealingLR", "lr_scheduler.T_max=3"], "expected an optimizer"),
    (["optimizer=SGD", "optimizer.lr=0.1", "model.lr=1"], "model.lr: expected no replacement"),
    ([*SGD, "model.init_args.lr=1"], "model.lr: expected no replacement"),
    ([*SGD, "--model.lr=1"], "model.lr: expected no replacement"),
    ([*SGD, "--model.init_args.lr", "1"], "model.lr: expected no replacement"),
    ([*SGD, "model.init_args={lr: 1}"], "model.lr: expected no replacement"),
    (["model.width=0.5"], "model.width: expected 1, because the constructor of torchvision's"),
    (["model.layer_decay=1.5"], "model.layer_decay: expected a number from"),
    (["model.weights=missing.pt"], "model.weights: expected a state dict"),
    (["finetune.patience=-1"], "finetune.patience: expected a number of epochs, or 0"),
    (["finetune.pacience=1"], "did you mean finetune.patience?"),
    (["finetune.find_lr=true", "model.lr=1"], "expected no value beside finetune.find_lr"),
    (["finetune.find_lr=true", "model.init_args.lr=1"], "no value beside finetune.find_lr"),
    (
        ["--finetune={find_batch_size: true}", "data.init_args.batch_size=2"],
        "data.batch_size: expected no value beside finetune.find_batch_size",
    ),
    (["test", "--export={enabled: false}"], "export: expected no such option, for only fit"),
    (["--twin={epochs: 3}"], "twin.epochs: expected twin=true beside it"),
    (["epochs=3"], "did you mean trainer.max_epochs?"),
    (["--lr", "0.1"], "did you mean model.lr?"),
    (["twin.epochs=3"], "twin.epochs: expected twin=true beside it, for no twin is made without"),
    (["--twin.seed", "3", "twin.enabled=false"], "twin.seed: expected twin=true beside it"),
    (["twin=true", "twin.epoch=3"], "did you mean twin.epochs?"),
    (["data.mixup=-1"], "data.mixup: expected the alpha of a beta distribution"),
    (["data.crop_share=2"], "data.crop_share: expected a share above 0"),
    (["data.balance=even"], "data.balance: expected one of none, weights, sampler"),
    (["test", "finetune.ema_decay=0.9"], "finetune.ema_decay: expected no such option"),
    (["test", "twin=true"], "twin=true: expected no such option, for only fit looks at it"),
    (["validate", "export=mobile"], "export=mobile: expected no such option"),
    (["predict", "profiler=light"], "profiler=light: expected no such option"),
    (
        ["test", "benchmark=thorough", "ckpt_path=best", "export.formats=[eager]"],
        "benchmark=thorough, export.formats: expected no such options, for only fit looks at them",
    ),
    (["trainer.logger=false"], "trainer.logger: expected a logger"),
    (["trainer.enable_checkpointing=false"], "trainer.enable_checkpointing: expected true"),
    (["--config", "missing.yaml"], "missing.yaml, which does not exist"),
    (["ckpt_path=last"], "ckpt_path: expected a run of resnet34 with checkpoints/last.ckpt"),
    (["test"], "ckpt_path: expected best, last or a checkpoint's path"),
    (["ckpt_path=missing.ckpt"], "ckpt_path: expected best, last or a checkpoint's path"),
    (["model.network_options={depth: 3}"], "options of torchvision's resnet34"),
    (["trainer.default_root_dir=file"], "found file/lightning_logs"),
    (["trainer.default_root_dir=s3://bucket/runs"], "expected a folder of this machine; found s3:"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "message"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_users_mistake_is_one_line_and_exits_with_2(
    argv: list[str], message: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "file").touch()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: app.main(argv))
    assert ended.value.code == UsageError.exit_code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    # A mistake leaves no empty run folder behind.
    assert not list(elsewhere.glob("lightning_logs/*/*"))


@pytest.mark.parametrize("argv", [["--help"], ["fit", "--help"], ["fit", "--print_config"]])
@pytest.mark.usefixtures("elsewhere")
def test_help_and_configuration_are_printed(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app.main(argv)
    assert ended.value.code == 0
    assert "fit" in (printed := capsys.readouterr().out) or "trainer:" in printed


def test_a_lightship_error_has_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise LightshipError("it went wrong")

    with pytest.raises(SystemExit) as ended:
        run_command(fail)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: it went wrong\n"


def test_an_unexpected_exception_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: sys.exit(1 // 0))
