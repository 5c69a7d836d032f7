"""Formats for a GPU on a machine without one, and with a faked runtime."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from src import formats
from src.backends.base import Unavailable
from src.backends.onnx.runtime import OnnxRuntime
from src.backends.torch import aot_inductor
from src.backends.torch.cuda import GraphedRuntime
from src.backends.torch.half_precision import narrowed
from src.backends.torch.runtime import TorchRuntime
from src.errors import UsageError

NAMES = [name for name in formats.names() if formats.get(name).devices == ("cuda",)]


@pytest.fixture
def ort(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fake of onnxruntime with a CUDA provider, as far as a session needs it."""
    library: Any = ModuleType("onnxruntime")
    library.__version__ = "9.9"
    library.preloaded = 0
    library.requested = []
    library.actual = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    library.problem = None

    class Session:
        def __init__(self, path: Any, options: Any, providers: list[Any]) -> None:
            if library.problem:
                raise RuntimeError(library.problem)
            library.requested.append(providers)
            self.options = options
            self.fallback = True

        def disable_fallback(self) -> None:
            self.fallback = False

        def get_providers(self) -> list[str]:
            return list(library.actual)

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(type="tensor(float)")]

        def get_session_options(self) -> Any:
            return self.options

        def get_provider_options(self) -> dict[str, dict[str, str]]:
            [(name, options)] = library.requested[-1]
            return {name: {key: str(value) for key, value in options.items()}}

    def preload_dlls() -> None:
        library.preloaded += 1

    library.InferenceSession = Session
    library.SessionOptions = SimpleNamespace
    library.preload_dlls = preload_dlls
    library.get_available_providers = lambda: list(library.actual)
    monkeypatch.setitem(sys.modules, "onnxruntime", library)
    return library


def test_an_onnx_session_on_a_gpu_is_fp32_without_tf32_and_never_falls_back(ort: Any) -> None:
    runtime = OnnxRuntime(Path("model.onnx"), "cuda", 2)
    assert ort.requested == [[("CUDAExecutionProvider", {"use_tf32": 0})]]
    assert ort.preloaded == 1
    assert runtime._session.fallback is False
    assert runtime.settings["device"] == "cuda"
    assert runtime.settings["tf32"] == "0"


@pytest.mark.parametrize(
    "problem",
    [
        "Failed to load library libonnxruntime_providers_cuda.so: libcudnn.so.9: cannot open",
        "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
        "CUDAExecutionProvider: no device",
    ],
)
def test_a_provider_that_does_not_start_is_unavailable_with_its_reason(
    ort: Any, problem: str
) -> None:
    ort.problem = problem
    with pytest.raises(Unavailable, match="CUDAExecutionProvider does not start") as raised:
        OnnxRuntime(Path("model.onnx"), "cuda", 2)
    assert problem.split(":", maxsplit=1)[0] in str(raised.value)


def test_a_broken_file_is_no_missing_provider(ort: Any) -> None:
    ort.problem = "protobuf parsing failed"
    with pytest.raises(RuntimeError, match="protobuf"):
        OnnxRuntime(Path("model.onnx"), "cuda", 2)


def test_a_provider_that_quietly_gave_way_to_the_cpu_is_unavailable(ort: Any) -> None:
    ort.get_available_providers = lambda: ["CUDAExecutionProvider"]
    ort.actual = ["CPUExecutionProvider"]
    with pytest.raises(Unavailable, match="does not start"):
        OnnxRuntime(Path("model.onnx"), "cuda", 2)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_gpu_a_format_for_one_says_why_it_does_not_load(
    name: str, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(Unavailable):
        formats.get(name).load(tmp_path, "cuda", 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_narrow_network_takes_and_gives_fp32_and_leaves_the_given_one(dtype: Any) -> None:
    network = torch.nn.Conv2d(3, 4, 1).eval()
    before = network.weight.clone()
    images = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        answer = narrowed(network, dtype)(images)
        expected = network(images)
    assert answer.dtype == torch.float32
    assert torch.allclose(answer, expected, atol=0.05)
    assert not torch.equal(answer, expected)
    assert torch.equal(network.weight, before)
    assert network.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"root/a.so": b"x", "root/../../b.cubin": b"x"}, "leads out of its folder"),
        ({"root/a.so": b"x", "/etc/b.cubin": b"x"}, "leads out of its folder"),
        ({"root/a.so": b"x", "root\\..\\b.cubin": b"x"}, "leads out of its folder"),
        ({"root/a.so": b"x", "root/a.cpp": b"int main;"}, "is source code"),
        ({"root/a.so": b"x", "root/b.so": b"x"}, "holds 2 libraries"),
        ({"root/a.cubin": b"x"}, "holds 0 libraries"),
    ],
)
def test_a_package_that_would_write_elsewhere_or_be_compiled_is_refused(
    members: dict[str, bytes], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as package:
        for name, content in members.items():
            package.writestr(name, content)
    with zipfile.ZipFile(path) as package, pytest.raises(ValueError, match=problem):
        aot_inductor.require_only_compiled(package)


def test_a_replayed_network_says_so_beside_the_settings_of_any_other() -> None:
    place = torch.device("cpu")
    plain, replayed, other = (
        kind(torch.nn.Identity(), place, "fp16")
        for kind in (TorchRuntime, GraphedRuntime, GraphedRuntime)
    )
    assert replayed.settings == {**plain.settings, "cuda_graph": True}
    assert replayed.profile(np.zeros((1, 3, 4, 4), np.float32)).time == {"fp16": 1.0}
    assert replayed._captured is not other._captured


def test_a_measurement_of_no_device_is_refused() -> None:
    from src.benchmark.options import BenchmarkOptions

    with pytest.raises(UsageError, match=r"benchmark\.devices: expected at least one"):
        BenchmarkOptions(devices=[])


@pytest.mark.parametrize(
    ("host", "device", "caught"),
    [
        ([0.010] * 5, [0.009] * 5, False),  # it holds the copies
        ([0.0065] * 5, [0.0083] * 5, False),  # bound by launches, on a host that was busy later
        ([0.0001] * 5, [0.015] * 5, True),  # launches alone
        ([0.0001, 0.0001, 0.0001, 0.0001, 0.2], [0.015] * 5, True),  # a full queue blocks one call
        ([0.010] * 5, None, False),
        ([0.010] * 5, [], False),
    ],
)
def test_a_host_clock_that_misses_the_devices_work_is_caught(
    host: list[float], device: list[float] | None, caught: bool
) -> None:
    from src.benchmark.turn import host_clock_error

    assert (host_clock_error(host, device) is not None) is caught
    assert np.isfinite(host).all()
