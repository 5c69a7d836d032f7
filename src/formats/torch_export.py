"""torch.export, compiled ahead of time by AOTInductor: TorchScript's successor.

The package holds a shared library of this machine's code: it runs on processors that have the
instruction sets of the one it was exported on, and loading it runs what is in it, as with any
library. Exporting takes a C++ compiler; running does not.
"""

from __future__ import annotations

import json
import platform
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src import machine
from src.formats import _usage
from src.formats._torch import TorchRuntime, fresh_compiler_cache, open_device, require_compiler
from src.formats.base import ExportSource, Unavailable

if TYPE_CHECKING:
    from torch import Tensor

requires = ("torch",)
runs_with = ("torch",)
devices = ("cpu",)  # a package is compiled for one kind of device
precision = "fp32"
tolerance = 5e-3  # other kernels, BatchNorm folded
compiles = True
varies = "the compiler's own names and paths are in it"

_FILE = "model.pt2"
_METADATA = "extra/lightship.json"  # where torch.export.pt2_archive puts a caller's own files


def export(source: ExportSource, folder: Path) -> None:
    import torch
    from torch._inductor import aoti_compile_and_package

    require_compiler()
    package = source.scratch / _FILE
    with torch.no_grad(), fresh_compiler_cache(source.scratch):
        program = torch.export.export(
            source.simplified,
            (source.example,),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        aoti_compile_and_package(
            program,
            package_path=str(package),
            inductor_configs={
                "freezing": True,
                # Else the number of threads of this process would be compiled in.
                "cpp.dynamic_threads": True,
                # They would be left behind, in a cache that no setting moves.
                "aot_inductor.precompile_headers": False,
            },
        )
    metadata = {
        **source.metadata(),
        "machine": platform.machine(),
        "instruction_sets": machine.instruction_sets(),
    }
    _pack(package, folder / _FILE, json.dumps(metadata))


def usage(preprocessing: dict[str, Any]) -> str:
    opening = [
        f'path = "{_usage.FOLDER}/{_FILE}"  # holds machine code: load only what you trust',
        "with zipfile.ZipFile(path) as package:",
        f'    [inside] = [name for name in package.namelist() if name.endswith("{_METADATA}")]',
        '    names = json.loads(package.read(inside))["class_names"]',
        "model = torch._inductor.aoti_load_package(path)",
    ]
    imports = ["import zipfile", "import torch", "import torch._inductor"]
    return _usage.lines(imports, opening, preprocessing, "model(torch.from_numpy(images))")


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


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    from torch._C import _aoti

    place = open_device(device, threads)
    # Not by torch's own loader: it unpickles what else is in a package, and compiles sources that
    # are in it. Only the library is taken, which the process keeps after its file is gone.
    with (
        zipfile.ZipFile(folder / _FILE) as package,
        tempfile.TemporaryDirectory(prefix="lightship-") as scratch,
    ):
        names = package.namelist()
        [metadata] = [name for name in names if name.endswith(_METADATA)]
        _require_processor(json.loads(package.read(metadata)))
        [library] = [name for name in names if name.endswith(".so")]
        runner = _aoti.AOTIModelContainerRunnerCpu(package.extract(library, scratch), 1)

    def network(images: Tensor) -> Tensor:
        # It reads memory in the order that it was compiled for, whatever the strides say.
        [logits] = runner.run([images.contiguous()])
        return logits

    return TorchRuntime(network, place)


def _require_processor(metadata: dict[str, Any]) -> None:
    """Refuse code that would end this process with an illegal instruction.

    Raises:
        Unavailable: this processor lacks what the package was compiled for.
    """
    if platform.machine() != metadata["machine"]:
        raise Unavailable(f"compiled for {metadata['machine']}, this is {platform.machine()}")
    here = machine.instruction_sets()
    missing = [name for name in metadata["instruction_sets"] if name not in here]
    if missing:
        raise Unavailable(f"compiled for a processor with {', '.join(missing)}, which this has not")
