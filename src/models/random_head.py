"""Random weights of a head for few classes, which some libraries draw far too large.

torchvision and timm draw EfficientNet's head from U(-1/sqrt(K), 1/sqrt(K)) for K classes, and
torchvision MNASNet's by Kaiming's rule with the fan-out, which is K. For the 1,000 classes of
ImageNet that is about the usual size. For 10 classes of 1,280 features the first logits are 11
times as large as those of torch's Linear. The first loss is then far above ln K, and the first
steps push features to extremes, which BatchNorm hides in training and not in inference.
"""

from __future__ import annotations

import math

import torch
from torch import nn

# Root mean square of the logits for features of mean square 1. torch's Linear draws weights from
# U(-1/sqrt(features), 1/sqrt(features)).
_USUAL = 1 / math.sqrt(3)
_LARGEST = math.sqrt(2)  # Kaiming's rule with the fan-in (He et al., 2015, arXiv 1502.01852)


def shrink_large_head(network: nn.Module, num_classes: int) -> None:
    """Scale the head's random weights to the size of torch's Linear, if they are larger.

    Heads of a usual size stay as they are, and so do all other weights.

    Args:
        network: with random weights.
        num_classes: outputs of the head, which is the network's last linear layer or convolution.
    """
    heads = [each for each in network.modules() if isinstance(each, nn.Linear | nn.Conv2d)]
    if not heads or heads[-1].weight.shape[0] != num_classes:
        return
    weight = heads[-1].weight
    fan_in = weight[0].numel()
    with torch.no_grad():
        scale = float(weight.square().mean().sqrt()) * math.sqrt(fan_in)
        if scale > _LARGEST:
            weight.mul_(_USUAL / scale)
