"""Networks that have more outputs in TorchScript than in Python. Importing this imports torch."""

from __future__ import annotations

from torch import Tensor, nn
from torch._jit_internal import is_scripting  # torch.jit has it too, but does not export it
from torchvision.models import GoogLeNet, Inception3


class OnlyLogits(nn.Module):
    """Runs a network, and returns the logits (N, K) alone.

    Args:
        network: images (N, 3, H, W) to logits in Python; to a tuple that begins with them in
            TorchScript.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        output = self.network(images)
        if is_scripting():
            first: Tensor = output[0]
            return first
        logits: Tensor = output
        return logits


def for_scripting(network: nn.Module) -> nn.Module:
    """Return a network whose TorchScript gives logits.

    GoogLeNet and Inception v3 have auxiliary heads in training. In TorchScript they return a tuple
    with a place for these heads, even where they have none.
    """
    return OnlyLogits(network).eval() if isinstance(network, GoogLeNet | Inception3) else network
