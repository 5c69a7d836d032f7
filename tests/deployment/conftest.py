"""A run trained on a folder of photo-like images, and the evaluation of its test images."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from src.data.restore import data_of
from src.predict.stage import softmax
from src.run.call_size import EVALUATION_BATCH
from src.run.folder import Run
from src.worker import protocol
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.support import photos
from tests.support.warm_command import command

FORMATS = ("onnx_fp32", "onnx_int8")
# What takes a process with torch in it, or an extra, and so seconds a test.
MORE_FORMATS = (
    *("eager", "torchscript", "onnx_int8_dynamic"),
    *(["openvino_fp32"] if importlib.util.find_spec("openvino") else []),
)
TRAINING = (
    # Residual, with BatchNorm and 0.4 M parameters: a test packs, unpacks or copies its files.
    *("model=timm/test_resnet", "model.lr=0.01", "data=image_folder", "data.root=photos"),
    "data.image_size=32",
    *("data.batch_size=8", "data.num_workers=0", "data.test_share=0.3", "trainer.max_epochs=1"),
    *("trainer.limit_train_batches=8", "trainer.enable_progress_bar=false", "profiler=none"),
    *(f"export.formats=[{','.join(FORMATS)}]", "export.embed_preprocessing=true"),
    *("export.preflight=false", "export.onnx_int8.search_seconds=0", "benchmark=quick"),
    *("export.calibration_images=16", "benchmark.baseline=onnx_fp32", "benchmark.threads=1"),
    # With statistics of its own, a network of eight steps answers by the last bit of a pixel.
    *("benchmark.rounds=1", "model.freeze_statistics_fraction=0"),
    *("benchmark.max_seconds=0.1", "benchmark.warmup_seconds=0.1", "benchmark.samples=3"),
)


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("deployment")
    photos.write(folder / "photos", 14)
    ended = command(folder, "src.train", *TRAINING)
    assert ended.returncode == 0, ended.stderr
    [trained] = (folder / "lightning_logs").glob("*/version_0")
    return Run(trained)


@pytest.fixture(scope="package")
def complete_run(run: Run, started_in: None) -> Run:
    """The run with more exported formats, without a measurement."""
    folder = run.folder.with_name("version_1")
    shutil.copytree(run.folder, folder)
    names = ",".join((*MORE_FORMATS, "onnx_fp32"))
    options = ("embed_preprocessing=true", "calibration_images=16")
    ended = command(Path.cwd(), "src.export", str(folder), f"formats=[{names}]", *options)
    assert ended.returncode == 0, ended.stderr
    return Run(folder)


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of the test split by a format, one row per image."""

    paths: list[Path]
    probabilities: NDArray[np.float64]  # (N, K)
    labels: NDArray[np.int64]  # (N,)

    @property
    def classes(self) -> list[str]:
        return [photos.CLASSES[label] for label in self.probabilities.argmax(axis=1)]


@pytest.fixture(scope="package")
def evaluation(run: Run, started_in: None) -> Callable[[str], Evaluation]:
    """Return the evaluation by a format, as the benchmark stage computes it."""
    evaluations: dict[str, Evaluation] = {}

    def evaluated(name: str) -> Evaluation:
        if name not in evaluations:
            evaluations[name] = evaluate(run, name)
        return evaluations[name]

    return evaluated


@pytest.fixture(scope="package")
def started_in(run: Run) -> Iterator[None]:
    """Change to the folder that the training was started in, to which its paths are relative."""
    with contextlib.chdir(run.folder.parent.parent.parent):
        yield


def evaluate(run: Run, name: str) -> Evaluation:
    """Return the predictions of the test split, as the benchmark stage computes them."""
    data = data_of(run)
    test = data.dataset("test")
    paths = [Path(test.images.name(int(index))) for index in test.indices]
    limits = Limits(threads=1, answer_seconds=100, resident_bytes=10**11)
    with contextlib.closing(WorkerProcess(name, run.exports / name, "cpu", limits)) as worker:
        worker.ask(protocol.Load())
        batches = list(data.batches("test", EVALUATION_BATCH))
        logits = np.concatenate([worker.answer(images) for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return Evaluation(paths, softmax(logits), labels)
