"""Each example, run as its head says, gives the classes and probabilities of the evaluation."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.data.pipeline.image_file import read_image
from src.run.folder import Run
from tests.conftest import ROOT
from tests.deployment.conftest import Evaluation, evaluate
from tests.deployment.test_bundle import bundled
from tests.support import damaged_images, photos

Evaluated = Callable[[str], Evaluation]
EXAMPLES = ROOT / "examples"
WITHIN = 1e-3
# Without what this project needs on the path: an example stands alone.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def lines(command: list[str | Path], **options: Any) -> list[str]:
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=ENVIRONMENT, **options
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def require_answers(expected: Evaluation, answers: list[dict[str, Any]]) -> None:
    assert [answer["image"] for answer in answers] == [str(path) for path in expected.paths]
    assert [answer["class"] for answer in answers] == expected.classes
    probabilities = np.array([answer["probabilities"] for answer in answers])
    assert np.abs(probabilities - expected.probabilities).max() < WITHIN


def upright(paths: list[Path], folder: Path, suffix: str) -> list[Path]:
    """Write the images as 8 bit RGB files in a lossless format."""
    folder.mkdir()
    written = [folder / f"{number:03}{suffix}" for number in range(len(paths))]
    for path, target in zip(paths, written, strict=True):
        read_image(path).save(target)
    return written


def renamed(expected: Evaluation, paths: list[Path]) -> Evaluation:
    return Evaluation(paths, expected.probabilities, expected.labels)


def test_the_python_example_predicts_as_the_evaluation_without_torch(
    run: Run, evaluation: Evaluated, tmp_path: Path
) -> None:
    expected = evaluation("onnx_fp32")
    paths = upright(expected.paths, tmp_path / "pictures", ".png")
    model = run.exports / "onnx_fp32_embedded" / "model.onnx"
    answers = lines([sys.executable, EXAMPLES / "python" / "classify.py", model, *paths])
    require_answers(renamed(expected, paths), [json.loads(line) for line in answers])


@contextlib.contextmanager
def service(bundle: Path) -> Iterator[str]:
    """Start the HTTP service and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = EXAMPLES / "http_service" / "service.py"
    with subprocess.Popen(
        [sys.executable, program, "--port", str(port)],
        env={**ENVIRONMENT, "BUNDLE": str(bundle)},
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, process)
            yield address
        finally:
            process.terminate()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/ready", timeout=5):  # noqa: S310  # loopback
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the service did not start")


def ask(address: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(address, body, timeout=60) as answer:  # noqa: S310  # loopback
        return json.load(answer)


def test_the_http_service_predicts_as_the_evaluation(
    run: Run, evaluation: Evaluated, tmp_path: Path
) -> None:
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(package)
    bundle = bundled(run, tmp_path / "model.zip", "format=onnx_fp32", "exam=512")
    expected = evaluation("onnx_fp32")
    bodies = [path.read_bytes() for path in expected.paths]
    with service(bundle) as address, ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: ask(f"{address}/classify", body), bodies))
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:  # noqa: S310
            metrics = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(f"{address}/classify", b"no picture")
        assert refused.value.code == 415
        refused.value.close()
        for content in damaged_images.UNREADABLE:
            with pytest.raises(urllib.error.HTTPError) as refused:
                ask(f"{address}/classify", content())
            assert (refused.value.code, content.__name__) == (415, content.__name__)
            refused.value.close()
        for content in damaged_images.READABLE:
            assert ask(f"{address}/classify", content())["top"], content.__name__
        taken = lines([sys.executable, EXAMPLES / "http_service" / "exam.py", address, bundle])
        assert taken[-1] == "result: holds in the service"
        assert f"answers: 0 of {len(bodies)} flip against those of where it was packed" in taken[1]
    for answer, name, probabilities in zip(
        answers, expected.classes, expected.probabilities, strict=True
    ):
        assert answer["top"][0]["class"] == name
        by_class = {entry["class"]: entry["probability"] for entry in answer["top"]}
        assert np.abs([by_class[name] for name in photos.CLASSES] - probabilities).max() < WITHIN
    images, batches = (
        float(re.findall(rf"^classify_batch_size_{name} (\S+)$", metrics, re.MULTILINE)[0])
        for name in ("sum", "count")
    )
    assert images == len(bodies)
    assert batches < images


def test_an_image_without_finite_logits_does_not_change_others_in_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Model:
        def answer(self, images: list[float]) -> list[float]:
            if min(images) < 0:
                raise ValueError("logits of 1 images are not finite")
            return images

    monkeypatch.syspath_prepend(EXAMPLES / "http_service")
    batching, settings = (importlib.import_module(name) for name in ("batching", "settings"))
    batches: list[int] = []

    async def ask_for(images: list[float]) -> list[Any]:
        batcher = batching.Batcher([Model()], settings.Settings(), batches.append)
        task = asyncio.create_task(batcher.run())
        answers = await asyncio.gather(
            *(batcher.classify(image) for image in images), return_exceptions=True
        )
        task.cancel()
        return answers

    one, failed, three = asyncio.run(ask_for([1.0, -2.0, 3.0]))
    assert batches == [3]
    assert (one, three) == (1.0, 3.0)
    assert isinstance(failed, ValueError)


