"""torch.export, compiled ahead of time by AOTInductor: the successor of TorchScript.

The package contains a shared library, which needs the instruction sets of the processor that it
was exported on. Loading it executes its code, as with any library. Exporting needs a C++ compiler;
running does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from src.backends.base import ExportSource
from src.backends.torch import aot_inductor
from src.backends.torch.runtime import TorchRuntime, open_device
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import PreprocessingFacts

if TYPE_CHECKING:
    import torch
    from torch import nn

_FILE = "model.pt2"


class TorchExport(Format):
    """One AOTInductor package, compiled for the kind of device in ``devices``."""

    requires = ("torch",)
    runs_with = ("torch",)
    devices = ("cpu",)  # a package is compiled for one kind of device
    precision = "fp32"
    tolerance = 5e-3  # other kernels, BatchNorm folded
    bundling = Bundling(
        "runtime_torch",
        (_FILE,),
        ("torch",),
        executes="The package holds machine code for processors such as the one that it was "
        "exported on. Loading it runs this code. Nothing in it is unpickled.",
        same_minor=True,  # the loader is not a public one
    )
    compiles = True
    varies = "the compiler's own names and paths are in it"

    def compile_device(self) -> torch.device:
        """Return the device to compile for.

        Raises:
            Unavailable: this machine has no such device.
        """
        import torch

        return torch.device("cpu")

    def network(self, source: ExportSource) -> nn.Module:
        """Return the network to compile."""
        return source.simplified

    def export(self, source: ExportSource, folder: Path) -> None:
        network, device = self.network(source), self.compile_device()
        aot_inductor.compile_package(source, folder / _FILE, network, device)

    def load(self, folder: Path, device: str, threads: int) -> TorchRuntime:
        torch_device = open_device(device, threads)
        package = aot_inductor.open_package(folder / _FILE, torch_device)
        runtime = TorchRuntime(package.network, torch_device, self.precision)
        if device != "cpu":
            # Kernels are read from their files at the first call, which would be slow.
            runtime.warm_up(package.image_size)
        return runtime

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        metadata, device = aot_inductor.METADATA, self.devices[0]
        opening = [
            f'path = "{usage_code.FOLDER}/{_FILE}"  # holds machine code: load only what you trust',
            "with zipfile.ZipFile(path) as package:",
            f'    [inside] = [name for name in package.namelist() if name.endswith("{metadata}")]',
            '    names = json.loads(package.read(inside))["class_names"]',
            "model = torch._inductor.aoti_load_package(path)",
        ]
        imports = ["import zipfile", "import torch", "import torch._inductor"]
        call = f"model({usage_code.tensor(device)})"
        return usage_code.lines(imports, opening, preprocessing, call)
