"""Options that only a library checks: one line that names the option, and no run left behind."""

from __future__ import annotations

import importlib.util
import os
import site
from pathlib import Path
from typing import Any

import pytest
import torch

from src.cli import app
from src.cli.entry_point import run_command
from src.cli.rollback import remove_untrained
from src.errors import UsageError
from src.run.folder import Run
from src.system import library_errors
from tests.support.small_network import NAME
from tests.training.test_errors_in_training import SHORT

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("elsewhere")]

SGD = ("optimizer=SGD", "optimizer.lr=0.1")
# The option that the message must name, and the other arguments of the command line.
REFUSED: dict[str, tuple[str, ...]] = {
    "data.num_workers=-1": (),
    "data.std=[0,1,1]": (),
    "data.split_seed=-1": (),
    "trainer.val_check_interval=1000": (),
    "trainer.val_check_interval=1.5": (),
    "trainer.val_check_interval=0": (),
    "trainer.val_check_interval=abc": (),
    "trainer.devices=0": (),
    "trainer.devices=abc": (),
    "trainer.strategy=nonsense": (),
    "trainer.strategy=fsdp": ("trainer.accelerator=cpu",),
    "trainer.accelerator=nonsense": (),
    "trainer.precision=nonsense": (),
    "trainer.profiler=nonsense": (),
    "trainer.gradient_clip_algorithm=nonsense": (),
    "trainer.gradient_clip_val=-1": (),
    "trainer.accumulate_grad_batches=0": (),
    "trainer.limit_train_batches=2.5": (),
    "trainer.limit_val_batches=0.00001": (),
    "trainer.max_epochs=-5": (),
    "trainer.max_time=abc": (),
    "trainer.check_val_every_n_epoch=0": (),
    "trainer.log_every_n_steps=0": (),
    "trainer.overfit_batches=-1": (),
    "trainer.barebones=true": (),
    "trainer.sync_batchnorm=true": ("trainer=cpu",),
    "trainer.fast_dev_run=-1": (),
    "trainer.num_nodes=0": (),
    "seed_everything=-5": (),
    "optimizer.momentum=-1": SGD,
    "optimizer.nesterov=true": SGD,
    "optimizer.lr=-1": ("optimizer=AdamW",),
    "optimizer=SparseAdam": (),
    "lr_scheduler.total_steps=0": (*SGD, "lr_scheduler=OneCycleLR", "lr_scheduler.max_lr=1"),
    "lr_scheduler.monitor=val/nonsense": (*SGD, "lr_scheduler=ReduceLROnPlateau"),
    "checkpoint.monitor=val/nonsense": (),
    "checkpoint.every_n_epochs=0": (),
    "finetune.patience=1": ("trainer.limit_val_batches=0",),
    "model.weight_decay=-1": (),
    "trainer.callbacks.save_top_k=-3": ("trainer.callbacks=ModelCheckpoint",),
    "trainer.callbacks.swa_lrs=-1": ("trainer.callbacks=StochasticWeightAveraging",),
}
# Arguments that lead to a message without an option's name, and a part of that message.
UNNAMED: dict[str, tuple[list[str], str]] = {
    "schedule": (
        [*SGD, "lr_scheduler=StepLR", "lr_scheduler.step_size=0"],
        "found ZeroDivisionError",
    ),
    "betas": (["optimizer=Adam", "optimizer.betas=[2,3]"], "Invalid beta parameter at index 0"),
}


def train(*words: str) -> int:
    names = {word.partition("=")[0] for word in words}
    short = [word for word in SHORT if word.partition("=")[0] not in names]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: app.main([*short, *words]))
    return int(str(ended.value.code))


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, printed
    return lines[0]


