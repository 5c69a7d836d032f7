"""Description of the machine, detailed enough to explain differences between two reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import src
from src.run.circumstances import Container, Environment, Gpu
from src.system import machine, runtime_variables, subprocesses
from src.worker import nvml

_ROOT = Path(src.__file__).parent.parent
_GIT_SECONDS = 5.0
_COMMIT = re.compile(r"[0-9a-f]{40,64}")

_PACKAGES = (
    "lightning",
    "nncf",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "opencv-python-headless",
    "openvino",
    "pillow",
    "safetensors",
    "simplejpeg",
    "timm",
    "torchmetrics",
    "torch",
    "torchvision",
)


def describe(threads: int) -> Environment:
    """Describe the machine and the versions.

    Args:
        threads: intra-op threads of every runtime.
    """
    return Environment(
        cpu=machine.cpu_model(),
        isa=list(machine.instruction_sets()),
        int8_dot_product=machine.has_int8_dot_product(),
        architecture=platform.machine(),
        usable_cores=machine.usable_cores(),
        threads=threads,
        machine_cores=os.cpu_count(),
        frequency_governor=machine.frequency_governor(),
        virtual_machine=machine.is_virtual(),
        memory_bytes=machine.memory_bytes(),
        container=Container(
            cores=machine.container_cores(),
            memory_bytes=machine.container_memory_bytes(),
        ),
        gpu=_gpu(),
        system=platform.platform(),
        python=platform.python_version(),
        packages=package_versions(),
        git_commit=git_commit(),
        variables=runtime_variables.of_speed() or None,
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide figures, without those that are missing."""
    versions = {}
    for name in _PACKAGES:
        try:
            version: str | None = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # not installed, so not used
        versions[name] = version or "unknown"  # an interrupted installation has no version
    return versions


def _gpu() -> Gpu | None:
    import torch

    if not torch.cuda.is_available():
        return None
    return Gpu(
        name=torch.cuda.get_device_name(0),  # the one that is measured, whichever trained
        cuda=str(torch.version.cuda),
        cudnn=torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        **nvml.describe()._asdict(),
    )


def git_commit() -> str | None:
    """Return the commit of this project; None outside its own repository or if git fails.

    Two cases would give the commit of another repository. A git hook sets ``GIT_DIR`` for all
    programs that it starts, so these variables are removed. And a copy of this project may lie
    inside another repository, so the repository's root is compared.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    printed = subprocesses.output_of(
        ["git", "rev-parse", "--show-toplevel", "HEAD"],
        _GIT_SECONDS,
        cwd=_ROOT,
        env={**environment, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
    )
    top, _, commit = (printed or "").rpartition("\n")
    is_own = bool(top) and Path(top).resolve() == _ROOT.resolve()
    return commit if is_own and _COMMIT.fullmatch(commit) else None
