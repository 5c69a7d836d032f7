"""OpenVINO computes with as many threads as it was asked for, and not all on the same cores.

The installed OpenVINO is shown a processor with hyper-threading, whose description lies over that
of this machine in a namespace of mounts. Where a system allows none, and for hybrid processors, a
rule stands for it: ``apply_hyper_threading`` of its ``intel_cpu/src/cpu_map_scheduling.cpp``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from src.backends.onnx import openvino_provider
from src.backends.onnx.openvino_provider import OnnxOpenVinoRuntime
from src.backends.openvino.runtime import OpenVinoRuntime
from src.run.row import Settings
from src.shipped import machine, runtime_onnxruntime_openvino, runtime_openvino
from src.worker.protocol import Loaded
from src.worker.requested_settings import other_setting
from tests.conftest import ROOT
from tests.golden.pixels import GOLDEN
from tests.support import identity_models

openvino = pytest.importorskip("openvino")

RULE = GOLDEN.rules[0]
IMAGE = np.zeros((1, 3, RULE["image_size"], RULE["image_size"]), np.float32)


class Processor(NamedTuple):
    """The cores of a processor."""

    performance: int
    efficient: int = 0
    threads_of_performance: int = 2

    @property
    def logical(self) -> int:
        return self.performance * self.threads_of_performance + self.efficient


PROCESSORS = {
    "hyper-threading": Processor(4),
    "one core": Processor(1),
    "hybrid": Processor(6, 8),
    "hybrid without hyper-threading": Processor(4, 4, 1),
    "plain": Processor(2, 0, 1),
}


def used_threads(processor: Processor, options: Mapping[str, Any]) -> int:
    """Return the number of threads that OpenVINO would take with the hint ``LATENCY``."""
    kinds = {
        "ANY_CORE": (1, 1),
        "PCORE_ONLY": (1, 0),
        "ECORE_ONLY": (0, 1),
    }[options.get("SCHEDULING_CORE_TYPE", "ANY_CORE")]
    each = processor.threads_of_performance if options.get("ENABLE_HYPER_THREADING") else 1
    cores = kinds[0] * processor.performance * each + kinds[1] * processor.efficient
    return min(options["INFERENCE_NUM_THREADS"], cores)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    graph = openvino.convert_model(identity_models.onnx_file(RULE, tmp_path))
    for name, value in identity_models.metadata(RULE).items():
        graph.set_rt_info(json.dumps(value), ["lightship", name])
    path = tmp_path / "model.xml"
    openvino.save_model(graph, path, compress_to_fp16=False)
    return path


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of every model that is compiled."""
    options: list[dict[str, Any]] = []
    compile_model = openvino.Core.compile_model

    def noting(core: Any, model: Any, device: str, config: dict[str, Any]) -> Any:
        options.append(config)
        return compile_model(core, model, device, config)

    monkeypatch.setattr(openvino.Core, "compile_model", noting)
    return options


def on(processor: Processor, patch: pytest.MonkeyPatch) -> None:
    """Let OpenVINO report the threads that it would have on a processor."""
    compile_model = openvino.Core.compile_model

    class Compiled:
        def __init__(self, model: Any, config: Mapping[str, Any]) -> None:
            self._model, self._config = model, config

        def get_property(self, name: str) -> Any:
            if name == "INFERENCE_NUM_THREADS":
                return used_threads(processor, self._config)
            return self._model.get_property(name)

        def create_infer_request(self) -> Any:
            return self._model.create_infer_request()

    def compiling(core: Any, model: Any, device: str, config: dict[str, Any]) -> Any:
        return Compiled(compile_model(core, model, device, config), config)

    patch.setattr(openvino.Core, "compile_model", compiling)
    patch.setattr(machine, "core_numbers", lambda: set(range(processor.logical)))


