"""ONNX Runtime: a session as a runtime."""

from __future__ import annotations

import bisect
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile, Unavailable
from src.backends.chrome_trace import Event, Operation, write
from src.backends.onnx.exact_sums import EXACT_SUMS
from src.errors import one_line
from src.run.file_input import NORMALISED, PIXELS, Batch
from src.run.row import Settings
from src.system import machine

INPUT, OUTPUT = "images", "logits"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
TENSORRT = "TensorrtExecutionProvider"
# TF32 would be another precision under the name of fp32; torch's fp32 rows do without it, too.
_OPTIONS: dict[str, Mapping[str, int | str]] = {"CUDAExecutionProvider": {"use_tf32": 0}}
_PROFILED_CALLS = 5
_CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
_INT8 = {"int8", "uint8"}
_MICROSECOND = 1e-6


class OnnxRuntime:
    """An ONNX Runtime session on one execution provider.

    Args:
        path: the ONNX file.
        device: ``cpu`` or ``cuda``.
        threads: intra-op.
        provider: another one than the device's own.
        provider_options: options of that provider.

    Raises:
        Unavailable: this onnxruntime has no such provider, or it does not start here.
    """

    def __init__(
        self,
        path: Path,
        device: str,
        threads: int,
        provider: str | None = None,
        provider_options: Mapping[str, str] | None = None,
    ) -> None:
        import onnxruntime as ort

        self._path = path
        self._provider = provider or PROVIDERS[device]
        self._provider_options = provider_options or _OPTIONS.get(self._provider, {})
        self._threads = threads
        if self._provider not in ort.get_available_providers():
            raise Unavailable(f"this onnxruntime has no {self._provider}")
        if device == "cuda" and hasattr(ort, "preload_dlls"):
            # CUDA's and cuDNN's libraries from NVIDIA's packages, where the system has none.
            ort.preload_dlls()
        self._session = self._open(self._options())
        actual = self._session.get_providers()
        if self._provider not in actual:
            # onnxruntime logs why and falls back to the CPU, which would be timed as a GPU.
            raise Unavailable(
                f"{self._provider} does not start: its libraries or the driver do not fit"
            )
        self.settings: Settings = {
            "runtime": f"onnxruntime {ort.__version__}",
            "device": "cpu" if actual[0] == PROVIDERS["cpu"] else "cuda",
            "input": str(PIXELS if "uint8" in self._session.get_inputs()[0].type else NORMALISED),
            "providers": actual,
            "threads": self._session.get_session_options().intra_op_num_threads,
            "interop_threads": self._session.get_session_options().inter_op_num_threads,
        }
        if asks_for_exact_sums():
            self.settings["exact_int8_sums"] = True
        if device == "cuda":
            options = self._session.get_provider_options()[self._provider]
            # As strings, "0" or "1".
            self.settings["tf32"] = options.get("use_tf32")
            self.settings["cuda_graph"] = options.get("enable_cuda_graph")

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        return cast("NDArray[np.float32]", self._session.run([OUTPUT], {INPUT: images})[0])

    def synchronize(self) -> None:
        """Do nothing: ``run`` returns when the logits are in the host's memory."""

    def device_seconds(self, images: Batch) -> float | None:
        """Return the wall time of a synchronised run whose input and output stay on the device.

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

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Sum up ONNX Runtime's own profile of a few calls, by the types that operators take."""
        with tempfile.TemporaryDirectory() as folder:
            options = self._options()
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = self._open(options)
            for _ in range(_PROFILED_CALLS):
                session.run([OUTPUT], {INPUT: images})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        profiled = operations(events)
        if trace is not None:
            write(trace, profiled, self.settings["runtime"])
        return Profile.of(profiled)

    def _options(self) -> Any:
        return session_options(self._threads)

    def _open(self, options: Any) -> Any:
        import onnxruntime as ort

        providers = [(self._provider, self._provider_options)]
        try:
            session = ort.InferenceSession(self._path, options, providers=providers)
        except Exception as error:
            if self._provider == PROVIDERS["cpu"] or not _is_about(error, self._provider):
                raise
            raise Unavailable(f"{self._provider} does not start: {one_line(str(error))}") from error
        session.disable_fallback()  # else a call that fails here is repeated on the CPU
        return session


def session_options(threads: int) -> Any:
    """Return the options of a session: its threads, and sums that do not saturate."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if asks_for_exact_sums():
        options.add_session_config_entry(EXACT_SUMS, "1")
    return options


def asks_for_exact_sums() -> bool:
    """Return True if sums of int8 products could saturate here.

    A process that hides instruction sets is there to show the runtime's own choice.
    """
    return machine.lacks_dot_product() and machine.MASK_VARIABLE not in os.environ


def _is_about(error: Exception, provider: str) -> bool:
    """Return True if an error is about the provider, and not about a broken file."""
    text = str(error)
    words = (provider, "CUDA", "cuDNN", "CUDNN", "TensorRT", ".so", "default CPU EP")
    return any(word in text for word in words)


def operations(events: Sequence[Event]) -> list[Operation]:
    """Return the operators of an ONNX Runtime profile, in order.

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


def _precision(details: Mapping[str, Any]) -> str:
    types = {name for shapes in details.get("input_type_shape", ()) for name in shapes}
    if details["op_name"] in _CONVERSIONS:
        return "conversion"
    if types & _INT8:
        return "int8"
    return "16 bit" if types & {"float16", "bfloat16"} else "fp32"
