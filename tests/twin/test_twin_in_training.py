"""``twin=true`` in real trainings: made, exported, measured and told; stopped; failed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from src.run.folder import Run
from src.run.twin import Phase
from src.run.twin_files import TwinFiles
from tests.support.training_process import finish, start, wait_until
from tests.support.warm_command import command

pytestmark = pytest.mark.slow

TRAINING = (
    "model=torchvision/mobilenet_v3_small",
    "data.image_size=32",
    "data.train_images=100",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "twin=true",
    "twin.probe_steps=0",
    "twin.quantized_epochs=1",
    "export.preflight=false",
    "benchmark=quick",
    "profiler=none",
)
EXPORTS = "export.formats=[eager,onnx_fp32,onnx_int8_twin]"


def run_in(folder: Path) -> Run:
    [run] = folder.glob("lightning_logs/*/version_*")
    return Run(run)


def test_a_training_makes_exports_and_reports_its_twin(tmp_path: Path) -> None:
    done = command(tmp_path, "src.train", *TRAINING, "twin.epochs=1")
    assert done.returncode == 0, done.stderr
    run = run_in(tmp_path)
    record = TwinFiles(run).read()
    assert record is not None
    assert record.is_complete, record.reason  # hard swish is slow in int8
    assert record.plan is not None
    assert record.plan.replaced
    assert record.training is not None
    results = run.read_benchmark()
    assert results.twin == record.account
    rows = {row.format: row for row in results.rows}
    assert rows["onnx_int8_twin"].is_ok, rows["onnx_int8_twin"].reason
    assert rows["onnx_int8_twin"].is_of_twin
    assert not rows["onnx_int8"].is_of_twin
    assert rows["onnx_fp32_twin"].status in {"ok", "skipped"}
    assert "## The int8 twin" in run.report.read_text()
    assert "making the int8 twin" in done.stdout
    # The same command has nothing left to do, and neither has the twin's.
    again = command(tmp_path, "src.twin", str(run.folder))
    assert again.returncode == 0, again.stderr
    assert TwinFiles(run).read() == record


@pytest.mark.parametrize(
    ("phase", "epochs"), [("distillation", (30, 1)), ("quantization", (1, 30))]
)
def test_ctrl_c_in_the_twin_saves_it_and_the_training_goes_on(
    phase: Phase, epochs: tuple[int, int], tmp_path: Path
) -> None:
    options = (f"twin.epochs={epochs[0]}", f"twin.quantized_epochs={epochs[1]}")
    words = (*TRAINING, EXPORTS, *options)
    process = start(tmp_path, *words)
    saved = f"lightning_logs/*/version_0/twin/{phase}-*/checkpoints/last.ckpt"
    wait_until(process, lambda: bool(list(tmp_path.glob(saved))))
    process.send_signal(signal.SIGINT)
    printed = finish(process, 130)
    assert "stopping after this step" in printed
    assert "ckpt_path=last" in printed.splitlines()[-1]
    run = run_in(tmp_path)
    begun = TwinFiles(run).read_unfinished()
    assert begun is not None
    assert begun.spent_s[phase] > 0
    assert not run.manifest.is_file()
    done = command(tmp_path, "src.train", *words, "ckpt_path=last")
    assert done.returncode == 0, done.stderr
    record = TwinFiles(run).read()
    assert record is not None
    assert record.tried == begun.tried  # the survey was not made again
    assert record.training == begun.training
    trained = [each.epoch for each in record.epochs if each.phase == phase]
    assert trained == list(range(1, 31))
    assert run.benchmark.is_file()


def test_a_twin_that_fails_costs_nothing_else(tmp_path: Path) -> None:
    done = command(tmp_path, "src.train", *TRAINING, EXPORTS, "twin.lr=1e30", "twin.epochs=1")
    assert done.returncode == 1
    assert "the loss is not finite" in done.stderr
    assert "the export goes on without it" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: the int8 twin was not made")
    assert "Traceback" not in done.stderr
    on_cpu = [row for row in run_in(tmp_path).read_benchmark().rows if row.device == "cpu"]
    rows = {row.format: row for row in on_cpu}
    assert rows["onnx_fp32"].is_ok
    assert rows["onnx_int8_twin"].status == "skipped"
    assert "is not finished" in str(rows["onnx_int8_twin"].reason)


def test_two_processes_make_one_twin(tmp_path: Path) -> None:
    words = (*TRAINING, EXPORTS, "twin.epochs=1", "trainer=ddp")
    without = [word for word in words if not word.startswith("trainer.accelerator")]
    done = command(tmp_path, "src.train", *without)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("making the int8 twin") == 1
    record = TwinFiles(run_in(tmp_path)).read()
    assert record is not None
    assert record.is_complete or record.reason is not None
