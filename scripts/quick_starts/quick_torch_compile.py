"""``torch.compile(module)`` with its defaults, from the state dict."""

from __future__ import annotations

from pathlib import Path

from src.backends.torch.runtime import TorchRuntime
from src.formats import eager


class QuickTorchCompile(eager.Eager):
    devices = ("cpu",)

    def load(self, folder: Path, device: str, threads: int) -> TorchRuntime:
        runtime = super().load(folder, device, threads)
        runtime.network.compile()
        # It compiles for a shape when it sees it, and once more, for any batch, when it changes.
        runtime.warm_up(eager.image_size(folder))
        return runtime
