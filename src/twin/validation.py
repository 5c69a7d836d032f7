"""Answers of networks on the validation split, compared with the teacher's and the labels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from src.data.dataset_module import DatasetModule
from src.errors import UsageError
from src.models.batch_norm_statistics import BATCH
from src.run.twin import Validated
from src.twin.distillation import TEMPERATURE, distillation_loss


class Validation:
    """The validation split with the teacher's logits, which are computed once.

    Args:
        teacher: in eval mode, (N, 3, H, W) -> (N, K).
        data: set up for fit.
        device: on which networks are run; afterwards they are on the CPU.

    Raises:
        UsageError: the data have no validation images.
    """

    def __init__(self, teacher: nn.Module, data: DatasetModule, device: torch.device) -> None:
        self._data = data
        self._device = device
        expected = [*self._logits(teacher)]
        labels = [labels for _, labels in data.batches("val", BATCH)]
        if not expected:
            raise UsageError(
                "RUN",
                expected="validation images, to compare the twin with the trained network",
                found="none in its data",
                remedy="train with a validation split",
            )
        self._expected = torch.cat(expected)  # (N, K)
        self._labels = torch.from_numpy(np.concatenate(labels))

    def of(self, network: nn.Module) -> Validated:
        """Validate a network in eval mode."""
        same = right = 0
        loss = 0.0
        first = 0
        for logits in self._logits(network):
            expected = self._expected[first : first + len(logits)]
            labels = self._labels[first : first + len(logits)]
            answers = logits.argmax(1)
            same += int((answers == expected.argmax(1)).sum())
            right += int((answers == labels).sum())
            loss += float(distillation_loss(logits, expected, TEMPERATURE)) * len(logits)
            first += len(logits)
        return Validated(
            images=first,
            top1=right / first,
            agreement=same / first,
            loss=max(0.0, loss / first) if math.isfinite(loss) else None,
        )

    def _logits(self, network: nn.Module) -> Iterator[Tensor]:
        """Yield the logits of each batch, (n, K), on the CPU."""
        network.to(self._device)
        with torch.inference_mode():
            for images, _ in self._data.batches("val", BATCH):
                yield network(torch.from_numpy(images).to(self._device)).float().cpu()
        network.cpu()


def classes(network: nn.Module, images: Tensor) -> Tensor:
    """Return the top-1 class of each image of (n, 3, H, W), in batches, (n,)."""
    with torch.inference_mode():
        return torch.cat([network(batch).argmax(1) for batch in torch.split(images, BATCH)])


def agreement(network: nn.Module, images: Tensor, expected: Tensor) -> float:
    """Return the share of images (n, 3, H, W) whose top-1 class is the expected one, (n,)."""
    return float((classes(network, images) == expected).float().mean())
