"""What runs in ONNX Runtime: a session as a runtime."""

from __future__ import annotations

import bisect
import json
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from src.formats._chrome_trace import Operation, write
from src.formats.base import Profile, Unavailable

INPUT, OUTPUT = "images", "logits"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_PROFILED_CALLS = 5
_CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
_INT8 = {"int8", "uint8"}
_MICROSECOND = 1e-6


class OnnxRuntime:
    """An ONNX Runtime session on one execution provider."""

    def __init__(self, path: Path, device: str, threads: int) -> None:
        import onnxruntime as ort

        self._path = path
        self._provider = _PROVIDERS[device]
        self._threads = threads
        if self._provider not in ort.get_available_providers():
            raise Unavailable(f"this onnxruntime has no {self._provider}")
        self._session = self._open(self._options())
        actual = self._session.get_providers()
        self.settings: dict[str, Any] = {
            "runtime": f"onnxruntime {ort.__version__}",
            # Where the provider does not start, onnxruntime falls back to the CPU with a line
            # in its log; the row would be timed there under the other device's name.
            "device": next((name for name, each in _PROVIDERS.items() if each == actual[0]), None),
            "providers": actual,
            "threads": self._session.get_session_options().intra_op_num_threads,
            "interop_threads": self._session.get_session_options().inter_op_num_threads,
        }
        if device == "cuda":
            cuda = self._session.get_provider_options()[self._provider]
            self.settings["tf32"] = cuda.get("use_tf32")
            self.settings["cuda_graph"] = cuda.get("enable_cuda_graph")

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return cast("NDArray[np.float32]", self._session.run([OUTPUT], {INPUT: images})[0])

    def synchronize(self) -> None:
        """Nothing to wait for: ``run`` returns when the logits are in the host's memory."""

    def device_seconds(self, images: NDArray[np.float32]) -> float | None:
        """The wall time of a synchronised run whose input and output stay on the device.

        ONNX Runtime hands out no CUDA events.
        """
        if self.settings["device"] != "cuda":
            return None
        import onnxruntime as ort

        binding = self._session.io_binding()
        binding.bind_ortvalue_input(INPUT, ort.OrtValue.ortvalue_from_numpy(images, "cuda", 0))
        binding.bind_output(OUTPUT, "cuda")
        binding.synchronize_inputs()
        started = time.perf_counter()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return time.perf_counter() - started

    def profile(self, images: NDArray[np.float32], trace: Path | None = None) -> Profile:
        """From ONNX Runtime's own profile of a few calls, by the types that operators take."""
        with tempfile.TemporaryDirectory() as folder:
            options = self._options()
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = self._open(options)
            for _ in range(_PROFILED_CALLS):
                session.run([OUTPUT], {INPUT: images})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        found = operations(events)
        if trace is not None:
            write(trace, found, self.settings["runtime"])
        return Profile.of(found)

    def _options(self) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        return options

    def _open(self, options: Any) -> Any:
        import onnxruntime as ort

        return ort.InferenceSession(self._path, options, providers=[self._provider])


def operations(events: list[dict[str, Any]]) -> list[Operation]:
    """The operators of an ONNX Runtime profile, in order.

    An operator that takes an 8-bit tensor works in int8; those that only convert between
    8 bits and float are apart. The first call is left out: it allocates.
    """
    kernels = [event for event in events if str(event.get("name", "")).endswith("_kernel_time")]
    runs = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    return [
        Operation(
            call=max(0, call - 2),
            name=event["name"],
            kind=event["args"]["op_name"],
            precision=_precision(event["args"]),
            start=event["ts"] * _MICROSECOND,
            seconds=event["dur"] * _MICROSECOND,
        )
        for event in sorted(kernels, key=lambda event: event["ts"])
        if (call := bisect.bisect_right(runs, event["ts"])) > 1 or len(runs) < 2  # noqa: PLR2004
    ]


def _precision(details: dict[str, Any]) -> str:
    types = {name for each in details.get("input_type_shape", ()) for name in each}
    if details["op_name"] in _CONVERSIONS:
        return "conversion"
    if types & _INT8:
        return "int8"
    return "16 bit" if types & {"float16", "bfloat16"} else "fp32"
