"""Where it was measured: enough to explain a difference between two reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from src import machine
from src.benchmark import nvml

_PACKAGES = (
    "lightning",
    "nncf",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "openvino",
    "pillow",
    "safetensors",
    "torchmetrics",
    "torch",
    "torchvision",
)


def describe(threads: int) -> dict[str, Any]:
    """The machine and the versions, as plain values."""
    return {
        "cpu": machine.cpu_model(),
        "isa": list(machine.instruction_sets()),
        "int8_dot_product": machine.has_int8_dot_product(),
        "architecture": platform.machine(),
        "usable_cores": machine.usable_cores(),
        "threads": threads,
        "machine_cores": os.cpu_count(),
        "frequency_governor": machine.frequency_governor(),
        "virtual_machine": machine.is_virtual(),
        "memory_bytes": machine.memory_bytes(),
        "container": {
            "cores": machine.container_cores(),
            "memory_bytes": machine.container_memory_bytes(),
        },
        "gpu": _gpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": _versions(),
        "git_commit": _git_commit(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a package that is not there takes no part
    return found


def _gpu() -> dict[str, Any] | None:
    import torch

    if not torch.cuda.is_available():
        return None
    return {
        "name": torch.cuda.get_device_name(),
        "cuda": str(torch.version.cuda),
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        **nvml.describe(),
    }


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except OSError:
        return None  # no git here
    return answer.stdout.strip() if answer.returncode == 0 else None
