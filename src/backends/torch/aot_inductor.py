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
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from src.backends.base import ExportSource, Metadata, Unavailable
from src.backends.torch.runtime import fresh_compiler_cache, require_compiler
from src.system import machine

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_SOURCES = {".c", ".cc", ".cpp", ".cu"}
METADATA = "extra/lightship.json"  # where torch.export.pt2_archive puts a caller's own files


class _CompiledFor(msgspec.Struct, omit_defaults=True):
    """The machines that can run a package, as a part of its metadata."""

    machine: str  # as ``platform.machine`` calls it
    instruction_sets: list[str]
    compute_capability: list[int] | None = None  # of the GPU; None for a CPU


class Package(NamedTuple):
    """A loaded package."""

    network: Callable[[Tensor], Tensor]  # (N, 3, H, W) float32 -> (N, K) float32
    image_size: int  # H and W


def compile_package(
    source: ExportSource, path: Path, network: nn.Module, place: torch.device
) -> None:
    """Compile ``network`` on ``place`` and write the package with the metadata inside.

    Args:
        source: of the images, the metadata and the scratch folder.
        path: the package.
        network: (N, 3, H, W) float32 to (N, K) float32; not changed.
        place: the device to compile for.

    Raises:
        Unavailable: there is no C++ compiler.
    """
    import torch
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.async_compile import shutdown_compile_workers

    require_compiler()
    configs: dict[str, bool] = {
        "freezing": True,
        # They would be left behind, in a cache that no setting moves.
        "aot_inductor.precompile_headers": False,
    }
    if place.type == "cpu":
        # Else the number of threads of this process would be compiled in.
        configs["cpp.dynamic_threads"] = True
    with tempfile.TemporaryDirectory(dir=source.scratch) as folder:
        package = Path(folder) / "model.pt2"
        with torch.no_grad(), fresh_compiler_cache(source.scratch):
            program = torch.export.export(
                network if place.type == "cpu" else copy.deepcopy(network).to(place),
                (source.example.to(place),),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
            aoti_compile_and_package(program, package_path=str(package), inductor_configs=configs)
        shutdown_compile_workers()  # processes that would stay, beside rows that are timed
        metadata = {**source.metadata(), **msgspec.to_builtins(_compiled_for(place))}
        _pack(package, path, json.dumps(metadata))


def open_package(path: Path, place: torch.device) -> Package:
    """Load the network of a package onto ``place``.

    Raises:
        Unavailable: this processor or GPU lacks what the package was compiled for.
        ValueError: it holds more than compiled code, or the folder of temporary files permits no
            library.
    """
    from src.shipped.runtime_torch import load_library  # imports torch

    with zipfile.ZipFile(path) as package:
        [inside] = [name for name in package.namelist() if name.endswith(METADATA)]
        content = package.read(inside)
        _require_machine(msgspec.json.decode(content, type=_CompiledFor), place.type)
        if place.type == "cpu":
            runner = load_library(package)
        else:
            require_only_compiled(package)
            runner = package_loader(path)
    metadata = msgspec.json.decode(content, type=Metadata)
    return Package(_network(runner), metadata.preprocessing.image_size)


def package_loader(path: Path) -> Any:
    """Open a package with torch's C++ loader, which finds a GPU's kernels and unpickles nothing.

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
        written.writestr(f"{root}/{METADATA}", metadata)


def _compiled_for(place: torch.device) -> _CompiledFor:
    """Describe the machines that can run the package."""
    import torch

    on_gpu = place.type == "cuda"
    return _CompiledFor(
        machine=platform.machine(),
        # It is compiled with -march=native.
        instruction_sets=list(machine.code_instruction_sets(by_gcc=_is_by_gcc())),
        compute_capability=list(torch.cuda.get_device_capability(place)) if on_gpu else None,
    )


def _is_by_gcc() -> bool:
    """Return True if torch compiles with GCC; False if it is Clang or unknown."""
    from torch._inductor.cpp_builder import is_gcc

    return is_gcc()


def _require_machine(compiled: _CompiledFor, device: str) -> None:
    """Refuse code that would end this process with an illegal instruction.

    Raises:
        Unavailable: this processor or GPU lacks what the package was compiled for.
    """
    import torch

    if platform.machine() != compiled.machine:
        raise Unavailable(f"compiled for {compiled.machine}, this is {platform.machine()}")
    here = machine.code_instruction_sets()
    missing = [
        name
        for name in compiled.instruction_sets
        if name not in here and not machine.has_flag(name)
    ]
    if missing:
        raise Unavailable(f"compiled for a processor with {', '.join(missing)}, which this has not")
    if device == "cuda":
        capability = list(torch.cuda.get_device_capability())
        if capability != compiled.compute_capability:
            wanted = ".".join(map(str, compiled.compute_capability or []))
            here_is = ".".join(map(str, capability))
            raise Unavailable(f"compiled for compute capability {wanted}, this GPU has {here_is}")
