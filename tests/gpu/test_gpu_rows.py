"""Each format that runs on a GPU: exported, loaded in a process of its own, compared, timed."""

from __future__ import annotations

import contextlib
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from src import formats
from src.backends.base import ExportSource, Unavailable
from src.benchmark.statistics import fidelity
from src.export.stage import export_one
from src.worker import nvml, protocol
from src.worker.process import Limits, WorkerProcess

pytestmark = pytest.mark.gpu

NAMES = [name for name in formats.names() if "cuda" in formats.get(name).devices]
LIMITS = Limits(threads=2, answer_seconds=100, resident_bytes=10**11, alone=True)
TF32 = {"tf32"}  # the only precision that multiplies so


def exported(name: str, source: ExportSource, exports: Path) -> Path:
    folder = exports / name
    if not folder.is_dir():
        entry = export_one(name, source, folder)
        if entry["status"] == "skipped":
            pytest.skip(entry["reason"])
        assert entry["status"] == "ok", entry["reason"]
    return folder


def loaded(worker: WorkerProcess) -> protocol.Loaded:
    try:
        return worker.ask(protocol.Load())
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", NAMES)
def test_a_format_runs_on_the_gpu_and_gives_the_networks_answers(
    name: str, source: ExportSource, exports: Path
) -> None:
    kind = formats.get(name)
    folder = exported(name, source, exports)
    images = source.calibration[:9].numpy()
    with torch.inference_mode():
        expected = source.network(source.calibration[:9]).numpy()
    with contextlib.closing(WorkerProcess(name, folder, "cuda", LIMITS)) as worker:
        answer = loaded(worker)
        logits = worker.predict(images)
        single = np.concatenate([worker.predict(image[None]) for image in images])
        worker.ask(protocol.Hold(), images[:1])
        worker.ask(protocol.WarmUp(tolerance=0.1, max_seconds=1))
        timed = worker.ask(protocol.Time(samples=20, max_seconds=0.2)).timing
        energy = worker.ask(protocol.Energy(least_seconds=0.3, max_seconds=3))
        finished = worker.ask(protocol.Finish())
        peak = worker.peak_device_bytes
    effective = answer.effective
    assert effective["device"] == "cuda"
    assert effective["tf32"] in {kind.precision in TF32, "1" if kind.precision in TF32 else "0"}
    assert fidelity.what_is_wrong(logits, expected, kind.tolerance) is None
    assert fidelity.what_is_wrong(single, expected, kind.tolerance) is None
    # The host's clock holds the device's work and the copies.
    assert statistics.median(timed.seconds) > statistics.median(timed.device_seconds or [0]) > 0
    assert finished.profile.time
    if nvml.used_bytes() is not None:
        weights = sum(path.stat().st_size for path in folder.rglob("*"))
        assert peak is not None
        assert peak > weights
        assert energy.joules is None or 0 < energy.joules / energy.calls < 100


@pytest.mark.parametrize("name", NAMES)
def test_the_lines_that_come_with_a_file_run_as_they_are(
    name: str,
    source: ExportSource,
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = exported(name, source, exports)
    if "onnxruntime" in formats.get(name).runs_with:
        with contextlib.closing(WorkerProcess(name, folder, "cuda", LIMITS)) as worker:
            loaded(worker)  # or skipped: the lines would fall back to the CPU without a word
    Image.effect_noise((80, 60), 90).convert("RGB").save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    printed: list[object] = []
    program = formats.get(name).usage(source.preprocessing).replace("{folder}", str(folder))
    before = torch.is_grad_enabled()
    try:
        exec(program, {"print": printed.append})  # noqa: S102  # our own text
    finally:
        torch.set_grad_enabled(before)
        torch.backends.cuda.matmul.allow_tf32 = False
    assert printed[0] in source.class_names


def test_a_trace_of_a_file_holds_the_gpus_kernels(
    source: ExportSource, exports: Path, tmp_path: Path
) -> None:
    folder = exported("eager", source, exports)
    with contextlib.closing(WorkerProcess("eager", folder, "cuda", LIMITS)) as worker:
        worker.ask(protocol.Load())
        worker.ask(protocol.Hold(), source.calibration[:1].numpy())
        profile = worker.ask(protocol.Trace(path=str(tmp_path / "trace.json.gz"))).profile
    assert (tmp_path / "trace.json.gz").stat().st_size > 1000
    assert (profile.call_seconds or 0) > 0
    assert any("conv" in name.lower() or "gemm" in name.lower() for name in profile.operators)


def test_memory_on_the_gpu_is_given_back_when_a_worker_ends(
    source: ExportSource, exports: Path
) -> None:
    before = nvml.used_bytes()
    if before is None:
        pytest.skip("NVML does not tell here")
    folder = exported("eager", source, exports)
    with contextlib.closing(WorkerProcess("eager", folder, "cuda", LIMITS)) as worker:
        worker.ask(protocol.Load())
        during = nvml.used_bytes()
    assert during is not None
    assert during > before + 50_000_000
    after = nvml.used_bytes()
    assert after is not None
    assert after < before + 50_000_000


def test_nvml_and_torch_speak_of_the_same_gpu() -> None:
    assert nvml.first_gpu() == str(torch.cuda.get_device_properties(0).uuid)


def test_a_planted_timer_that_does_not_wait_for_the_gpu_is_caught(
    source: ExportSource,
) -> None:
    from src.backends.torch.runtime import TorchRuntime, open_device
    from src.benchmark.turn import faster_than_its_device
    from src.worker.stopwatch import Stopwatch

    class Launches(TorchRuntime):
        """Returns when the kernels are launched, as a timer without synchronisation sees it."""

        def __call__(self, images: Any) -> Any:
            with torch.inference_mode():
                return self._network(there)

        def synchronize(self) -> None:
            """Does not."""

    place = open_device("cuda", 1)
    matrix = torch.randn(8192, 8192, device=place)

    def slow(images: torch.Tensor) -> torch.Tensor:
        for _ in range(10):
            torch.mm(matrix, matrix)
        return images

    images = source.calibration[:1].numpy()
    there = source.calibration[:1].to(place)
    right = Stopwatch(TorchRuntime(slow, place), images).time(5, 1.0)
    assert faster_than_its_device(right["seconds"], right["device_seconds"]) is None
    planted = Stopwatch(Launches(slow, place), images).time(5, 1.0)
    torch.cuda.synchronize()
    problem = faster_than_its_device(planted["seconds"], planted["device_seconds"])
    assert problem is not None
    assert "does not wait for the device" in problem
