"""Unusable outputs are refused wherever an output is read."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.benchmark.statistics.fidelity import mismatch
from src.errors import LightshipError
from src.predict.exported import ExportedFile, NonFiniteLogitsError
from src.worker.answer import UnusableAnswer, logits_of
from src.worker.stopwatch import Stopwatch
from src.worker.worker import Worker
from tests.export.test_os_errors_in_export import PREPROCESSING
from tests.support.bundle_program import predict_module

IMAGES, CLASSES = 4, 3
GOOD = np.arange(IMAGES * CLASSES, dtype=np.float32).reshape(IMAGES, CLASSES)


def with_value(value: float, *positions: int) -> np.ndarray:
    changed = GOOD.copy()
    changed[list(positions), 1] = value
    return changed


# The output, the message, and the images that the message is about.
BAD: dict[str, tuple[Any, str, tuple[int, ...]]] = {
    "a NaN": (with_value(np.nan, 2), "logits of 1 images are not finite", (2,)),
    "an infinity": (with_value(np.inf, 0, 3), "logits of 2 images are not finite", (0, 3)),
    "an infinity below zero": (with_value(-np.inf, 1), "logits of 1 images", (1,)),
    "nothing but NaN": (np.full_like(GOOD, np.nan), "logits of 4 images", (0, 1, 2, 3)),
    "beyond float32": (GOOD.astype(np.float64) * 1e300, "logits of 4 images", (0, 1, 2, 3)),
    "classes instead of logits": (GOOD.argmax(axis=1), "an answer of int64 instead of", ()),
    "whole numbers": (GOOD.astype(np.int32), "an answer of int32 instead of", ()),
    "truth values": (GOOD > 1, "an answer of bool instead of", ()),
    "complex numbers": (GOOD.astype(np.complex64), "an answer of complex64 instead of", ()),
    "a list of objects": ([None, "cat"], "an answer of object instead of", ()),
    "nothing": (None, "an answer of object instead of", ()),
    "fewer images": (GOOD[:1], "shape [1, 3] instead of [4, 3]", ()),
    "more classes": (np.tile(GOOD, 2), "shape [4, 6] instead of [4, 3]", ()),
    "another order": (GOOD.T.copy(), "shape [3, 4] instead of [4, 3]", ()),
    "a further dimension": (GOOD[..., None], "shape [4, 3, 1] instead of [4, 3]", ()),
    "a single vector": (GOOD.ravel(), "shape [12] instead of [4, 3]", ()),
    "no image at all": (GOOD[:0], "shape [0, 3] instead of [4, 3]", ()),
}
ZERO = np.zeros((IMAGES, 3, 2, 2), np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_logits_of_any_width_are_accepted(dtype: Any) -> None:
    logits = logits_of(GOOD.astype(dtype), IMAGES, CLASSES)
    assert logits.dtype == np.float32
    assert np.array_equal(logits, GOOD)


@pytest.mark.parametrize("name", BAD)
def test_an_unusable_output_is_refused_with_its_reason(name: str) -> None:
    answer, message, images = BAD[name]
    with pytest.raises(UnusableAnswer) as raised:
        logits_of(answer, IMAGES, CLASSES)
    assert message in str(raised.value)
    assert raised.value.images == images


class Planted:
    """A runtime with one answer."""

    settings: dict[str, Any] = {}  # noqa: RUF012  # it reports nothing

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, images: Any) -> Any:
        return self.answer

    def synchronize(self) -> None:
        pass

    def device_seconds(self, images: Any) -> None:
        return None


class PlantedWorker(Worker):
    """A worker that has loaded a planted runtime, and whose clock stands still."""

    def __init__(self, answer: Any) -> None:
        self._runtime = Planted(GOOD)
        self._classes = CLASSES
        self._held = None
        self._energy = None  # type: ignore[assignment]
        self.hold(ZERO)  # goes well
        self._runtime = Planted(answer)

    def _settle(self) -> bool:
        return True


def asked_by(worker: Worker, kind: str) -> None:
    asked = {
        "prediction": lambda: worker.predict(ZERO),
        "first call": lambda: worker.hold(ZERO),
        "warm-up": lambda: worker.warm_up(0.5, 0.001),
        "timing": lambda: worker.time(2, 0.001),
    }
    asked[kind]()


@pytest.mark.parametrize("kind", ["prediction", "first call", "warm-up", "timing"])
@pytest.mark.parametrize("name", ["a NaN", "whole numbers", "fewer images"])
def test_a_worker_refuses_an_unusable_output(kind: str, name: str) -> None:
    answer, message, _ = BAD[name]
    asked_by(PlantedWorker(GOOD), kind)
    with pytest.raises(UnusableAnswer) as raised:
        asked_by(PlantedWorker(answer), kind)
    assert message in str(raised.value)


@pytest.mark.parametrize("name", BAD)
def test_the_comparison_with_the_baseline_reports_an_unusable_output(name: str) -> None:
    answer, message, _ = BAD[name]
    for tolerance in (0.1, None):
        assert message in str(mismatch(np.asarray(answer), GOOD, tolerance))


def test_no_row_passes_beside_a_baseline_that_is_not_finite() -> None:
    problem = mismatch(GOOD, with_value(np.nan, 1), 0.1)
    assert problem == "nothing to compare with: of the baseline, logits of 1 images are not finite"


@pytest.mark.parametrize("name", BAD)
def test_a_prediction_with_an_unusable_output_is_an_error(name: str) -> None:
    answer, message, images = BAD[name]

    class Answering:
        def answer(self, _: Any) -> Any:
            return answer

    rule = PREPROCESSING
    file = ExportedFile("onnx_int8", Answering(), ["a", "b", "c"], rule)  # type: ignore[arg-type]
    with pytest.raises(LightshipError) as raised:
        file.logits(ZERO)
    assert message in str(raised.value)
    assert getattr(raised.value, "images", ()) == images
    assert isinstance(raised.value, NonFiniteLogitsError) == bool(images)


def shipped(answer: Any, *, embedded: bool = False) -> tuple[ModuleType, Any]:
    """The module of a bundle, and its model around a planted runtime."""
    module = predict_module()
    model = module.Model.__new__(module.Model)
    model._runtime, model.embedded = lambda _: answer, embedded
    model._one_at_a_time = False
    model.class_names = ["a", "b", "c"]
    return module, model


@pytest.mark.parametrize("name", BAD)
def test_a_bundle_reports_an_unusable_output_in_the_same_words(name: str) -> None:
    answer, message, _ = BAD[name]
    if name == "beyond float32":
        answer = np.full_like(GOOD, np.inf)  # a bundle computes in float64
    _, model = shipped(np.asarray(answer))
    with pytest.raises(ValueError, match=re.escape(message)):
        model.answer(list(ZERO))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_check_of_a_bundle_fails_if_logits_are_not_finite(
    value: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "test.png")
    expected = {"image": "test.png", "class": "b", "probabilities": [0.2, 0.5, 0.3]}
    (tmp_path / "expected.json").write_text(json.dumps(expected | {"tolerance": 1e-3}))
    for embedded in (False, True):
        answer = np.array([0.2, value, 0.3], np.float32)
        module, model = shipped(answer if embedded else answer[None], embedded=embedded)
        model.prepare = lambda _: ZERO[0]
        monkeypatch.setattr(module, "HERE", tmp_path)
        assert "logits of 1 images are not finite" in str(module.check(model))
        monkeypatch.setattr(module, "Model", lambda **_: model)  # noqa: B023
        for words in (["--check"], [str(tmp_path / "test.png")]):
            monkeypatch.setattr(sys, "argv", ["predict.py", *words])
            with pytest.raises(SystemExit) as ended:
                module.main()
            # A text as the exit code is printed by Python, and is exit code 1.
            output = f"{ended.value.code}\n{capsys.readouterr().err}"
            assert "error: " in output
            assert "logits of 1 images are not finite" in output
            assert ended.value.code not in {None, 0}


def test_timing_keeps_the_answer_of_its_latest_call() -> None:
    stopwatch = Stopwatch(Planted(GOOD), ZERO)  # type: ignore[arg-type]
    stopwatch.once()
    assert stopwatch.answer is GOOD
