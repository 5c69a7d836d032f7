"""What breaks in an export, a measurement or a prediction: its row fails, and says what to do."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.data.preprocessing import Preprocessing
from src.errors import LightshipError
from src.export import __main__ as export_command
from src.export import stage
from src.formats.onnx_fp32 import OnnxFp32
from src.formats.torchscript import TorchScript
from src.predict.exported import ExportedFile
from src.run.folder import Run
from src.worker.server import _reason
from tests.faults.test_disk import SIDE, export, write_checkpoint

PREPROCESSING = Preprocessing(SIDE, "squash", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    found = Run(tmp_path)
    write_checkpoint(found, 1)
    return found


def fail(error: Exception) -> Any:
    def failing(*_: Any, **__: Any) -> None:
        raise error

    return failing


def test_a_format_that_runs_out_of_memory_fails_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(run, ["torchscript"])
    old = (run.exports / "torchscript" / "model.pt").read_bytes()
    monkeypatch.setattr(TorchScript, "export", fail(MemoryError("Unable to allocate 9 TiB")))
    with pytest.raises(LightshipError, match=r"1 failed \(torchscript\)"):
        export(run, ["torchscript", "eager"])
    entries = run.read_manifest().formats
    assert entries["eager"].status == "ok"
    assert entries["torchscript"].reason == (
        "out of memory: Unable to allocate 9 TiB; fewer export.calibration_images and "
        "export.judging_images take less; so does a smaller data.image_size in another training"
    )
    assert (run.exports / "torchscript" / "model.pt").read_bytes() == old


def test_a_worker_that_runs_out_of_memory_says_what_takes_less() -> None:
    assert _reason(MemoryError("Unable to allocate 9 TiB")) == (
        "out of memory: Unable to allocate 9 TiB; smaller benchmark.batch_sizes take less"
    )


def test_a_missing_package_is_a_skipped_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "onnxscript" else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert "onnxscript" in OnnxFp32.requires
    export(run, ["onnx_fp32", "eager"])  # which is no failure of the command
    entries = run.read_manifest().formats
    assert entries["onnx_fp32"].status == "skipped"
    assert entries["onnx_fp32"].reason == "not installed: onnxscript"
    assert entries["eager"].status == "ok"


def test_logits_that_are_no_numbers_are_no_prediction() -> None:
    class Worker:
        def answer(self, images: Any) -> Any:
            return np.array([[1.0, 2.0], [np.nan, 2.0]], np.float32)

    rule = PREPROCESSING
    file = ExportedFile("onnx_int8", Worker(), ["cat", "dog"], rule)  # type: ignore[arg-type]
    with pytest.raises(LightshipError, match="onnx_int8: the logits of 1 images are not finite"):
        file.logits(np.zeros((2, 3, SIDE, SIDE), np.float32))


def test_an_export_of_which_a_format_failed_ends_with_1(
    run: Run,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = tmp_path_factory.mktemp("photos")
    for number in range(16):
        (photos / ("cat", "dog")[number % 2]).mkdir(exist_ok=True)
        image = Image.new("RGB", (SIDE, SIDE), (number, 0, 0))
        image.save(photos / ("cat", "dog")[number % 2] / f"{number}.png")
    options = {"root": str(photos), "image_size": SIDE, "num_workers": 0}
    data = {"class_path": "src.data.datasets.image_folder.ImageFolder", "init_args": options}
    run.config.write_text(f"data: {data}\n")
    monkeypatch.setattr(TorchScript, "export", fail(ValueError("[it] broke")))
    words = ("formats=[eager,torchscript]", "calibration_images=2", "judging_images=0")
    monkeypatch.setattr(sys, "argv", ["export", str(run.folder), *words])
    with pytest.raises(SystemExit) as ended:
        export_command.run_command(export_command.main)
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert "torchscript: failed, ValueError: [it] broke" in printed.out
    assert "error: export.formats: 1 failed (torchscript)" in printed.err
    assert stage.PROBE in {path.name for path in run.exports.iterdir()}
