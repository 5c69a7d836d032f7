"""The main job, for real and small: trained, exported, measured, reported, used from outside."""

from __future__ import annotations

import json
import os
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
from src.run.folder import Run
from src.run.layout import as_dict
from src.system.atomic_files import sha256
from tests.conftest import ROOT
from tests.report.writers.test_html import Page

SHORT = (
    "model=resnet34",
    "data.image_size=32",
    "trainer.max_epochs=2",
    # So early many answers are near-ties, and a search would keep most of the network in float.
    "export.onnx_int8.search_seconds=0",
    "trainer.limit_train_batches=8",
    "benchmark=quick",
    "benchmark.threads=1",
)
# What test and predict look at.
READING = tuple(word for word in SHORT if not word.startswith(("export.", "benchmark.")))
FORMATS = ["eager", "torchscript", "onnx_fp32", "onnx_int8_dynamic", "onnx_int8"]


def command(
    folder: Path, module: str, *argv: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *argv],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: Any) -> tuple[Run, str]:
    """A finished run, and what the command printed."""
    folder = tmp_path_factory.mktemp("user")
    ended = command(folder, "src.train", *SHORT)
    assert ended.returncode == 0, ended.stderr
    return Run(folder / "lightning_logs" / "resnet34" / "version_0"), ended.stdout


@pytest.fixture(scope="module")
def results(trained: tuple[Run, str]) -> dict[str, Any]:
    return as_dict(trained[0].read_benchmark())


def outside(program: str, *argv: str | Path) -> Any:
    """What a program prints as JSON that runs far from this project."""
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


def test_the_run_folder_is_whole(trained: tuple[Run, str]) -> None:
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
    assert printed.strip().endswith(str(run.folder))
    for name in FORMATS:
        assert name in printed
        assert name in run.report.read_text()


def test_what_a_page_needs_is_measured_with_it(
    trained: tuple[Run, str], results: dict[str, Any]
) -> None:
    run, _ = trained
    words = "".join(Page(run.page.read_text()).words)
    assert results["command"] == f"python -m src.train {shlex.join(SHORT)}"
    assert results["training"]["val_top1"]["epochs"] == [1.0, 2.0]
    assert results["origin"]["dataset"] == "digits"
    assert results["origin"]["pretrained"] is False
    for row in results["rows"]:
        folder = run.exports / row["format"]
        # The card beside a file is no part of it.
        assert "README.md" not in row["files"]
        assert row["size_bytes"] == sum((folder / name).stat().st_size for name in row["files"])
        assert row["sha256"] == {name: sha256(folder / name) for name in row["files"]}
        exports = f"lightning_logs/{run.name}/exports"
        assert row["usage"].replace("{folder}", f"{exports}/{row['format']}") in words
        if row["status"] == "ok":
            assert f"{1e3 * row['latency'][0]['p50_s']:.2f}" in (folder / "README.md").read_text()


def test_every_cpu_row_is_ok_and_gpu_rows_say_why_not(results: dict[str, Any]) -> None:
    rows = {(row["format"], row["device"]): row for row in results["rows"]}
    assert [rows[name, "cpu"]["status"] for name in FORMATS] == ["ok"] * len(FORMATS)
    for name in ("eager", "torchscript", "onnx_fp32"):
        if not torch.cuda.is_available():
            assert rows[name, "cuda"]["status"] == "skipped"
            assert "CUDA" in rows[name, "cuda"]["reason"]
    assert results["schema_version"] == 2
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


