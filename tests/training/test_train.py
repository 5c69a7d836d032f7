"""The train command on small data: trained, exported, measured, reported, used from outside."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from src.data.restore import data_of
from src.errors import UsageError
from src.run.folder import Run
from src.run.layout import as_dict
from src.system.atomic_files import sha256
from tests.report.writers.parsed_page import Page
from tests.support.warm_command import command, commands

OPTIONS = (
    "data.image_size=32",
    "trainer.max_epochs=2",
    # So early in training many logits are near-ties; a search would keep most layers in float.
    "export.onnx_int8.search_seconds=0",
    "trainer.limit_train_batches=8",
    "benchmark=quick",
    "benchmark.threads=1",
)
# Residual, with BatchNorm and 0.4 M parameters: the files of a larger one take most of the time.
# The slow tests have the default network.
# With its rate it learns enough in 16 batches that few of its answers are near-ties.
SMALL = ("model=timm/test_resnet", "model.lr=0.01")
SHORT = (*SMALL, *OPTIONS)

FORMATS = ["eager", "torchscript", "onnx_fp32", "onnx_int8_dynamic", "onnx_int8"]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(SMALL, id="timm/test_resnet"),
        pytest.param(("model=resnet34",), id="resnet34", marks=pytest.mark.slow),
    ],
)
def words(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The command line of the training."""
    return (*request.param, *OPTIONS)


@pytest.fixture(scope="module")
def trained(words: tuple[str, ...], tmp_path_factory: Any) -> tuple[Run, str]:
    """Train once; return the run and the output of the command."""
    folder = tmp_path_factory.mktemp("user")
    process = command(folder, "src.train", *words)
    assert process.returncode == 0, process.stderr
    [run] = (folder / "lightning_logs").glob("*/version_0")
    return Run(run), process.stdout


@pytest.fixture(scope="module")
def results(trained: tuple[Run, str]) -> dict[str, Any]:
    return as_dict(trained[0].read_benchmark())


