"""Run an int8 graph in a process of its own before the process of an export runs it.

On a processor with AMX OpenVINO 2026.4 can end the process that runs an int8 graph on one small
image. Without this check a training would end with it before its remaining formats are exported.

python -m src.quantization.openvino.crash_check GRAPH IMAGES PRECISION

runs GRAPH.xml on IMAGES.npy.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src.backends.openvino.runtime import OpenVinoRuntime
from src.quantization.evaluation import BATCH
from src.run.call_size import calls_of
from src.run.file_input import Batch
from src.system import machine
from src.system.subprocesses import run_module

if TYPE_CHECKING:
    import openvino

KILLED = "is killed by signal 9, as when memory runs out"
_TIMEOUT_SECONDS = 300.0
_CALLS = 3


def crash(graph: openvino.Model, images: Batch, precision: str, scratch: Path) -> str | None:
    """Run a graph on one image and on a batch, and return how the process failed.

    Args:
        graph: the int8 graph.
        images: (n, 3, H, W).
        precision: of the float part, "f32" or "bf16".
        scratch: a folder for temporary files.

    Returns:
        None if it did not fail; ``KILLED`` if its kernels are not to blame, but the memory.
    """
    import openvino

    file, images_file = scratch / "dry_run.xml", scratch / "dry_run.npy"
    openvino.save_model(graph, file, compress_to_fp16=False)
    np.save(images_file, next(calls_of(images, BATCH)))
    try:
        process = run_module(
            __name__, str(file), str(images_file), precision, seconds=_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"takes more than {_TIMEOUT_SECONDS:g} s"
    if process.returncode == -signal.SIGKILL:
        return KILLED
    if process.returncode < 0:
        return f"ends its process with signal {-process.returncode}"
    if process.returncode:
        return (
            process.stderr.strip().rpartition("\n")[2]
            or f"ends with exit code {process.returncode}"
        )
    return None


def main() -> None:
    import openvino

    graph, images = (
        openvino.Core().read_model(sys.argv[1]),
        np.load(sys.argv[2], allow_pickle=False),
    )
    runtime = OpenVinoRuntime(graph, "cpu", machine.usable_cores(), sys.argv[3])
    for _ in range(_CALLS):
        runtime(images[:1])
        runtime(images)


if __name__ == "__main__":
    main()
