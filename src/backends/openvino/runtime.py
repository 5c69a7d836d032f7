"""OpenVINO: a compiled model as a runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile, Unavailable
from src.backends.chrome_trace import Operation, write
from src.backends.openvino import signal_stack
from src.run.file_input import NORMALISED, PIXELS, Batch
from src.run.row import Settings
from src.shipped.openvino_threads import thread_options

if TYPE_CHECKING:
    import openvino

# OpenVINO reports its import, conversions and NNCF's quantizations to its maker over the network,
# without asking (openvino/tools/ovc/telemetry_utils.py). Without the package openvino_telemetry it
# sends nothing, so that package is hidden here, before openvino is imported.
sys.modules.setdefault("openvino_telemetry", cast("Any", None))

_DEVICES = {"cpu": "CPU"}
_PROFILED_CALLS = 5
# The last part of the name of the primitive that ran a layer, as in brgconv_avx512_1x1_i8.
_PRECISIONS = {
    **dict.fromkeys(("f32", "fp32"), "fp32"),
    "bf16": "bf16",
    **dict.fromkeys(("f16", "fp16"), "fp16"),
    **dict.fromkeys(("i8", "u8"), "int8"),
}
_CONVERSIONS = {"FakeQuantize", "Quantize", "Convert"}


class Layer(NamedTuple):
    """One layer in one call, as a profile describes it."""

    name: str
    kind: str  # as in Convolution
    primitive: str  # what ran it
    seconds: float
    call: int = 0


class OpenVinoRuntime:
    """A model in OpenVINO's intermediate representation, compiled for one device.

    It is compiled once for each batch size that it is called with, at the first such call, and
    all of them are kept: for a fixed size OpenVINO plans layouts and kernels ahead. Batches of one
    were 1.0 (ResNet-34) to 1.2 times (ConvNeXt-T) as fast as with a size that may change.

    Args:
        model: the ``.xml`` file, beside which the ``.bin`` file lies, or a graph in memory.
        device: ``cpu``.
        threads: intra-op threads.
        precision: of what is not quantized, "f32" or "bf16". Left to itself OpenVINO takes
            bf16 on a processor that has it.
            https://docs.openvino.ai/2026/openvino-workflow/running-inference/optimize-inference/precision-control.html

    Raises:
        Unavailable: OpenVINO would run in another precision here.
    """

    def __init__(
        self, model: Path | openvino.Model, device: str, threads: int, precision: str
    ) -> None:
        import openvino

        self._core = openvino.Core()
        # A copy: its batch size is fixed below.
        self._graph = self._core.read_model(model) if isinstance(model, Path) else model.clone()
        self._device = _DEVICES[device]
        self._options = {
            **thread_options(threads),
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = self._compile(1)
        effective = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if effective != precision:
            raise Unavailable(f"asked for {precision}, OpenVINO would run in {effective} here")
        used = compiled.get_property("EXECUTION_DEVICES")
        takes_uint8 = self._graph.input(0).element_type == openvino.Type.u8
        self.settings: Settings = {
            "runtime": f"openvino {openvino.get_version()}",
            "device": next((name for name, each in _DEVICES.items() if used == [each]), None),
            "input": str(PIXELS if takes_uint8 else NORMALISED),
            "threads": compiled.get_property("INFERENCE_NUM_THREADS"),
            "streams": compiled.get_property("NUM_STREAMS"),
            "performance_hint": compiled.get_property("PERFORMANCE_HINT"),
            "inference_precision": effective,
            "cpu_pinning": compiled.get_property("ENABLE_CPU_PINNING"),
        }
        self._requests = {1: compiled.create_infer_request()}

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        request = self._requests.get(len(images))
        if request is None:
            request = self._compile(len(images)).create_infer_request()
            self._requests[len(images)] = request
        # The images are read where they are; the logits are copied out of the request.
        answer = request.infer([images], share_inputs=True)
        return cast("NDArray[np.float32]", answer[0])

    def synchronize(self) -> None:
        """Do nothing: ``infer`` returns when the logits are there."""

    def device_seconds(self, images: Batch) -> float | None:
        return None

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Sum up OpenVINO's own profile of a few calls, by the primitives that ran the layers."""
        request = self._compile(len(images), PERF_COUNT=True).create_infer_request()
        layers: list[Layer] = []
        request.infer([images])  # the first call allocates
        for call in range(_PROFILED_CALLS):
            request.infer([images])
            layers += _layers(request, call)
        profiled = operations(layers)
        if trace is not None:
            write(trace, profiled, self.settings["runtime"])
        return Profile.of(profiled)

    def _compile(self, batch: int, **more: Any) -> openvino.CompiledModel:
        shape = self._graph.input(0).partial_shape
        shape[0] = batch
        self._graph.reshape(shape)
        with signal_stack.kept():
            return self._core.compile_model(self._graph, self._device, {**self._options, **more})


def _layers(request: openvino.InferRequest, call: int) -> Iterator[Layer]:
    for layer in request.profiling_info:
        seconds = layer.real_time.total_seconds()
        yield Layer(layer.node_name, layer.node_type, layer.exec_type, seconds, call)


def operations(layers: Iterable[Layer]) -> list[Operation]:
    """Return the layers of OpenVINO profiles one after the other: profiles have no start times.

    Layers that only convert between precisions are apart, and so are those that compute with
    indices ("other"). A layer that was fused into another took no time, and is none.
    """
    profiled: list[Operation] = []
    now = 0.0
    for layer in layers:
        if layer.seconds:
            profiled.append(
                Operation(layer.call, layer.name, layer.kind, _precision(layer), now, layer.seconds)
            )
            now += layer.seconds
    return profiled


def _precision(layer: Layer) -> str:
    if layer.kind in _CONVERSIONS:
        return "conversion"
    return _PRECISIONS.get(layer.primitive.lower().rpartition("_")[2], "other")