def test_onnx_from_outside_gives_the_reports_accuracy(
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
    # One by one where an answer depends on the other images of a batch.
    for name, size in {"onnx_fp32": "64", "onnx_int8": "64", "onnx_int8_dynamic": "1"}.items():
        predicted = outside(program, trained[0].exports / name / "model.onnx", images, size)
        assert (np.array(predicted) == labels).mean() == rows[name]["accuracy"]["top1"], name


def test_torchscript_from_outside_gives_the_reports_accuracy(
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
    predicted, names = outside(program, path, images)
    row = next(row for row in results["rows"] if row["format"] == "torchscript")
    assert (np.array(predicted) == labels).mean() == row["accuracy"]["top1"]
    assert names == [str(digit) for digit in range(10)]


def test_stages_run_again_without_training(trained: tuple[Run, str]) -> None:
    run, _ = trained
    weights = run.best_checkpoint.read_bytes()
    formats = "formats=[eager,onnx_fp32]"
    ended = command(run.folder, "src.export", str(run.folder), formats, "calibration_images=8")
    assert ended.returncode == 0, ended.stderr
    assert "onnx_fp32: ok, 85." in ended.stdout
    options = ("batch_sizes=[2]", "processes=1", "rounds=2", "samples=3", "threads=1")
    ended = command(run.folder, "src.benchmark", str(run.folder), *options)
    assert ended.returncode == 0, ended.stderr
    measured = as_dict(run.read_benchmark())
    assert {row["format"] for row in measured["rows"]} == {"eager", "onnx_fp32"}
    assert [cell["batch_size"] for cell in measured["rows"][0]["latency"]] == [2]
    run.report.unlink()
    ended = command(run.folder, "src.report", str(run.folder))
    assert ended.returncode == 0, ended.stderr
    assert run.report.is_file()
    assert run.best_checkpoint.read_bytes() == weights


def test_training_goes_on_in_its_run_and_predicts(trained: tuple[Run, str]) -> None:
    run, _ = trained
    root = run.folder.parent.parent.parent
    no_stages = ("export.enabled=false", "benchmark.enabled=false")
    ended = command(root, "src.train", *SHORT, "trainer.max_epochs=3", "ckpt_path=last", *no_stages)
    assert ended.returncode == 0, ended.stderr
    assert "epoch 3/3" in ended.stdout
    assert "epoch 2/" not in ended.stdout
    assert [path.name for path in run.folder.parent.iterdir()] == ["version_0"]
    assert torch.load(run.last_checkpoint, weights_only=True)["epoch"] == 2

    ended = command(root, "src.train", "predict", *READING, "ckpt_path=best")
    assert ended.returncode == 0, ended.stderr
    lines = (run.folder / "predictions.csv").read_text().splitlines()
    assert lines[0] == "position,true,predicted,probability"
    assert len(lines) == 541
    ended = command(root, "src.train", "test", *READING, "ckpt_path=best")
    assert ended.returncode == 0, ended.stderr
    right = sum(line.split(",")[1] == line.split(",")[2] for line in lines[1:])
    printed = re.search(r"test/top1\W+([\d.]+)", ended.stdout)
    assert printed
    assert float(printed[1]) == pytest.approx(right / 540)
    assert [path.name for path in run.folder.parent.iterdir()] == ["version_0"]


def test_a_loss_that_is_not_finite_exports_nothing(tmp_path: Path) -> None:
    short = [word for word in SHORT if "benchmark" not in word]
    ended = command(
        tmp_path, "src.train", *short, "model.lr=1e30", "export.preflight=false",
        "trainer.gradient_clip_val=null",
    )  # fmt: skip
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("error: the loss is not finite at step ")
    run = tmp_path / "lightning_logs" / "resnet34" / "version_0"
    assert not (run / "exports").exists()
    assert not (run / "checkpoints").exists()


def test_two_processes_train_and_one_exports(tmp_path: Path) -> None:
    two = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
    ended = command(tmp_path, "src.train", *SHORT, *two, "export.formats=[eager,onnx_fp32]")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Run folder:") == 1
    assert ended.stdout.count("preflight:") == 1
    run = Run(tmp_path / "lightning_logs" / "resnet34" / "version_0")
    assert [path.name for path in run.folder.parent.iterdir()] == ["version_0"]
    results = as_dict(run.read_benchmark())
    assert results["dataset"]["images"] == 540
    assert [row["status"] for row in results["rows"] if row["device"] == "cpu"] == ["ok", "ok"]
    for rank in (0, 1):
        profile = json.loads((run.profile / f"rank{rank}.json").read_text())
        assert (profile["rank"], profile["notes"]) == (rank, [])
        assert all((run.profile / window["file"]).is_file() for window in profile["windows"])
        assert {f"-rank{rank}." in window["file"] for window in profile["windows"]} == {True}


def test_a_corrupt_image_is_one_line_before_training(tmp_path: Path) -> None:
    from tests.data.datasets.test_image_folder import broken_image

    broken_image(tmp_path / "photos")
    ended = command(tmp_path, "src.train", "data=image_folder", "data.root=photos")
    assert ended.returncode == 2
    assert "photos/dog/3.png: expected an image that Pillow can decode" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("lightning_logs/*/*"))


def test_a_run_folder_of_a_stranger_names_no_code(trained: tuple[Run, str], tmp_path: Path) -> None:
    from src.errors import UsageError

    config = yaml.safe_load(trained[0].config.read_text())
    config["data"]["class_path"] = "antigravity.Data"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match=r"starts with src.data.; found antigravity.Data"):
        data_of(Run(tmp_path))
    assert "antigravity" not in sys.modules