def problem_of(threads: int, settings: Settings) -> str | None:
    """Return the reason why a worker would fail the row."""
    return other_setting(
        Loaded(
            import_seconds=0.0,
            load_seconds=0.0,
            nice=0,
            requested={"device": "cpu", "threads": threads},
            effective=settings,
        )
    )


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_row_runs_with_as_many_threads_as_there_are_logical_cores(
    name: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = PROCESSORS[name]
    on(processor, monkeypatch)
    for threads in {1, processor.performance, processor.logical}:
        runtime = OpenVinoRuntime(file, "cpu", threads, "f32")
        assert problem_of(threads, runtime.settings) is None
    too_many = OpenVinoRuntime(file, "cpu", processor.logical + 1, "f32")
    assert problem_of(processor.logical + 1, too_many.settings) is not None


def example_of(file: Path, patch: pytest.MonkeyPatch) -> None:
    """Open a file by the example in a container with a quota."""
    path = ROOT / "examples" / "openvino" / "classify.py"
    spec = importlib.util.spec_from_file_location("example_of_openvino", path)
    assert spec
    assert spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    patch.setattr(program, "usable_cores", lambda: 1)
    graph = openvino.Core().read_model(file)
    graph.set_rt_info("f32", ["lightship", "inference_precision"])
    path = file.with_name("example.xml")
    openvino.save_model(graph, path, compress_to_fp16=False)
    patch.setattr(os, "cpu_count", lambda: 64)
    program.opened(str(path))


@pytest.mark.parametrize("program", ["a row", "a bundle", "the example"])
def test_every_program_that_sets_threads_allows_all_cores_and_pins_to_none(
    program: str,
    file: Path,
    compiled: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "core_numbers", lambda: {4, 5, 6})
    if program == "a row":
        OpenVinoRuntime(file, "cpu", 1, "f32")(np.repeat(IMAGE, 2, axis=0))
    elif program == "a bundle":
        runtime_openvino.Runtime(file, 1)(np.repeat(IMAGE, 2, axis=0))
    else:
        example_of(file, monkeypatch)
    assert compiled
    for options in compiled:
        assert options["INFERENCE_NUM_THREADS"] == 1
        assert options["ENABLE_HYPER_THREADING"] is True
        assert options["ENABLE_CPU_PINNING"] is False
        assert used_threads(Processor(2), {**options, "INFERENCE_NUM_THREADS": 4}) == 4


def test_threads_that_are_left_to_the_runtime_are_left_to_it(
    file: Path, compiled: list[dict[str, Any]]
) -> None:
    runtime_openvino.Runtime(file, None)
    assert [set(options) for options in compiled] == [
        {"INFERENCE_PRECISION_HINT", "NUM_STREAMS", "PERFORMANCE_HINT"}
    ]


@pytest.mark.parametrize(("cores", "pins"), [({0}, True), ({0, 1}, False), ({3, 7, 9}, False)])
def test_only_a_thread_for_each_core_may_be_pinned(
    cores: set[int], pins: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "core_numbers", lambda: cores)
    settings = OpenVinoRuntime(file, "cpu", 1, "f32").settings
    assert settings["cpu_pinning"] is (pins and sys.platform == "linux")


# Watches the cores that the threads of a process are bound to while it computes.
WATCHING = """
import os, sys, threading, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
RUNTIME
image = np.zeros((1, 3, SIDE, SIDE), np.float32)
own, bound, ends = sorted(os.sched_getaffinity(0)), set(), time.monotonic() + 1
def compute():
    while time.monotonic() < ends:
        runtime(image)
computing = threading.Thread(target=compute)
computing.start()
while computing.is_alive():
    for task in os.listdir("/proc/self/task"):
        try:
            bound.add(tuple(sorted(os.sched_getaffinity(int(task)))))
        except ProcessLookupError:
            pass
print(bound == {tuple(own)})
"""
RUNTIMES = {
    "a row": "from src.backends.openvino.runtime import OpenVinoRuntime\n"
    "runtime = OpenVinoRuntime(Path(sys.argv[2]), 'cpu', 1, 'f32')",
    "a bundle": "from src.shipped.runtime_openvino import Runtime\n"
    "runtime = Runtime(Path(sys.argv[2]), 1)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="the affinity of a thread is Linux's")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_stream_of_one_thread_may_run_on_each_core_of_its_process(
    runtime: str, tmp_path: Path
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    side = 64
    operators = openvino.opset13
    images = operators.parameter([-1, 3, side, side], np.float32, name="images")
    weights = np.full((8, 3, 3, 3), 0.1, np.float32)
    layer = operators.convolution(images, weights, [1, 1], [1, 1], [1, 1], [1, 1])
    path = tmp_path / "model.xml"
    openvino.save_model(openvino.Model([layer], [images]), path, compress_to_fp16=False)
    program = WATCHING.replace("RUNTIME", RUNTIMES[runtime]).replace("SIDE", str(side))
    ended = subprocess.run(
        [sys.executable, "-c", program, str(ROOT), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["True"]


# Lets two neighbouring processors look like the threads of one core. Run by a shell in a namespace.
HYPER_THREADED = r"""
set -e
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    number=${cpu##*/cpu}; first=$((number / 2 * 2))
    echo "$first-$((first + 1))" > "$1/$number"
    for file in $cpu/cache/index[012]/shared_cpu_list $cpu/topology/thread_siblings_list; do
        mount --bind "$1/$number" "$file"
    done
done
shift
exec "$@"
"""
OPENING = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import openvino
from src.backends.openvino.runtime import OpenVinoRuntime
file, cores = Path(sys.argv[2]), int(sys.argv[3])
options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": cores}
plain = openvino.Core().compile_model(file, "CPU", options)
print(plain.get_property("INFERENCE_NUM_THREADS"))
print(*(OpenVinoRuntime(file, "cpu", count, "f32").settings["threads"] for count in (1, cores)))
"""


def test_openvino_takes_both_threads_of_each_core(file: Path, tmp_path: Path) -> None:
    cores = os.cpu_count() or 1
    listed = Path("/sys/devices/system/cpu/cpu0/cache/index2/shared_cpu_list")
    if sys.platform != "linux" or cores % 2 or not listed.is_file():
        pytest.skip("the processors have no pairs, or no description")
    if machine.core_numbers() != set(range(cores)) or listed.read_text().strip() != "0":
        pytest.skip("this process may not use all cores, or they have two threads each")
    (tmp_path / "siblings").mkdir()
    within = ["unshare", "--map-root-user", "--mount", "sh", "-c", HYPER_THREADED, "sh"]
    try:
        ended = subprocess.run(
            [*within, str(tmp_path / "siblings"), "true"], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no unshare")
    if ended.returncode:
        pytest.skip("no namespace of mounts")
    words = [sys.executable, "-c", OPENING, str(ROOT), str(file), str(cores)]
    ended = subprocess.run(
        [*within, str(tmp_path / "siblings"), *words], capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    # OpenVINO by itself takes half of them.
    assert [*map(int, ended.stdout.split())] == [cores // 2, 1, cores]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The options of OpenVINO's provider in each session; its part is computed by another one."""
    import onnxruntime

    options: list[dict[str, str]] = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self, path: Path, session_options: Any, providers: Any) -> None:
            assert [name for name, _ in providers] == [openvino_provider.PROVIDER]
            options.append(dict(providers[0][1]))
            super().__init__(path, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return [openvino_provider.PROVIDER, "CPUExecutionProvider"]

        def get_session_options(self) -> Any:
            chosen = onnxruntime.SessionOptions()
            chosen.intra_op_num_threads = 3
            return chosen

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: [openvino_provider.PROVIDER]
    )
    monkeypatch.setattr(machine, "core_numbers", lambda: set(range(8)))
    return options


def test_onnx_runtime_with_openvino_gives_it_the_same_options(
    sessions: list[dict[str, str]], tmp_path: Path
) -> None:
    path = identity_models.onnx_file(RULE, tmp_path)
    OnnxOpenVinoRuntime(path, 3)
    runtime_onnxruntime_openvino.Runtime(path, 3)
    runtime_onnxruntime_openvino.Runtime(path, None)
    row, bundle, own_choice = sessions
    assert row == bundle
    assert row["num_of_threads"] == "3"
    assert json.loads(row["load_config"]) == {
        "CPU": {
            "INFERENCE_NUM_THREADS": 3,
            "ENABLE_HYPER_THREADING": True,
            "SCHEDULING_CORE_TYPE": "ANY_CORE",
            "ENABLE_CPU_PINNING": False,
        }
    }
    assert own_choice == runtime_onnxruntime_openvino.OPTIONS


def test_onnx_runtime_with_openvino_claims_no_number_of_threads_that_it_cannot_read(
    sessions: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = OnnxOpenVinoRuntime(identity_models.onnx_file(RULE, tmp_path), 3).settings
    assert "threads" not in settings
    assert problem_of(3, settings) is None
