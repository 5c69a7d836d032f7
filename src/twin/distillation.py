"""LightningModule that trains a student to give the logits of its teacher."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from src.errors import LightshipError
from src.models.batch_norm_statistics import FrozenStatistics
from src.models.losses import EpochMean
from src.models.optimization import warmup_cosine
from src.twin.time_limit import TimeLimit

TEMPERATURE = 2.0  # divides logits: section 2 of the paper
_WARM_UP = 0.1  # of the steps

# Shapes: N images, K classes, H = W = data.image_size.


class Distillation(LightningModule):
    """Trains a student on the softened probabilities of a teacher (Hinton et al., 2015).

    The labels are not used: the student shall compute what the teacher computes. With mixed images
    the teacher answers the mixture.

    Args:
        teacher: the trained network; it is not changed.
        student: begins with the weights that it has.
        num_classes: K.
        steps: of the whole training, for the schedule.
        lr: peak learning rate of AdamW.
        temperature: divides both logits.
        freeze_statistics_fraction: share of the steps, the last ones, with frozen statistics of
            BatchNorm; 0 for a student without BatchNorm, 1 for one that is near its teacher.
        limit: of the time; the schedule ends with it, if that is earlier than the last step.
    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        num_classes: int,
        steps: int,
        lr: float,
        temperature: float = TEMPERATURE,
        freeze_statistics_fraction: float = 0.3,
        limit: TimeLimit | None = None,
    ) -> None:
        super().__init__()
        # Not a submodule: its weights belong in no checkpoint, and train() must not reach it.
        self._teacher = [teacher.eval()]
        self.student = student
        self.steps = steps
        self.lr = lr
        self.temperature = temperature
        self.freeze_statistics_fraction = freeze_statistics_fraction
        self.limit = limit or TimeLimit(None)
        self._schedule = warmup_cosine(steps, _WARM_UP)
        self._epoch_loss = EpochMean()
        self.val_metrics = MetricCollection(
            {
                "agreement": MulticlassAccuracy(num_classes, average="micro"),
                "top1": MulticlassAccuracy(num_classes, average="micro"),
            },
            prefix="val/",
            compute_groups=False,
        )
        self.val_loss = MeanMetric()

    def configure_callbacks(self) -> list[Callback]:
        fraction = self.freeze_statistics_fraction
        if not fraction:
            return []
        earliest = 0 if fraction == 1 else None
        return [FrozenStatistics(fraction, lambda: self.limit.share, earliest)]

    def on_fit_start(self) -> None:
        self._teacher[0].to(self.device)

    def forward(self, images: Tensor) -> Tensor:
        """Return the student's logits (N, K) for images (N, 3, H, W)."""
        logits: Tensor = self.student(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(self(batch[0]), self._answers(batch[0]))
        if not torch.isfinite(loss):
            raise LightshipError(
                f"twin: the loss is not finite at step {self.global_step}; set a lower lr or "
                "quantized_lr"
            )
        self._epoch_loss.add(loss.detach(), batch_idx)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        # The line of an epoch gets its mean, the logger each loss.
        self.log("train/loss", self._epoch_loss.value(self.trainer), logger=False)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits, expected = self(images), self._answers(images)
        self.val_metrics["agreement"].update(logits, expected.argmax(dim=1))
        self.val_metrics["top1"].update(logits, labels)
        self.val_loss.update(self._loss(logits, expected), len(labels))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.val_metrics.compute(), prog_bar=True)
        self.log("val/loss", self.val_loss.compute())
        self.val_metrics.reset()
        self.val_loss.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # Without decay: the student begins near the weights that it shall keep.
        optimizer = torch.optim.AdamW(self.student.parameters(), lr=self.lr, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]  # type: ignore[return-value]

    def rate(self, step: int) -> float:
        """Return the factor of the learning rate: by steps, or by the time if that runs out."""
        return self._schedule(max(step, int(self.limit.share * self.steps)))

    def _answers(self, images: Tensor) -> Tensor:
        """Return the teacher's logits, (N, K)."""
        with torch.no_grad():
            logits: Tensor = self._teacher[0](images)
        return logits

    def _loss(self, logits: Tensor, expected: Tensor) -> Tensor:
        return distillation_loss(logits, expected, self.temperature)


def distillation_loss(logits: Tensor, expected: Tensor, temperature: float) -> Tensor:
    """Return the divergence times the squared temperature, plus the mean squared error of logits.

    The Kullback-Leibler divergence (nats) does not change if a constant is added to all logits of
    an image, so with it alone logits drift. The error pins them.

    Args:
        logits: (N, K).
        expected: the teacher's, (N, K).
        temperature: divides both.
    """
    softened = functional.log_softmax(logits.float() / temperature, dim=1)
    target = functional.log_softmax(expected.float() / temperature, dim=1)
    value = functional.kl_div(softened, target, reduction="batchmean", log_target=True)
    return value * temperature**2 + functional.mse_loss(logits.float(), expected.float())
