"""Commands whose training ends early or has no steps: the last weights are exported."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from src.callbacks.benchmark import BenchmarkCallback
from src.callbacks.export import ExportCallback
from src.callbacks.lr_and_batch_size_finders import FindLearningRate
from src.cli import app, option_conflicts
from src.cli.commands import benchmark, export
from src.cli.entry_point import run_command
from src.errors import LightshipError, UsageError
from src.report.sections.footnotes import footnotes
from src.run.folder import Run
from src.system.signals import Stopped
from tests.cli.test_app import parse
from tests.report.pages import record
from tests.report.planted import results, row
from tests.support.small_network import NAME, WORDS

SHORT = (
    *(*WORDS, "data.image_size=32", "data.batch_size=8", "data.num_workers=0"),
    *("trainer.max_epochs=2", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"),
    *("trainer.precision=32", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"),
    *("export.formats=[eager]", "export.preflight=false", "export.calibration_images=2"),
    *("export.judging_images=0", "benchmark.enabled=false", "profiler=none"),
    "model.freeze_statistics_fraction=0",  # else 8 images would decide which epoch is the best
)
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("elsewhere")]


def train(*words: str) -> Run:
    run_command(lambda: app.main([*SHORT, *words]))
    return Run(Path(f"lightning_logs/{NAME}/version_0").resolve())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of a training of one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("trainer.max_epochs=1")
    return folder / "lightning_logs"


@pytest.fixture
def finished(trained: Path, elsewhere: Path) -> Run:
    """A copy of this training's run in the working folder."""
    shutil.copytree(trained, elsewhere / "lightning_logs")
    return Run(elsewhere / "lightning_logs" / NAME / "version_0")


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the time and the bytes of each file in a folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def step_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["global_step"])


