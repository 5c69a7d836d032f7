"""A reconstruction and a short distillation that show whether a set of parts can be learnt."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from src.data.dataset_module import DatasetModule
from src.models.batch_norm_statistics import reestimate_statistics
from src.twin.distillation import TEMPERATURE, distillation_loss
from src.twin.reconstruction import reconstruct
from src.twin.validation import agreement


def agreement_after(
    teacher: nn.Module,
    student: nn.Module,
    data: DatasetModule,
    images: Tensor,
    expected: Tensor,
    steps: int,
    lr: float,
    device: torch.device,
    enough: float,
) -> float:
    """Return the share of images with the teacher's top-1 class after some steps.

    If the reconstruction alone gives enough of them, no step is made.

    Args:
        teacher: in eval mode.
        student: in eval mode; trained in place.
        data: set up for fit.
        images: training images, (n, 3, H, W), for the statistics of BatchNorm and the comparison.
        expected: the teacher's class of each of them, (n,).
        steps: of AdamW.
        lr: its learning rate.
        device: on which both are run; afterwards they are on the CPU.
        enough: share of images that need no step.
    """
    reconstruct(student, teacher, images, device)
    reached = agreement(student, images, expected)
    if reached >= enough:
        return reached
    teacher.to(device)
    student.to(device)
    optimizer = torch.optim.AdamW(student.parameters(), lr=lr, weight_decay=0.0)
    student.train()
    for batch, _ in zip(_batches(data), range(steps), strict=False):
        inputs = data.preprocessing.normalised(batch[0].to(device))
        with torch.no_grad():
            logits = teacher(inputs)
        loss = distillation_loss(student(inputs), logits, TEMPERATURE)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    teacher.cpu()
    student.cpu().eval()
    reestimate_statistics(student, images)
    return agreement(student, images, expected)


def _batches(data: DatasetModule) -> Iterator[Any]:
    """Yield training batches without an end; the order of each epoch is another one."""
    loader = data.train_dataloader()
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader
