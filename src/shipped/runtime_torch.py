"""A TorchScript file or an AOTInductor package in PyTorch, on the CPU.

Loading either of them executes what is in it, so load only files that you trust. ``predict.py``
has compared the file with the hash in ``model.json`` before.
"""

from __future__ import annotations

import contextlib
import json
import platform
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, np.dtype[Any]]
Network = Callable[[torch.Tensor], torch.Tensor]

METADATA = "lightship.json"  # a file within the archive
CPUINFO = Path("/proc/cpuinfo")
NOT_EXECUTABLE = "failed to map segment from shared object"  # of the system's loader
# The kernel's flag by the name of the instruction set that a package was compiled for.
FLAGS = {
    "AVX2": "avx2",
    "FMA": "fma",
    "AVX-512": "avx512f",
    "AVX-512 VNNI": "avx512_vnni",
    "AVX-VNNI": "avx_vnni",
    "AVX-512 BF16": "avx512_bf16",
    "AMX": "amx_tile",
    "AMX-INT8": "amx_int8",
    "AMX-BF16": "amx_bf16",
    "NEON": "asimd",
    "NEON dot product": "asimddp",
    "I8MM": "i8mm",
    "NEON BF16": "bf16",
    "SVE": "sve",
}


class Runtime:
    """The opened file: see ``runtime_onnxruntime.py``.

    Args:
        path: ``.pt`` for TorchScript, ``.pt2`` for an AOTInductor package.
        threads: of one operator, in the whole process; None leaves it to PyTorch.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
            with contextlib.suppress(RuntimeError):  # refused once something has run
                torch.set_num_interop_threads(1)
        opened = open_package if path.suffix == ".pt2" else open_script
        self._network, metadata = opened(path)
        self.metadata: dict[str, Any] = {
            name: metadata[name]
            for name in ("class_names", "preprocessing", "input")
            if name in metadata
        }

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it."""
        with torch.inference_mode():
            return np.asarray(self._network(torch.from_numpy(images)).float().numpy())


def open_script(path: Path) -> tuple[Network, dict[str, Any]]:
    """Load a TorchScript file and its metadata."""
    inside = {METADATA: ""}
    with _no_deprecation_warnings():
        module = torch.jit.load(  # type: ignore[no-untyped-call]  # torch has not typed it
            path, map_location="cpu", _extra_files=inside
        )
    return module, json.loads(inside[METADATA] or "{}")


def open_package(path: Path) -> tuple[Network, dict[str, Any]]:
    """Load the library of an AOTInductor package; nothing in the package is unpickled or compiled.

    Raises:
        ValueError: this processor cannot run it, or see :func:`load_library`.
    """
    with zipfile.ZipFile(path) as package:
        names = package.namelist()
        [inside] = [name for name in names if name.endswith(f"extra/{METADATA}")]
        metadata = json.loads(package.read(inside))
        require_processor(metadata)
        runner = load_library(package)

    def network(images: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor
        [answer] = runner.run([images.contiguous()])
        return answer

    return network, metadata


def load_library(package: zipfile.ZipFile) -> Any:
    """Load the library of an AOTInductor package; the process keeps it after its file is gone.

    Torch's own loader is not used: it unpickles other members of a package and compiles sources
    in it.

    Raises:
        ValueError: there is more or less than one, or no library may be loaded from the folder of
            temporary files.
    """
    from torch._C import _aoti

    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        [library] = [name for name in package.namelist() if name.endswith(".so")]
        try:
            return _aoti.AOTIModelContainerRunnerCpu(package.extract(library, scratch), 1)
        except RuntimeError as error:
            if NOT_EXECUTABLE not in str(error):
                raise
            raise ValueError(
                f"no library may be loaded from {Path(scratch).parent}, which may be mounted "
                "noexec; name another folder, as in TMPDIR=/path"
            ) from error


def require_processor(compiled: dict[str, Any]) -> None:
    """Refuse machine code that would end this process with an illegal instruction.

    Raises:
        ValueError: it was compiled for another kind of processor. The instruction sets are
            compared on Linux only, whose kernel tells them.
    """
    if compiled["machine"] != platform.machine():
        raise ValueError(f"compiled for {compiled['machine']}, this is {platform.machine()}")
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    fields = {"flags", "Features"}  # on x86, on ARM
    here = {
        flag
        for key, _, value in (line.partition(":") for line in lines)
        if key.strip() in fields
        for flag in value.split()
    }
    # Others are named as the kernel names them.
    missing = [name for name in compiled["instruction_sets"] if FLAGS.get(name, name) not in here]
    if missing:
        raise ValueError(f"compiled for a processor with {', '.join(missing)}, which this has not")


@contextlib.contextmanager
def _no_deprecation_warnings() -> Iterator[None]:
    """Hide PyTorch's advice to use torch.export instead."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", message=".*torch.jit.*", category=category)
        yield
