"""Networks of few weights, for tests of what happens around a network.

ResNet-34's checkpoints with the state of the optimizer have 256 MB, and its files 85 MB. Writing,
hashing and loading these takes most of the time of a small training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BUILDER = "shufflenet_v2_x0_5"  # 0.35 M parameters
NAME = BUILDER  # of the run's folder
WORDS = (f"model=torchvision/{BUILDER}",)


class SmallNetwork(nn.Module):
    """Convolutions with BatchNorm, a residual sum, two poolings and a linear layer.

    It is exported in a second. It is no network of a library, so it has no ``eager`` file.
    """

    channels = 64

    def __init__(self, classes: int) -> None:
        super().__init__()
        channels = self.channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (N, K), of images, (N, 3, H, W)."""
        value = self.stem(images)
        value = torch.relu(value + self.branch(value))
        logits: Tensor = self.head(self.pool(value).mean((2, 3)))
        return logits


def small_network(classes: int, images: Tensor) -> nn.Module:
    """Return the network with random weights, and BatchNorm statistics that fit the images."""
    network = SmallNetwork(classes).train()
    with torch.no_grad():
        for _ in range(20):
            network(images)
    return network.eval()
