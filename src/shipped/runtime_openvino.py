"""A file of OpenVINO's intermediate representation in OpenVINO, on the CPU."""

from __future__ import annotations

import functools
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from .openvino_threads import thread_options
else:  # in the folder of a model
    from openvino_threads import thread_options

# OpenVINO reports its use to its maker over the network if the package openvino_telemetry is there.
sys.modules.setdefault("openvino_telemetry", cast("Any", None))
import openvino  # noqa: E402  # after that line

Array = np.ndarray[Any, np.dtype[Any]]

SECTION = "lightship"  # of the runtime information in the graph


@functools.cache
def core() -> Any:
    """Return the only core of this process.

    The processor's plugin changes how signals are handled and must not be unloaded:
    https://github.com/openvinotoolkit/openvino/blob/master/src/plugins/intel_cpu/src/plugin.cpp
    """
    return openvino.Core()


class Runtime:
    """The opened file: see ``runtime_onnxruntime.py``.

    A single image is answered by a model that is compiled for it, which is up to 1.2 times as fast.
    Other batches share one model that takes any size; it is compiled with the first of them.

    Args:
        path: the ``.xml`` file, beside which the ``.bin`` file lies.
        threads: of one operator; None leaves it to the runtime.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        self._graph = core().read_model(path)
        self.metadata: dict[str, Any] = {
            name: json.loads(self._text(name))
            for name in ("class_names", "preprocessing", "input")
            if self._graph.has_rt_info([SECTION, name])
        }
        self._options: dict[str, Any] = {
            # Left to itself OpenVINO takes bf16 for every file, on a processor that has it.
            "INFERENCE_PRECISION_HINT": self._precision(),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads is not None:
            self._options.update(thread_options(threads))
        self._lock = threading.Lock()  # a request computes one batch at a time
        self._one = self._request(1)
        self._any: Any = None

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it."""
        with self._lock:
            if len(images) == 1:
                request = self._one
            else:
                self._any = self._any or self._request(-1)
                request = self._any
            return np.array(request.infer([images], share_inputs=True)[0])

    def _text(self, name: str) -> str:
        return str(self._graph.get_rt_info([SECTION, name]).astype(str))

    def _precision(self) -> str:
        """Return the precision that the file names; f32 on a processor that would emulate bf16."""
        name = "inference_precision"
        named = self._text(name) if self._graph.has_rt_info([SECTION, name]) else "f32"
        if named not in {"f32", "bf16"}:
            raise ValueError(f"{name}: expected f32 or bf16, found {named[:20]!r}")
        has_bf16 = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "f32" if named == "bf16" and not has_bf16 else named

    def _request(self, images: int) -> Any:
        graph = self._graph.clone()
        shape = graph.input(0).partial_shape
        shape[0] = images
        graph.reshape(shape)
        return core().compile_model(graph, "CPU", self._options).create_infer_request()
