"""An ONNX file in ONNX Runtime with OpenVINO's kernels, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort

if TYPE_CHECKING or __package__:  # a part of a package
    from . import runtime_onnxruntime
    from .openvino_threads import thread_options
else:  # in the folder of a model
    import runtime_onnxruntime
    from openvino_threads import thread_options

PROVIDER = "OpenVINOExecutionProvider"
# Without it OpenVINO computes in bf16 on a processor that has it.
OPTIONS = {"device_type": "CPU", "precision": "FP32"}


class Runtime(runtime_onnxruntime.Runtime):
    """The opened file: see ``runtime_onnxruntime.py``.

    Args:
        path: the file.
        threads: of one operator; None leaves it to the runtime.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        # onnxruntime would warn and compute with its own kernels instead.
        if PROVIDER not in ort.get_available_providers():
            raise ImportError(
                "this onnxruntime has no OpenVINO: it is not that of onnxruntime-openvino"
            )
        super().__init__(path, threads)

    def options(self, threads: int | None) -> ort.SessionOptions:
        """Return the options of the session, which refuses a part that OpenVINO does not take."""
        options = super().options(threads)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options

    def providers(self, threads: int | None) -> list[tuple[str, dict[str, str]]]:
        """Return the execution provider with its options."""
        if threads is None:
            return [(PROVIDER, OPTIONS)]
        config = json.dumps({"CPU": thread_options(threads)})
        return [(PROVIDER, {**OPTIONS, "num_of_threads": str(threads), "load_config": config})]
