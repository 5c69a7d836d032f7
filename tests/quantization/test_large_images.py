"""The search for a recipe gives large images in calls that are bounded by pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from src.backends.base import Unavailable
from src.backends.onnx import tensors
from src.quantization.evaluation import Evaluator
from src.quantization.executorch.sensitivity import sensitivity_order
from src.quantization.onnx.calibration import Calibrations
from src.quantization.onnx.quantization_error import tensor_errors
from src.quantization.openvino import crash_check
from src.quantization.openvino.candidates import OpenVinoCandidates
from src.run import call_size
from tests.quantization.onnx_models import chain, images

METHODS = ("minmax", "average", "percentile 99.99", "entropy")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(chain(), path)
    return path


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each call of ONNX Runtime."""
    import onnxruntime

    run = onnxruntime.InferenceSession.run
    noted: list[int] = []

    def noting(session: Any, outputs: Any, feeds: dict[str, Any], *more: Any) -> Any:
        noted.append(len(feeds["images"]))
        return run(session, outputs, feeds, *more)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", noting)
    return noted


def let_these_be_large(patch: pytest.MonkeyPatch) -> None:
    """Let 8 x 8 pixels be four times as many as a call of full size has of each image."""
    patch.setattr(call_size, "_LARGE", 8 * 8 // 4)


def ranges_of(method: Any, file: Path, drawn: np.ndarray, folder: Path) -> dict[str, Any]:
    return Calibrations(file, drawn, folder).ends(method)


@pytest.mark.parametrize("first", [1.0, 1e-6, 0.0])
@pytest.mark.parametrize("method", METHODS)
def test_the_ranges_of_large_images_are_those_of_calls_of_full_size(
    method: str,
    first: float,
    model: Path,
    tmp_path: Path,
    sizes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = images(37)
    drawn[0] *= first  # the bins of its own values would be far too narrow for the others
    drawn[20:] *= 3
    expected = ranges_of(method, model, drawn, tmp_path)
    assert max(sizes) == (16 if method in {"minmax", "average"} else 8)
    sizes.clear()
    let_these_be_large(monkeypatch)
    ranges = ranges_of(method, model, drawn, tmp_path)
    assert max(sizes) <= 4
    assert ranges.keys() == expected.keys()
    for name, ends in expected.items():
        assert ranges[name] == pytest.approx(ends, rel=1e-5)


def quantized(model: Path, folder: Path) -> Path:
    from onnxruntime.quantization import QuantFormat, quantize_static

    from src.quantization.onnx.calibration import _reader

    target = folder / "int8.onnx"
    quantize_static(model, target, _reader([images(8)]), quant_format=QuantFormat.QDQ)
    return target


def test_the_errors_of_tensors_are_those_of_calls_of_full_size(
    model: Path, tmp_path: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, drawn = quantized(model, tmp_path), images(19)
    drawn[5] *= 4
    expected = tensor_errors(model, file, drawn)
    sizes.clear()
    let_these_be_large(monkeypatch)
    errors = {
        (error.tensor, error.kind): error.sqnr_db for error in tensor_errors(model, file, drawn)
    }
    assert max(sizes) <= 2
    assert len(errors) == len(expected) > 6
    for error in expected:
        assert errors[error.tensor, error.kind] == pytest.approx(error.sqnr_db, abs=1e-3)


def test_activations_are_taken_from_bounded_calls(
    model: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_these_be_large(monkeypatch)
    loaded, drawn = onnx.load(model), images(9)
    values = [call["logits"] for call in tensors.activations(loaded, ["logits"], drawn)]
    assert sizes == [2, 2, 2, 2, 1] == [len(value) for value in values]


def test_an_evaluation_has_bounded_calls_and_the_same_result() -> None:
    class Runtime:
        def __init__(self) -> None:
            self.calls: list[int] = []

        def __call__(self, given: np.ndarray) -> np.ndarray:
            self.calls.append(len(given))
            return np.stack([given[:, 0, 0, 0], given[:, 1, 0, 0]], axis=1)

    count, side = 67, 1024
    drawn = np.broadcast_to(images(count)[:, :, :1, :1], (count, 3, side, side))
    labels = (drawn[:, 1, 0, 0] > drawn[:, 0, 0, 0]).astype(np.int64)
    runtime: Any = Runtime()
    evaluation = Evaluator(runtime, drawn, labels).reference
    assert (evaluation.accuracy, evaluation.agreement) == (1.0, 1.0)
    assert max(runtime.calls) == 2


def test_the_order_of_layers_is_that_of_a_call_of_full_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(3, 4),
    ).eval()
    with torch.no_grad():
        network[1].weight[0] *= 300  # its other channels are rounded away
    drawn = torch.randn(8, 3, 8, 8)
    counts: list[int] = []
    network[0].register_forward_hook(lambda *call: counts.append(len(call[2])))
    expected = sensitivity_order(network, drawn)
    let_these_be_large(monkeypatch)
    assert sensitivity_order(network, drawn) == expected
    assert counts == [8, 8, *[2] * 8]


def test_the_crash_check_runs_as_many_large_images_as_an_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    monkeypatch.setattr(openvino, "save_model", lambda *_, **__: None)
    saved: list[int] = []
    monkeypatch.setattr(crash_check.np, "save", lambda _, given: saved.append(len(given)))
    monkeypatch.setattr(crash_check, "run_module", ended_with(0))
    for side in (64, 1024):
        drawn = np.broadcast_to(np.float32(0), (40, 3, side, side))
        assert crash_check.crash(None, drawn, "f32", tmp_path) is None  # type: ignore[arg-type]
    assert saved == [32, 2]


def ended_with(code: int) -> Callable[..., Any]:
    class Ended:
        returncode = code
        stderr = ""

    return lambda *_, **__: Ended


@pytest.mark.parametrize(
    ("codes", "words", "remedy"),
    [
        ([-9], "is killed by signal 9, as when memory runs out", "free memory"),
        ([-11], "ends its process with signal 11", "ONEDNN_MAX_CPU_ISA"),
        ([-4], "ends its process with signal 4", "ONEDNN_MAX_CPU_ISA"),
        ([3], "ends with exit code 3", "ONEDNN_MAX_CPU_ISA"),
        ([-9, -11], "ends its process with signal 11, is killed", "ONEDNN_MAX_CPU_ISA"),
    ],
)
def test_a_graph_that_is_killed_blames_the_memory_and_not_the_instruction_set(
    codes: list[int], words: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    monkeypatch.setattr(openvino, "save_model", lambda *_, **__: None)
    reasons = {}
    for code in codes:
        monkeypatch.setattr(crash_check, "run_module", ended_with(code))
        graph: Any = None
        reasons[code] = crash_check.crash(graph, images(2), "f32", tmp_path)

    class Trials:
        tried = ()
        cannot_run = reasons

    trials: Any = Trials
    searched = OpenVinoCandidates.__new__(OpenVinoCandidates)
    searched._presets = ()
    with pytest.raises(Unavailable, match=words) as raised:
        list(searched.accuracy_recipes(trials))
    assert remedy in str(raised.value)
    assert ("ONEDNN_MAX_CPU_ISA" in str(raised.value)) is (codes != [-9])