@pytest.mark.parametrize("answers", [0, 1, 4])
def test_a_model_with_another_number_of_answers_fails_these_images_alone(
    monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    class Model:
        def answer(self, images: list[float]) -> list[float]:
            return images if len(images) == 1 and images[0] > 0 else [0.0] * answers

    monkeypatch.syspath_prepend(EXAMPLES / "http_service")
    batching, settings = (importlib.import_module(name) for name in ("batching", "settings"))

    async def ask_for(images: list[float]) -> list[Any]:
        batcher = batching.Batcher([Model()], settings.Settings())
        task = asyncio.create_task(batcher.run())
        async with asyncio.timeout(20):
            given = await asyncio.gather(*map(batcher.classify, images), return_exceptions=True)
        task.cancel()
        return given

    assert asyncio.run(ask_for([1.0, 2.0, 3.0])) == [1.0, 2.0, 3.0]
    (alone,) = asyncio.run(ask_for([-1.0]))
    assert isinstance(alone, ValueError) == (answers != 1)


@pytest.mark.parametrize("is_stopped", [True, False])
def test_no_image_waits_for_ever_when_the_batches_end(
    monkeypatch: pytest.MonkeyPatch, *, is_stopped: bool
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES / "http_service")
    batching, settings = (importlib.import_module(name) for name in ("batching", "settings"))

    def fail(_: int) -> None:
        raise OSError("no metrics")

    async def ask_for(images: list[float]) -> list[Any]:
        # Every batch but the first waits in the queue.
        limits = settings.Settings(window=60.0, largest_batch=2)
        batcher = batching.Batcher([None], limits, None if is_stopped else fail)
        task = asyncio.create_task(batcher.run())
        asked = [asyncio.create_task(batcher.classify(image)) for image in images]
        await asyncio.sleep(0.05)
        if is_stopped:
            task.cancel()
        async with asyncio.timeout(20):
            given = await asyncio.gather(*asked, return_exceptions=True)
            late = await asyncio.gather(batcher.classify(1.0), return_exceptions=True)
        await asyncio.gather(task, return_exceptions=True)
        return [*given, *late]

    # A single image of a batch of two waits for the window.
    images = [1.0] if is_stopped else [1.0, 2.0, 3.0]
    given = asyncio.run(ask_for(images))
    assert [str(error) for error in given] == ["the service has ended"] * (len(images) + 1)


@pytest.mark.slow
def test_openvino(complete_run: Run, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    expected = evaluate(complete_run, "openvino_fp32")
    model = complete_run.exports / "openvino_fp32" / "model.xml"
    program = EXAMPLES / "openvino" / "classify.py"
    paths = upright(expected.paths, tmp_path / "pictures", ".png")
    answers = lines([sys.executable, program, model, *paths])
    require_answers(renamed(expected, paths), [json.loads(line) for line in answers])


@pytest.mark.slow
def test_node(run: Run, evaluation: Evaluated, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no node and npm")
    bundle = bundled(run, tmp_path / "model.zip", "format=onnx_fp32", "embedded=true")
    folder = shutil.copytree(
        EXAMPLES / "node", tmp_path / "node", ignore=shutil.ignore_patterns("node_modules")
    )
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"],
        cwd=folder,
        # Its installer would fetch CUDA's libraries from elsewhere.
        env={**ENVIRONMENT, "ONNXRUNTIME_NODE_INSTALL": "skip"},
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"npm could not install: {installed.stderr.strip().splitlines()[-1]}")
    expected = evaluation("onnx_fp32")
    paths = upright(expected.paths, tmp_path / "pictures", ".png")
    answers = lines(["node", "classify.mjs", bundle, *paths], cwd=folder)
    require_answers(renamed(expected, paths), [json.loads(line) for line in answers])
    # As they are: turned, grey, with alpha, in 16 bits.
    answers = lines(
        ["node", "classify.mjs", bundle, *map(Path.absolute, expected.paths)], cwd=folder
    )
    for path, name, line in zip(expected.paths, expected.classes, answers, strict=True):
        with Image.open(path) as image:
            if image.mode != "CMYK":  # which sharp converts by a colour profile
                assert json.loads(line)["class"] == name, path


@pytest.mark.slow
def test_cpp(complete_run: Run, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    built = subprocess.run(
        [EXAMPLES / "cpp" / "build", tmp_path / "classify"],
        env={**ENVIRONMENT, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    expected = evaluate(complete_run, "torchscript")
    paths = upright(expected.paths, tmp_path / "pictures", ".ppm")
    model = complete_run.exports / "torchscript" / "model.pt"
    answers = [line.split() for line in lines([tmp_path / "classify", model, *paths])]
    assert [photos.CLASSES[int(answer[0])] for answer in answers] == expected.classes
    probabilities = np.array([[float(value) for value in answer[1:]] for answer in answers])
    assert np.abs(probabilities - expected.probabilities).max() < WITHIN