@pytest.mark.slow
def test_a_copied_run_that_ended_within_an_epoch_resumes_in_the_copy(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last weights after ``trainer.max_steps=3`` are validated and exported."""
    first = train("trainer.max_steps=3")
    printed = capsys.readouterr().out
    assert printed.count("val/top1") == 2
    assert first.read_manifest().checkpoint.epoch == 1
    assert step_of(first.last_checkpoint) == 3
    shutil.copytree(elsewhere / "lightning_logs", elsewhere / "copy" / "lightning_logs")
    before = first.last_checkpoint.read_bytes(), first.manifest.read_bytes()
    (elsewhere / "copy" / "lightning_logs" / NAME / "version_0").rename(
        elsewhere / "copy" / "lightning_logs" / NAME / "the good one"
    )
    monkeypatch.chdir(elsewhere / "copy")
    # Set a best score that no later weights can reach.
    copy = Run(Path(f"lightning_logs/{NAME}/the good one").resolve())
    content = torch.load(copy.last_checkpoint, weights_only=True)
    content["callbacks"]["BestCheckpoint"]["score"] = torch.tensor(2.0)
    torch.save(content, copy.last_checkpoint)
    best = copy.best_checkpoint.read_bytes()
    shutil.rmtree(copy.exports)
    train("trainer.max_epochs=5", "trainer.max_steps=5", "ckpt_path=last")
    assert f"ckpt_path=last is {copy.last_checkpoint}" in capsys.readouterr().out
    assert [path.name for path in copy.folder.parent.iterdir()] == ["the good one"]
    assert copy.best_checkpoint.read_bytes() == best
    assert copy.read_manifest().run == f"{NAME}/the good one"
    assert step_of(copy.last_checkpoint) == 5
    assert (first.last_checkpoint.read_bytes(), first.manifest.read_bytes()) == before


def test_a_training_without_validation_exports_the_last_checkpoint_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        run = train("trainer.limit_val_batches=0", "trainer.max_epochs=1")
    notice = "no weights are validated; what is exported is the last checkpoint"
    printed = capsys.readouterr()
    assert printed.out.index(notice) < printed.out.index("epoch 1/1")
    assert "no weights were validated: exporting checkpoints/last.ckpt" in printed.out
    # Without a measurement there is no table that tells what was exported.
    told = printed.out.strip().splitlines()[-2:]
    assert re.fullmatch(r"eager: ok, \d+\.\d MB", told[0])
    assert re.fullmatch(rf"to measure them: python -m src.benchmark \S*{NAME}/version_0", told[1])
    # Lightning's own warning names a path in Lightning, so this one replaces it.
    assert printed.err == (
        "warning: an epoch has 2 batches, and every 5 are logged: set trainer.log_every_n_steps=2 "
        "for a training loss of each epoch\n"
    )
    manifest = run.read_manifest()
    assert manifest.checkpoint.path == "checkpoints/last.ckpt"
    assert manifest.formats["eager"].status == "ok"
    assert run.exported_checkpoint == run.last_checkpoint


def test_a_training_of_zero_epochs_exports_its_initial_weights_and_can_resume() -> None:
    run = train("trainer.max_epochs=0")
    assert step_of(run.exported_checkpoint) == 0
    assert run.read_manifest().formats["eager"].status == "ok"
    train("trainer.max_epochs=1", "ckpt_path=last")
    assert step_of(run.exported_checkpoint) == 2
    assert run.read_manifest().checkpoint.path == "checkpoints/best.ckpt"


FAILURES = [Stopped(signal.SIGINT), LightshipError("benchmark.strict: 1 rows failed")]


def test_a_finished_training_keeps_the_configuration_of_its_later_stages_that_fail(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is left, but the exports are made by the options of the second command."""
    run = finished
    before = run.read_manifest().formats

    def fail(*_: Any) -> None:
        raise FAILURES[number]

    monkeypatch.setattr(BenchmarkCallback, "on_fit_end", fail)
    for number in range(len(FAILURES)):
        words = ("export.formats=[eager,torchscript]", f"export.calibration_images={3 + number}")
        with pytest.raises(type(FAILURES[number])):
            app.main([*SHORT, "trainer.max_epochs=1", "ckpt_path=last", *words])
        assert before.keys() < run.read_manifest().formats.keys()
        options = run.read_config()["export"]
        assert (options["formats"], options["calibration_images"]) == (
            ["eager", "torchscript"],
            3 + number,
        )
        assert words[0] in str(run.read_command())


@pytest.mark.parametrize("moment", ["on_fit_start", "on_fit_end"])
def test_a_finished_training_keeps_its_configuration_if_no_later_stage_begins(
    moment: str, finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished
    before = run.config.read_bytes(), run.command.read_bytes()

    def fail(*_: Any) -> None:
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(ExportCallback, moment, fail)
    with pytest.raises(Stopped):
        app.main([*SHORT, "trainer.max_epochs=1", "ckpt_path=last", "export.calibration_images=3"])
    assert (run.config.read_bytes(), run.command.read_bytes()) == before


def test_files_are_not_measured_with_another_preprocessing_than_they_were_exported_with(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished
    text = run.config.read_text()
    assert text.count("resize: squash") == 1
    run.config.write_text(text.replace("resize: squash", "resize: crop"))
    monkeypatch.setattr(sys, "argv", ["benchmark", str(run.folder), "again=true"])
    with pytest.raises(UsageError, match=r"exported files, resize squash.*; found resize crop"):
        benchmark.main()


def test_a_damaged_record_of_exports_is_written_again(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished.manifest.write_text('{"schema_version":')
    monkeypatch.setattr(sys, "argv", ["export", str(finished.folder)])
    export.main()
    assert finished.read_manifest().formats["eager"].status == "ok"


def find_at_once(_: FindLearningRate, trainer: Any, pl_module: Any) -> None:
    """Stand in for the search of a learning rate, which takes a hundred steps."""
    pl_module.lr = 0.003
    trainer.strategy.setup_optimizers(trainer)


@pytest.mark.slow
def test_the_printed_command_goes_on_with_the_stopped_run_and_the_rate_that_was_found(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FindLearningRate, "on_fit_start", find_at_once)
    callback = "trainer.callbacks=tests.support.failing_callbacks.PressCtrlC"
    with pytest.raises(SystemExit) as ended:
        train("finetune.find_lr=true", "export.enabled=false", callback)
    assert ended.value.code == 128 + signal.SIGINT
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    words = shlex.split(printed.partition("; go on with: ")[2])[3:]
    assert words[-2:] == ["model.lr=0.003", "ckpt_path=last"]
    # Another training has begun in the meantime.
    run = Run(elsewhere / "lightning_logs" / NAME / "version_0")
    newer = Run(run.folder.with_name("version_1"))
    shutil.copytree(run.folder, newer.folder)
    before = newer.last_checkpoint.read_bytes()
    words[-1] = f"ckpt_path=lightning_logs/{NAME}/version_0"
    run_command(lambda: app.main(words))
    assert (step_of(run.last_checkpoint), newer.last_checkpoint.read_bytes()) == (4, before)
    assert len(list(run.folder.parent.iterdir())) == 2
    assert run.read_config()["model"]["init_args"]["lr"] == 0.003


@pytest.mark.slow
def test_a_trial_of_a_finished_run_changes_nothing_in_it(elsewhere: Path) -> None:
    run = train("trainer.max_epochs=0", "export.enabled=false")
    # The remains of a killed process, which a training would remove.
    (run.folder / ".report.md.lightship-unfinished-0123456789abcdef").touch()
    before = contents(elsewhere)
    train("trainer.fast_dev_run=1", "ckpt_path=last")
    assert contents(elsewhere) == before


NOTICES: list[tuple[list[str], bool, list[str]]] = [
    ([], False, []),
    (["trainer.fast_dev_run=true"], False, ["nothing is kept, exported or measured"]),
    (["trainer.fast_dev_run=2"], False, ["nothing is kept, exported or measured"]),
    (["trainer.limit_val_batches=0"], False, ["what is exported is the last checkpoint"]),
    (["trainer.limit_val_batches=0.0"], False, ["what is exported is the last checkpoint"]),
    (["trainer.limit_val_batches=0"], True, ["is the best checkpoint there is"]),
    (["trainer.max_steps=0"], False, ["trainer.max_steps=0: nothing", "the last checkpoint"]),
    (["trainer.max_epochs=0"], False, ["trainer.max_epochs=0: nothing", "the last checkpoint"]),
    (
        ["trainer.limit_train_batches=0", "export.enabled=false", "benchmark.enabled=false"],
        False,
        ["trainer.limit_train_batches=0: nothing", "no weights are validated"],
    ),
    (
        ["experiment=finetune", "optimizer=AdamW", "optimizer.lr=1e-3"],
        False,
        ["model.layer_decay=0.75 has no effect beside optimizer=AdamW"],
    ),
]


@pytest.mark.parametrize(("words", "has_best", "expected"), NOTICES, ids=str)
def test_what_a_training_leaves_out_is_told_before_it_starts(
    words: list[str], has_best: bool, expected: list[str]
) -> None:
    lines = option_conflicts.notices(parse(*words), [], has_best=has_best)
    assert len(lines) == len(expected)
    assert all(part in line for part, line in zip(expected, lines, strict=True)), lines


def test_a_finder_in_a_file_is_refused_beside_an_optimizer_with_its_own_rate(
    tmp_path: Path,
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("finetune:\n  find_lr: true\n")
    with pytest.raises(UsageError, match=r"finetune\.find_lr: expected no replacement"):
        parse(f"--config={file}", "optimizer=AdamW", "optimizer.lr=1e-3")


def test_the_table_says_that_the_exported_weights_were_not_validated() -> None:
    content: dict[str, Any] = results(row("eager"))
    footnote = "Exported is the last checkpoint, checkpoints/last.ckpt: no weights were validated"
    assert footnote not in list(footnotes(record(content)))
    content["checkpoint"] = {**content["checkpoint"], "path": "checkpoints/last.ckpt"}
    assert footnote in list(footnotes(record(content)))
