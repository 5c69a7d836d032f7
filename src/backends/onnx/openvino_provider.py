"""ONNX Runtime with OpenVINO's execution provider. It runs in the environment of that build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from src.backends.onnx.runtime import OnnxRuntime
from src.shipped.openvino_threads import thread_options

PROVIDER = "OpenVINOExecutionProvider"
# Without it OpenVINO computes in bf16 on a processor that has it.
OPTIONS = {"device_type": "CPU", "precision": "FP32"}
WITHOUT_OWN_KERNELS = "session.disable_cpu_ep_fallback"


class OnnxOpenVinoRuntime(OnnxRuntime):
    """A session whose whole graph OpenVINO compiles.

    Its settings have no number of threads: neither the provider nor its options tell how many
    OpenVINO computes with, and those of the session are of ONNX Runtime's own kernels.

    Args:
        path: the ONNX file.
        threads: intra-op threads.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = {
            **OPTIONS,
            "num_of_threads": str(threads),
            "load_config": json.dumps({"CPU": thread_options(threads)}),
        }
        super().__init__(path, "cpu", threads, PROVIDER, options)
        self.settings.update(device="cpu", precision=OPTIONS["precision"])
        del self.settings["threads"]

    def _options(self) -> Any:
        options = super()._options()
        # Else ONNX Runtime's own kernels would be timed where OpenVINO refuses a part or all.
        options.add_session_config_entry(WITHOUT_OWN_KERNELS, "1")
        return options
