"""ONNX Runtime with OpenVINO's execution provider. It runs in the environment of that build."""

from __future__ import annotations

from pathlib import Path

from src.backends.onnx.runtime import OnnxRuntime

PROVIDER = "OpenVINOExecutionProvider"
# Without it OpenVINO computes in bf16 on a processor that has it.
OPTIONS = {"device_type": "CPU", "precision": "FP32"}


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
