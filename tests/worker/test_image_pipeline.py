"""Timing from the bytes of an image file to its label, with planted and with real stages."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.backends.base import Profile
from src.data.preprocessing import Preprocessing
from src.run.pipeline import DECODERS, STAGES
from src.shipped import jpeg_decoders, predict, predict_images
from src.worker import pipeline, protocol
from src.worker.pipeline import ImagePipeline
from tests.conftest import ROOT
from tests.support import photos

FACTS = Preprocessing(24, "crop").facts()


class Network:
    """A network of a matrix, whose clock may be planted."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.weights = np.random.default_rng(0).normal(size=(3 * 24 * 24, 7)).astype(np.float32)
        self.now = 0.0
        self.seconds = 0.0

    def __call__(self, images: Any) -> Any:
        self.now += self.seconds
        return images.reshape(len(images), -1) @ self.weights

    def synchronize(self) -> None:
        pass

    def device_seconds(self, images: Any) -> float | None:
        return None

    def profile(self, images: Any, trace: Path | None = None) -> Profile:
        return Profile()


def jpeg(side: int, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photos.pixels(side, side, seed)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


FILES = [jpeg(60 + 10 * seed, seed) for seed in range(3)]


def request(**changes: Any) -> protocol.TimePipeline:
    chosen = {"decoder": "pillow", "files": [0, 1, 2], "samples": 30, "max_seconds": 1.0}
    return protocol.TimePipeline(**{**chosen, **changes})


class Planted:
    """A pipeline whose stages take planted seconds by a planted clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, beside: float = 0.0, **seconds: float):
        self.network = Network()
        self.network.seconds = seconds.get("infer", 0.0)
        self.beside = beside
        self.decoded: list[int] = []
        for stage, name in (
            ("decode", "read_image"),
            ("resize", "resize"),
            ("convert", "as_input"),
            ("label", "softmax"),
        ):
            self._delay(monkeypatch, name, seconds.get(stage, 0.0))
        monkeypatch.setattr(pipeline, "wait_until_idle", lambda: True)
        self.pipeline = ImagePipeline(
            self.network, FACTS, FILES, clock=self.clock, cpu_clock=lambda: 2 * self.network.now
        )

    def clock(self) -> float:
        self.network.now += self.beside  # the cost of reading the clock
        return self.network.now

    def _delay(self, monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
        module = predict if name == "softmax" else predict_images
        function = getattr(module, name)

        def delayed(*arguments: Any, **named: Any) -> Any:
            self.network.now += seconds
            if name == "read_image":
                self.decoded.append(FILES.index(arguments[0].getvalue()))
            return function(*arguments, **named)

        monkeypatch.setattr(module, name, delayed)


def test_every_stage_is_timed_by_itself_and_all_within_an_outer_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {"decode": 4.0, "resize": 3.0, "convert": 0.5, "infer": 2.0, "label": 0.25}
    planted = Planted(monkeypatch, **seconds)
    answer = planted.pipeline.time(request(max_seconds=35.0))
    assert answer.stages == {stage: [seconds[stage]] * 6 for stage in STAGES}
    assert answer.timing.seconds == [9.75] * 6
    assert answer.timing.elapsed_seconds == 58.5
    assert answer.timing.cpu_seconds == 117.0


def test_all_files_of_a_turn_are_taken_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Planted(monkeypatch, decode=100.0)
    assert len(slow.pipeline.time(request(files=[2, 0], samples=1)).timing.seconds) == 2
    assert slow.decoded == [2, 2, 0]  # the first one before the turn, to warm up
    with pytest.MonkeyPatch.context() as patch:
        fast = Planted(patch, decode=1e-3)
        answer = fast.pipeline.time(request(samples=20, max_seconds=10))
        assert len(answer.timing.seconds) == 18  # whole passes over three files
        assert fast.decoded[-18:] == [0, 1, 2] * 6


@pytest.mark.parametrize("is_warm", [True, False])
def test_a_warm_up_takes_the_chosen_files_once_and_then_the_first_of_them(
    monkeypatch: pytest.MonkeyPatch, *, is_warm: bool
) -> None:
    planted = Planted(monkeypatch)
    network, calls = planted.network, iter([1.0] * 5 if is_warm else 0.9 ** np.arange(20))
    plain = Network.__call__

    def slower(self: Network, images: Any) -> Any:
        self.seconds = float(next(calls))
        return plain(self, images)

    monkeypatch.setattr(Network, "__call__", slower)
    answer = planted.pipeline.warm_up([2, 0, 1], tolerance=0.02, max_seconds=7.0)
    assert answer.warm == is_warm
    assert answer.seconds == network.now
    assert planted.decoded[:3] == [2, 0, 1]
    assert {*planted.decoded[3:]} == {2}
    assert is_warm == (len(planted.decoded) == 5)


@pytest.mark.parametrize(("beside", "is_refused"), [(0.01, False), (0.2, True)])
def test_time_outside_of_all_stages_is_refused_beyond_three_percent(
    monkeypatch: pytest.MonkeyPatch, beside: float, is_refused: bool
) -> None:
    planted = Planted(monkeypatch, beside=beside, decode=4.0)
    if not is_refused:
        planted.pipeline.time(request(samples=1))
        return
    with pytest.raises(RuntimeError, match="the stages of the pipeline miss the whole by"):
        planted.pipeline.time(request(samples=1))


def test_the_stages_of_real_files_add_up_and_the_label_is_the_networks() -> None:
    network = Network()
    for file in FILES:
        timed = ImagePipeline(network, FACTS, [file])
        pixels = predict_images.preprocess(predict_images.read_image(io.BytesIO(file)), timed._rule)
        assert timed.classify().label == network(pixels[None]).argmax()
    timed = ImagePipeline(network, FACTS, FILES)
    answer = timed.time(request(samples=60, max_seconds=0.2))
    sums = np.sum([answer.stages[stage] for stage in STAGES], axis=0)
    share = np.median(sums / np.asarray(answer.timing.seconds))
    assert 0.97 <= share <= 1
    assert all(min(answer.stages[stage]) > 0 for stage in STAGES)
    assert sum(answer.timing.seconds) <= answer.timing.elapsed_seconds


def test_a_smaller_jpeg_is_decoded_where_the_draft_is_asked_for() -> None:
    sides: list[tuple[int, int]] = []
    large = jpeg(400)
    with pytest.MonkeyPatch.context() as patch:
        function = predict_images.resize
        patch.setattr(
            predict_images,
            "resize",
            lambda image, rule: sides.append(image.size) or function(image, rule),
        )
        timed = ImagePipeline(Network(), FACTS, [large])
        for decoder in ("pillow", "pillow_draft", "simplejpeg"):
            if decoder == "simplejpeg":
                pytest.importorskip("simplejpeg")
            timed.once(large, decoder)  # type: ignore[arg-type]
    # At least 27, the side that is resized to.
    assert sides == [(400, 400), (50, 50), (50, 50)]


def test_decoders_are_imported_before_the_timing_or_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []

    def load(name: str) -> None:
        loaded.append(name)
        if name == "opencv":
            raise jpeg_decoders.MissingDecoderError("no opencv")

    monkeypatch.setattr(jpeg_decoders, "load", load)
    held = ImagePipeline(Network(), FACTS, FILES).classify(DECODERS, ["onnxruntime"])
    assert loaded == ["simplejpeg", "opencv"]
    assert held.left_out == {
        "opencv": "no opencv",
        "torchvision": "it needs torch, which the file runs without",
    }
    with_torch = ImagePipeline(Network(), FACTS, FILES).classify(DECODERS, ["torch"])
    assert with_torch.left_out == {"opencv": "no opencv"}
    assert ImagePipeline(Network(), FACTS, FILES).classify().left_out == {}


def test_an_answer_that_is_no_number_is_an_error() -> None:
    network = Network()
    network.weights[:] = np.nan
    with pytest.raises(ValueError, match="logits of 1 images are not finite"):
        ImagePipeline(network, FACTS, FILES).classify()


def test_a_worker_imports_pillow_and_numpy_and_no_other_runtime() -> None:
    code = (
        "import sys, src.worker.server\n"
        "assert {'numpy', 'PIL'} <= set(sys.modules)\n"
        "others = {'torch', 'torchvision', 'onnxruntime', 'openvino', 'lightning', 'cv2'}\n"
        "print((others | {'simplejpeg'}) & set(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ended.stdout == "set()\n"
