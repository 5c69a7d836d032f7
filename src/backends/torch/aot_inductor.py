"""AOTInductor packages: compiled ahead of time for one kind of device, loaded without unpickling.

A package is a zip file with a shared library and, for a GPU, its kernels as ``.cubin`` files.
"""

from __future__ import annotations

import copy
import json
import platform
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource, Unavailable
from src.backends.torch.runtime import (
    TorchRuntime,
    fresh_compiler_cache,
    open_device,
    require_compiler,
)
from src.run import usage_code
from src.system import machine

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_FILE = "model.pt2"
_SOURCES = {".c", ".cc", ".cpp", ".cu"}
_METADATA = "extra/lightship.json"  # where torch.export.pt2_archive puts a caller's own files


def export(
    source: ExportSource, folder: Path, network: nn.Module, place: torch.device, dtype: torch.dtype
) -> None:
    """Compile ``network`` on ``place`` and write the package with the metadata inside.

    Args:
        source: of the images, the metadata and the scratch folder.
        folder: empty.
        network: (N, 3, H, W) float32 to (N, K) float32; not changed.
        place: the device to compile for.
        dtype: of the weights, for the metadata of what can load it.

    Raises:
        Unavailable: there is no C++ compiler.
    """
    import torch
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.async_compile import shutdown_compile_workers

    require_compiler()
    package = source.scratch / f"{place.type}-{str(dtype).removeprefix('torch.')}.pt2"
    configs: dict[str, Any] = {
        "freezing": True,
        # They would be left behind, in a cache that no setting moves.
        "aot_inductor.precompile_headers": False,
    }
    if place.type == "cpu":
        # Else the number of threads of this process would be compiled in.
        configs["cpp.dynamic_threads"] = True
    with torch.no_grad(), fresh_compiler_cache(source.scratch):
        program = torch.export.export(
            network if place.type == "cpu" else copy.deepcopy(network).to(place),
            (source.example.to(place),),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        aoti_compile_and_package(program, package_path=str(package), inductor_configs=configs)
    shutdown_compile_workers()  # processes that would stay, beside rows that are timed
    _pack(package, folder / _FILE, json.dumps({**source.metadata(), **_compiled_for(place)}))


def usage(preprocessing: dict[str, Any], device: str = "cpu") -> str:
    """Lines of Python that use the file: see :meth:`src.formats.base.Format.usage`."""
    opening = [
        f'path = "{usage_code.FOLDER}/{_FILE}"  # holds machine code: load only what you trust',
        "with zipfile.ZipFile(path) as package:",
        f'    [inside] = [name for name in package.namelist() if name.endswith("{_METADATA}")]',
        '    names = json.loads(package.read(inside))["class_names"]',
        "model = torch._inductor.aoti_load_package(path)",
    ]
    imports = ["import zipfile", "import torch", "import torch._inductor"]
    return usage_code.lines(imports, opening, preprocessing, f"model({usage_code.tensor(device)})")


def load(folder: Path, device: str, threads: int, precision: str = "fp32") -> TorchRuntime:
    """The runtime of an exported folder: see :meth:`src.formats.base.Format.load`."""
    place = open_device(device, threads)
    path = folder / _FILE
    with zipfile.ZipFile(path) as package:
        names = package.namelist()
        [metadata] = [name for name in names if name.endswith(_METADATA)]
        about = json.loads(package.read(metadata))
        _require_machine(about, device)
        if device == "cpu":
            return TorchRuntime(_network(_library(package)), place, precision)
        require_only_compiled(package)
    runtime = TorchRuntime(_network(package_loader(path)), place, precision)
    # A kernel is read from its file when it is first called, and then stays.
    runtime.warm_up(about["preprocessing"]["image_size"])
    return runtime


def _library(package: zipfile.ZipFile) -> Any:
    """The library of a package for a CPU, which the process keeps after its file is gone.

    Not by torch's own loader: it unpickles what else is in a package, and compiles sources that
    are in it.
    """
    from torch._C import _aoti

    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        [library] = [name for name in package.namelist() if name.endswith(".so")]
        return _aoti.AOTIModelContainerRunnerCpu(package.extract(library, scratch), 1)


def package_loader(path: Path) -> Any:
    """Torch's loader in C++, which finds a GPU's kernels beside the library; it unpickles nothing.

    A package must have passed :func:`require_only_compiled`.
    """
    from torch._C import _aoti

    return _aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)


def require_only_compiled(package: zipfile.ZipFile) -> None:
    """Refuse a package with names that lead elsewhere, or with sources that would be compiled.

    Raises:
        ValueError: it has them; the message names one.
    """
    for member in package.infolist():
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise ValueError(f"{member.filename!r} in the package leads out of its folder")
        if path.suffix in _SOURCES and member.file_size:
            raise ValueError(f"{member.filename!r} in the package is source code, to be compiled")
    libraries = [name for name in package.namelist() if name.endswith(".so")]
    if len(libraries) != 1:
        raise ValueError(f"the package holds {len(libraries)} libraries; 1 is expected")


def _network(runner: Any) -> Callable[[Tensor], Tensor]:
    def network(images: Tensor) -> Tensor:
        # It reads memory in the order that it was compiled for, whatever the strides say.
        logits: Tensor
        [logits] = runner.run([images.contiguous()])
        return logits

    return network


def _pack(package: Path, path: Path, metadata: str) -> None:
    """Write ``package`` to ``path`` with the metadata, and without what was compiled.

    The C++ sources are not needed beside the library and name this machine's paths, but torch's
    loader finds the library's own metadata by their names.
    """
    with zipfile.ZipFile(package) as given, zipfile.ZipFile(path, "w") as written:
        for name in given.namelist():
            written.writestr(name, b"" if name.endswith(".cpp") else given.read(name))
        root = given.namelist()[0].partition("/")[0]
        written.writestr(f"{root}/{_METADATA}", metadata)


def _compiled_for(place: torch.device) -> dict[str, Any]:
    """What a machine must be to run the package, as plain values."""
    import torch

    found: dict[str, Any] = {
        "machine": platform.machine(),
        "instruction_sets": machine.instruction_sets(),
    }
    if place.type == "cuda":
        found["compute_capability"] = list(torch.cuda.get_device_capability(place))
    return found


def _require_machine(metadata: dict[str, Any], device: str) -> None:
    """Refuse code that would end this process with an illegal instruction.

    Raises:
        Unavailable: this processor or GPU lacks what the package was compiled for.
    """
    import torch

    if platform.machine() != metadata["machine"]:
        raise Unavailable(f"compiled for {metadata['machine']}, this is {platform.machine()}")
    here = machine.instruction_sets()
    missing = [name for name in metadata["instruction_sets"] if name not in here]
    if missing:
        raise Unavailable(f"compiled for a processor with {', '.join(missing)}, which this has not")
    if device == "cuda":
        capability = list(torch.cuda.get_device_capability())
        if capability != metadata["compute_capability"]:
            wanted, found = (
                ".".join(map(str, each)) for each in (metadata["compute_capability"], capability)
            )
            raise Unavailable(f"compiled for compute capability {wanted}, this GPU has {found}")
