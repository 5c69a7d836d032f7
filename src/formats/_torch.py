"""What runs in PyTorch: a module as a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from src.formats.base import Unavailable

if TYPE_CHECKING:
    import torch
    from torch import nn


class TorchRuntime:
    """A module on a device, called without autograd."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        import torch

        self._network = network
        self._device = device
        self.settings = {
            "runtime": f"torch {torch.__version__}",
            "device": str(device),
            "threads": str(torch.get_num_threads()),
            "matmul_precision": torch.get_float32_matmul_precision(),
            "cudnn_tf32": str(torch.backends.cudnn.allow_tf32),
        }

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            logits = self._network(torch.from_numpy(images).to(self._device))
            return cast("NDArray[np.float32]", logits.float().cpu().numpy())

    def synchronize(self) -> None:
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def open_device(device: str, threads: int) -> torch.device:
    """Torch's device of that name, with ``threads`` intra-op threads set.

    Raises:
        Unavailable: torch sees no such device.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise Unavailable("no CUDA device that torch can use")
    torch.set_num_threads(threads)
    return torch.device(device)
