"""TorchScript: the bare network scripted, frozen, and optimised for inference."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from src.backends.base import ExportSource
from src.backends.torch.runtime import TorchRuntime, open_device
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import PreprocessingFacts

if TYPE_CHECKING:
    from torch import nn

_FILE = "model.pt"
_METADATA = "lightship.json"  # an extra file inside the archive


class TorchScript(Format):
    """One archive with the frozen network and its metadata."""

    requires = ("torch",)
    runs_with = ("torch",)
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    precision = "fp32"
    tolerance = 5e-3  # like eager, and BatchNorm folded into convolutions
    bundling = Bundling(
        "runtime_torch",
        (_FILE,),
        ("torch",),
        executes="A TorchScript file is a program, which PyTorch runs. Nothing in it is "
        "unpickled by Python.",
    )

    def network(self, source: ExportSource) -> nn.Module:
        """Return the network to script.

        The simplified network is not used: TorchScript was not faster with it, timed in turn.
        """
        from src.backends.torch.only_logits import for_scripting

        return for_scripting(source.network)

    def export(self, source: ExportSource, folder: Path) -> None:
        import torch

        with _no_deprecation_warnings():
            scripted = torch.jit.script(self.network(source))
            # Freezing folds BatchNorm into the convolution before it. The weights become
            # constants, which torch.jit.load moves to its map_location.
            frozen = torch.jit.freeze(scripted)
            extra = {_METADATA: json.dumps(source.metadata())}
            content = io.BytesIO()
            torch.jit.save(frozen, content, _extra_files=extra)
        # Saved in memory first: on a full disk, torch.jit.save ends the process with SIGABRT.
        (folder / _FILE).write_bytes(content.getbuffer())

    def load(self, folder: Path, device: str, threads: int) -> TorchRuntime:
        import torch

        torch_device = open_device(device, threads)
        with _no_deprecation_warnings():
            module = torch.jit.load(  # type: ignore[no-untyped-call]  # torch has not typed it
                folder / _FILE, map_location=torch_device
            )
        return TorchRuntime(module, torch_device, self.precision)

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        device, path = self.devices[0], f"{usage_code.FOLDER}/{_FILE}"
        opening = [
            f'inside = {{"{_METADATA}": ""}}',
            f'model = torch.jit.load("{path}", "{device}", _extra_files=inside)',
            f'names = json.loads(inside["{_METADATA}"])["class_names"]',
        ]
        call = f"model({usage_code.tensor(device)})"
        return usage_code.lines(["import torch"], opening, preprocessing, call)


@contextlib.contextmanager
def _no_deprecation_warnings() -> Iterator[None]:
    """Hide torch's advice to use torch.export instead; this format is TorchScript on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        yield