@pytest.mark.parametrize("word", REFUSED)
def test_an_option_that_only_a_library_checks_is_named_and_no_run_is_left(
    word: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*REFUSED[word], word) == UsageError.exit_code
    assert error_line(capsys).startswith(f"error: {word.partition('=')[0]}: expected ")
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", UNNAMED)
def test_a_librarys_error_that_names_no_option_is_quoted_in_one_line(
    name: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, sentence = UNNAMED[name]
    assert train(*words) == UsageError.exit_code
    line = error_line(capsys)
    assert sentence in line
    assert "LIGHTSHIP_TRACEBACK=1 shows where" in line
    assert not list(elsewhere.iterdir())


def test_a_batch_system_that_lightning_refuses_is_one_line(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert train() == UsageError.exit_code
    assert "--ntasks-per-node=2" in error_line(capsys)
    assert not list(elsewhere.iterdir())


def test_an_option_in_a_file_of_the_user_is_named_as_well(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "mine.yaml").write_text("trainer: {val_check_interval: 1000}")
    assert train("--config", "mine.yaml") == UsageError.exit_code
    assert error_line(capsys).startswith("error: trainer.val_check_interval: ")


def contents(run: Run) -> dict[str, bytes]:
    """Return the content of each file of a run, but for TensorBoard's."""
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    return {
        str(path): path.read_bytes() for path in files if not path.name.startswith("events.out")
    }


def test_a_refused_option_leaves_a_resumed_run_unchanged(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(lambda: app.main([*SHORT, "trainer.max_epochs=1"]))
    run = Run(Path(f"lightning_logs/{NAME}/version_0").resolve())
    before = contents(run)
    assert str(run.started_in_file) in before
    (elsewhere / "another").mkdir()
    monkeypatch.chdir("another")  # the place that relative paths of the options begin at
    for word in ("trainer.val_check_interval=1000", "model.lr=0.5"):
        assert train(word, f"ckpt_path={run.folder}") == UsageError.exit_code
        assert contents(run) == before
        assert run.best_checkpoint.is_file()
        assert error_line(capsys).startswith(f"error: {word.partition('=')[0]}: ")


def find_no_compiler(*_: Any) -> Any:
    """Raise the error of torch.compile on a machine without a C++ compiler."""
    from torch._inductor.cpp_builder import cpp_compiler_search

    return cpp_compiler_search(("no-such-compiler",))


def fail_to_compile(*_: Any) -> Any:
    """Raise the error of torch.compile where the headers of Python are missing."""
    from torch._inductor.exc import CppCompileError

    text = "x.cpp:1:10: fatal error: Python.h: No such file or directory\n compilation terminated."
    raise CppCompileError(["g++", "x.cpp"], text)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(find_no_compiler, "No working C++ compiler"), (fail_to_compile, "fatal error: Python.h")],
)
def test_a_network_that_torch_cannot_compile_is_about_the_option(
    failure: Any,
    reason: str,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("src.models.classifier.Classifier.forward", failure)
    assert train("model.compile=true") == UsageError.exit_code
    line = error_line(capsys)
    assert line.startswith("error: model.compile: expected false where torch cannot compile")
    assert reason in line
    assert not list(elsewhere.iterdir())
    with pytest.raises(RuntimeError):  # without the option it is a defect
        run_command(lambda: app.main([*SHORT]))


def wrong_shapes(*_: Any) -> Any:
    return torch.nn.functional.interpolate(torch.zeros(2, 3), size=(1, 2, 3))


def missing_name(*_: Any) -> Any:
    return {}["nothing"]


def wrong_type(*_: Any) -> Any:
    return len(3)  # type: ignore[arg-type]


def wrong_batch(*_: Any) -> Any:
    """Raise an error of torch whose message names an option that is given."""
    return torch.nn.functional.cross_entropy(torch.zeros(8, 3), torch.zeros(7).long())


# Functions of this project and a defect for each: in constructors, before and within a step.
DEFECTS = [
    ("src.cli.app.CLI._open_run", missing_name, KeyError),
    ("src.cli.app.require_hardware", None, TypeError),
    ("src.models.classifier.Classifier._record_non_finite", wrong_batch, ValueError),
    ("src.data.images.ImageDataModule.train_dataloader", wrong_type, TypeError),
    ("src.models.classifier.Classifier.schedule", wrong_shapes, Exception),
    ("src.models.classifier.Classifier._evaluate", wrong_shapes, Exception),
    ("src.models.classifier.Classifier._record_non_finite", wrong_shapes, Exception),
    ("src.callbacks.throughput.ThroughputMeter.start_step", missing_name, KeyError),
]


@pytest.mark.parametrize(
    ("place", "defect", "kind"), DEFECTS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_defect_of_our_own_keeps_its_traceback(
    place: str, defect: Any, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, defect)
    with pytest.raises(kind):
        run_command(lambda: app.main([*SHORT, "data.image_size=32", "data.batch_size=8"]))


@pytest.mark.parametrize("is_used", [True, False, None])
def test_a_package_of_the_user_is_a_library_if_python_uses_such_packages(
    is_used: bool | None, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "ENABLE_USER_SITE", is_used)
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(elsewhere / "packages"))
    monkeypatch.setattr(library_errors, "_LIBRARIES", library_errors._library_folders())
    package = elsewhere / "packages" / "lightning" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("def check(*_): raise ValueError('wrong')\n")
    spec = importlib.util.spec_from_file_location("planted_lightning", package)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert library_errors.is_library_file(str(package)) == bool(is_used)
    monkeypatch.setattr(app, "require_hardware", module.check)
    if is_used:
        assert train() == UsageError.exit_code
    else:  # a module of the user's own
        with pytest.raises(ValueError, match="wrong"):
            run_command(lambda: app.main([*SHORT]))


def test_the_traceback_variable_keeps_a_librarys_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library_errors.TRACEBACK, "1")
    with pytest.raises(Exception, match="invalid strategy name"):
        run_command(lambda: app.main([*SHORT, "trainer.strategy=nonsense"]))


def test_a_run_with_a_checkpoint_or_another_file_is_not_discarded(tmp_path: Path) -> None:
    for name in ("checkpoints/last.ckpt", "exports/manifest.json", "notes.txt"):
        run = Run(tmp_path / "lightning_logs" / "resnet34" / f"version_{len(name)}")
        kept = run.folder / name
        kept.parent.mkdir(parents=True)
        kept.write_text("mine")
        (run.folder / "config.yaml").touch()
        remove_untrained(run)
        assert kept.read_text() == "mine"
    assert not os.path.lexists(run.config)
