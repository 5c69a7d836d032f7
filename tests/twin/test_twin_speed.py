"""The speed of a trained twin, beside the plain files of its network and the exported int8 file."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from src.backends.onnx.runtime import OnnxRuntime
from src.run.folder import Run
from src.system import atomic_files
from src.twin import exported, speed
from src.twin.fake_quantization import FakeQuantization
from tests.report.writers.test_cards import manifest

SHA = "abc"  # of the checkpoint in the planted manifest
PIXELS = {"dtype": "uint8", "layout": "NHWC", "normalised": False}


def plant(run: Run, model: Path, **changes: Any) -> Path:
    """Write a manifest of an exported int8 file; return the file."""
    file = run.exports / "onnx_int8" / "model.onnx"
    file.parent.mkdir(parents=True)
    shutil.copy(model, file)
    written = {"path": file.name, "bytes": 1, "sha256": atomic_files.sha256(file)}
    entry = {**manifest()["formats"]["onnx"], "files": [written], **changes}
    run.manifest.write_text(json.dumps(manifest(formats={"onnx_int8": entry})))
    return file


@pytest.fixture
def model(quantization: FakeQuantization, tmp_path: Path) -> Path:
    """The network's float graph."""
    path = tmp_path / "network.onnx"
    quantization.write(quantization.network(), path)
    return path


def test_the_exported_file_of_the_checkpoint_is_found(run: Run, model: Path) -> None:
    assert exported.int8_file(run, SHA) is None  # nothing was exported
    file = plant(run, model)
    assert exported.int8_file(run, SHA) == file
    assert exported.int8_file(run, "of other weights") is None


def remove(file: Path) -> None:
    file.unlink()


def change(file: Path) -> None:
    file.write_bytes(b"another")


def damage_the_manifest(file: Path) -> None:
    (file.parents[1] / "manifest.json").write_text("{")


@pytest.mark.parametrize("harm", [remove, change, damage_the_manifest])
def test_a_file_that_is_not_as_it_was_exported_is_not_timed(
    harm: Callable[[Path], None], run: Run, model: Path
) -> None:
    harm(plant(run, model))
    assert exported.int8_file(run, SHA) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed", "reason": "no"},
        {"status": "skipped", "reason": "no"},
        {"input": PIXELS},
    ],
)
def test_an_export_without_a_file_that_takes_floats_is_not_timed(
    changes: dict[str, Any], run: Run, model: Path
) -> None:
    plant(run, model, **changes)
    assert exported.int8_file(run, SHA) is None


def planted_making(
    run: Run, quantization: FakeQuantization, images: torch.Tensor, lines: list[str]
) -> Any:
    @contextlib.contextmanager
    def quantized(_: object) -> Iterator[FakeQuantization]:
        yield quantization

    return SimpleNamespace(
        run=run,
        images=images,
        network=quantization.source.network,
        checkpoint=SimpleNamespace(sha256=SHA),
        choice=quantization.choice,
        quantized=quantized,
        report=lines.append,
    )


def test_the_twins_file_is_timed_beside_the_plain_one_and_the_exported_one(
    run: Run,
    model: Path,
    quantization: FakeQuantization,
    images: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs: list[tuple[str, str]] = []

    def timed(runtime: OnnxRuntime, other: OnnxRuntime, image: object) -> float:
        pairs.append((runtime._path.name, other._path.name))
        return float(len(pairs))

    monkeypatch.setattr(speed, "speedup_in_turn", timed)
    monkeypatch.setattr(exported, "speedup_in_turn", timed)
    lines: list[str] = []
    making = planted_making(run, quantization, images, lines)
    ranges = quantization.ranges()
    assert speed.measured(making, model, ranges) == speed.Speedups(1.0, 2.0, None)
    plant(run, model)
    assert speed.measured(making, model, ranges) == speed.Speedups(3.0, 4.0, 5.0)
    assert pairs[0] == ("int8_0.onnx", "int8_1.onnx")
    assert pairs[4] == ("int8_0.onnx", "model.onnx")
    assert lines == []


def test_an_exported_file_that_does_not_run_here_is_told_and_left_out(
    run: Run, model: Path, images: torch.Tensor
) -> None:
    runtime = OnnxRuntime(model, "cpu", 1)
    model.write_bytes(b"of a later onnxruntime")
    plant(run, model)
    lines: list[str] = []
    report: Any = lines.append
    assert exported.speedup_over(run, SHA, runtime, images[:1].numpy(), report) is None
    assert len(lines) == 1
    assert lines[0].startswith("not timed beside onnx_int8, which does not run: ")
