"""ONNX Runtime with OpenVINO's execution provider. It runs in the environment of that build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.onnx.runtime import OnnxRuntime

PROVIDER = "OpenVINOExecutionProvider"
# Without it OpenVINO computes in bf16 on a processor that has it.
OPTIONS = {"device_type": "CPU", "precision": "FP32"}
WITHOUT_OWN_KERNELS = "session.disable_cpu_ep_fallback"


class OnnxOpenVinoRuntime(OnnxRuntime):
    """A session whose whole graph OpenVINO compiles.

    Args:
        path: the ONNX file.
        threads: intra-op threads.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = {**OPTIONS, "num_of_threads": str(threads)}
        super().__init__(path, "cpu", threads, PROVIDER, options)
        self.settings.update(device="cpu", threads=threads, precision=OPTIONS["precision"])

    def _options(self) -> Any:
        options = super()._options()
        # Else ONNX Runtime's own kernels would be timed where OpenVINO refuses a part or all.
        options.add_session_config_entry(WITHOUT_OWN_KERNELS, "1")
        return options