def run_outside(program: str, *argv: str | Path) -> Any:
    """Run a program outside this project; return the JSON that it prints."""
    answer = subprocess.run(
        [sys.executable, "-c", program, *argv], cwd="/", capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def held_out(run: Run, folder: Path) -> tuple[Path, np.ndarray]:
    images, labels = (
        np.concatenate(part) for part in zip(*data_of(run).batches("test"), strict=True)
    )
    np.save(folder / "images.npy", images)
    return folder / "images.npy", labels


def test_the_run_folder_contains_every_expected_file(trained: tuple[Run, str]) -> None:
    run, printed = trained
    assert {path.name for path in run.exports.iterdir()} == {*FORMATS, "manifest.json", "probe.npz"}
    for file in (
        *(run.config, run.best_checkpoint, run.last_checkpoint, run.benchmark, run.report),
        *(run.page, run.command),
        *(
            run.folder / f"{name}.png"
            for name in ("tradeoff", "latency_batch_1", "size", "training")
        ),
        *(run.exports / name / "README.md" for name in FORMATS),
    ):
        assert file.is_file(), file
    assert list(run.folder.glob("events.out.tfevents*"))
    assert printed.count("preflight:") == 1
    assert printed.strip().endswith(str(run.folder))
    for name in FORMATS:
        assert name in printed
        assert name in run.report.read_text()


def test_the_measurement_holds_everything_that_the_report_needs(
    trained: tuple[Run, str], words: tuple[str, ...], results: dict[str, Any]
) -> None:
    run, _ = trained
    shown = "".join(Page(run.page.read_text()).words)
    assert results["command"] == f"python -m src.train {shlex.join(words)}"
    assert results["training"]["val_top1"]["epochs"] == [1.0, 2.0]
    assert results["origin"]["dataset"] == "digits"
    assert results["origin"]["pretrained"] is False
    for row in results["rows"]:
        folder = run.exports / row["format"]
        # The model card beside a file is not counted.
        assert "README.md" not in row["files"]
        assert row["size_bytes"] == sum((folder / name).stat().st_size for name in row["files"])
        assert row["sha256"] == {name: sha256(folder / name) for name in row["files"]}
        exports = f"lightning_logs/{run.name}/exports"
        assert row["usage"].replace("{folder}", f"{exports}/{row['format']}") in shown
        if row["status"] == "ok":
            assert f"{1e3 * row['latency'][0]['p50_s']:.2f}" in (folder / "README.md").read_text()


def test_every_cpu_row_is_ok_and_gpu_rows_give_the_reason_of_the_skip(
    results: dict[str, Any],
) -> None:
    rows = {(row["format"], row["device"]): row for row in results["rows"]}
    assert [rows[name, "cpu"]["status"] for name in FORMATS] == ["ok"] * len(FORMATS)
    for name in ("eager", "torchscript", "onnx_fp32"):
        if not torch.cuda.is_available():
            assert rows[name, "cuda"]["status"] == "skipped"
            assert "CUDA" in rows[name, "cuda"]["reason"]
    assert results["schema_version"] == 6
    scored = results["dataset"]
    assert (scored["name"], scored["split"], scored["images"]) == ("digits", "test", 540)
    assert scored["also_in_calibration"] == 0
    assert results["environment"]["threads"] == 1


def test_formats_of_the_same_precision_have_the_same_accuracy(results: dict[str, Any]) -> None:
    cpu = {row["format"]: row for row in results["rows"] if row["device"] == "cpu"}
    assert cpu["eager"]["accuracy"]["agreement"] == 1.0
    for name in ("torchscript", "onnx_fp32"):
        assert cpu[name]["accuracy"]["top1"] == cpu["eager"]["accuracy"]["top1"]
    assert cpu["onnx_int8"]["size_bytes"] <= 0.30 * cpu["onnx_fp32"]["size_bytes"]


def test_the_best_weights_are_exported(trained: tuple[Run, str], results: dict[str, Any]) -> None:
    from safetensors.torch import load_file

    run, _ = trained
    best = torch.load(run.best_checkpoint, weights_only=True)
    exported = load_file(run.exports / "eager" / "model.safetensors")
    assert exported
    for name, value in exported.items():
        assert torch.equal(value, best["state_dict"][f"network.{name}"])
    assert results["checkpoint"]["epoch"] == best["epoch"]


def test_onnx_files_reach_the_reported_accuracy_without_lightship(
    trained: tuple[Run, str], results: dict[str, Any], tmp_path: Path
) -> None:
    program = """
import json, sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
images, size = numpy.load(sys.argv[2]), int(sys.argv[3])
logits = numpy.concatenate([session.run(None, {"images": images[start:start + size]})[0]
                            for start in range(0, len(images), size)])
assert not {"torch", "src"} & set(sys.modules)
print(json.dumps(logits.argmax(1).tolist()))
"""
    images, labels = held_out(trained[0], tmp_path)
    rows = {row["format"]: row for row in results["rows"] if row["device"] == "cpu"}
    # Single images for dynamic quantization, whose scales depend on the whole batch.
    for name, size in {"onnx_fp32": "64", "onnx_int8": "64", "onnx_int8_dynamic": "1"}.items():
        predicted = run_outside(program, trained[0].exports / name / "model.onnx", images, size)
        assert (np.array(predicted) == labels).mean() == rows[name]["accuracy"]["top1"], name


def test_torchscript_files_reach_the_reported_accuracy_without_lightship(
    trained: tuple[Run, str], results: dict[str, Any], tmp_path: Path
) -> None:
    program = """
import json, sys
import numpy, torch
extra = {"lightship.json": ""}
module = torch.jit.load(sys.argv[1], _extra_files=extra)
images = torch.from_numpy(numpy.load(sys.argv[2]))
with torch.inference_mode():
    logits = torch.cat([module(batch) for batch in images.split(64)])
assert "src" not in sys.modules
print(json.dumps([logits.argmax(1).tolist(), json.loads(extra["lightship.json"])["class_names"]]))
"""
    images, labels = held_out(trained[0], tmp_path)
    path = trained[0].exports / "torchscript" / "model.pt"
    predicted, names = run_outside(program, path, images)
    row = next(row for row in results["rows"] if row["format"] == "torchscript")
    assert (np.array(predicted) == labels).mean() == row["accuracy"]["top1"]
    assert names == [str(digit) for digit in range(10)]


def test_stages_run_again_without_training(trained: tuple[Run, str]) -> None:
    run, _ = trained
    weights = run.best_checkpoint.read_bytes()
    formats = "formats=[eager,onnx_fp32]"
    options = ("batch_sizes=[2]", "processes=1", "rounds=2", "samples=3", "threads=1")
    process = commands(
        run.folder,
        ("src.export", str(run.folder), formats, "calibration_images=8"),
        ("src.benchmark", str(run.folder), *options),
    )
    assert process.returncode == 0, process.stderr
    size = sum(file.bytes for file in run.read_manifest().formats["onnx_fp32"].files)
    assert f"onnx_fp32: ok, {size / 1e6:.1f} MB" in process.stdout
    rows = run.read_benchmark().rows
    assert {row.format for row in rows} == {"eager", "onnx_fp32"}
    assert [cell.batch_size for cell in rows[0].latency or []] == [2]
    run.report.unlink()
    process = command(run.folder, "src.report", str(run.folder))
    assert process.returncode == 0, process.stderr
    assert run.report.is_file()
    assert run.best_checkpoint.read_bytes() == weights


def test_training_resumes_in_its_run_and_predicts(
    trained: tuple[Run, str], words: tuple[str, ...]
) -> None:
    run, _ = trained
    root = run.folder.parent.parent.parent
    no_stages = ("export.enabled=false", "benchmark.enabled=false")
    process = command(
        root, "src.train", *words, "trainer.max_epochs=3", "ckpt_path=last", *no_stages
    )
    assert process.returncode == 0, process.stderr
    assert "epoch 3/3" in process.stdout
    assert "epoch 2/" not in process.stdout
    assert [path.name for path in run.folder.parent.iterdir()] == ["version_0"]
    assert torch.load(run.last_checkpoint, weights_only=True)["epoch"] == 2

    # Options that test and predict accept.
    reading = [word for word in words if not word.startswith(("export", "benchmark"))]
    process = commands(
        root,
        ("src.train", "predict", *reading, "ckpt_path=best"),
        ("src.train", "test", *reading, "ckpt_path=best"),
    )
    assert process.returncode == 0, process.stderr
    lines = (run.folder / "predictions.csv").read_text().splitlines()
    assert lines[0] == "position,true,predicted,probability,image"
    assert len(lines) == 541
    correct = sum(line.split(",")[1] == line.split(",")[2] for line in lines[1:])
    printed = re.search(r"test/top1\W+([\d.]+)", process.stdout)
    assert printed
    assert float(printed[1]) == pytest.approx(correct / 540)
    assert [path.name for path in run.folder.parent.iterdir()] == ["version_0"]


def test_the_configuration_of_a_run_cannot_import_foreign_code(
    trained: tuple[Run, str], tmp_path: Path
) -> None:
    config = yaml.safe_load(trained[0].config.read_text())
    config["data"]["class_path"] = "antigravity.Data"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match=r"starts with src.data.; found antigravity.Data"):
        data_of(Run(tmp_path))
    assert "antigravity" not in sys.modules
