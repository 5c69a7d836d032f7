"""LightningModule of all architectures: loss, metrics, optimizer and schedule."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MetricCollection

from src.errors import NonFiniteLossError, UsageError
from src.models import names, widths
from src.models.batch_norm_statistics import FrozenStatistics
from src.models.losses import EpochMean, for_optimizer, training_loss
from src.models.metrics import MOST_CLASSES, ClassCounts, MeanLoss, classification_metrics
from src.models.network import NetworkSpec
from src.models.optimization import parameter_groups, warmup_cosine
from src.models.option_ranges import require_range
from src.models.schedule_position import steps_ahead
from src.models.weights import WeightMatch, load_into
from src.system.paths import user_path

# Shapes: N images, K classes, H = W = data.image_size.

# Metrics that a fit logs, for checkpoint.monitor and learning rate schedules.
METRICS = ("val/top1", "val/top5", "val/f1", "val/loss", "train/loss")
CHECK_EVERY = 50  # steps between two checks of the loss: each synchronises with an accelerator


class Classifier(LightningModule):
    """Image classifier trained with cross-entropy, AdamW, and warm-up and cosine schedule.

    An architecture is a subclass that names a builder: see :mod:`src.models.builders`.

    Args:
        class_names: in the order of the labels; taken from the data.
        image_size: height and width of the images in pixels; taken from the data. Some networks are
            built for one size.
        lr: peak learning rate.
        weight_decay: decay of the weights of convolutions and linear layers; 0 for all others.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016).
        warmup_fraction: share of all steps over which the learning rate rises to ``lr``.
        freeze_statistics_fraction: share of all steps, the last ones, in which BatchNorm
            normalises by its running statistics, as in inference (Wu & Johnson, 2021, arXiv
            2105.07576, section 3). With 0, logits of rare images may be a hundred times too large.
        pretrained: start from published weights instead of random ones.
        channels_last: store images and weights as NHWC, the faster layout for convolutions.
        compile: train through ``torch.compile``.
        network_options: more arguments of the builder.
        width: factor on the channels of all layers, where the builder has one: src.models.widths.
        weights: file of weights to start from, with or without the head's.
        layer_decay: factor of the learning rate from one stage to the next one towards the input
            (Clark et al., 2020, arXiv 2003.10555); 1 for the same rate everywhere.
        test_time_augmentation: ``flip`` averages the probabilities of an image and its mirror
            image in ``test`` and ``predict``. Exported files do not.
    """

    builder: str
    published: str = ""  # name of the pretrained weights; empty for the library's default
    faster_in_bfloat16: bool = True  # on a CPU with bf16 instructions, against fp32

    def __init__(
        self,
        class_names: list[str],
        lr: float = 1e-3,
        weight_decay: float = 0.05,
        label_smoothing: float = 0.1,
        warmup_fraction: float = 0.1,
        freeze_statistics_fraction: float = 0.3,
        pretrained: bool = False,
        channels_last: bool = True,
        compile: bool = False,  # noqa: A002  # torch's name
        network_options: dict[str, Any] | None = None,
        width: float = 1.0,
        weights: str | None = None,
        layer_decay: float = 1.0,
        test_time_augmentation: Literal["none", "flip"] = "none",
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        require_range("model.lr", lr, 0, math.inf)
        require_range("model.label_smoothing", label_smoothing, 0, 1)
        require_range("model.warmup_fraction", warmup_fraction, 0, 1)
        require_range("model.freeze_statistics_fraction", freeze_statistics_fraction, 0, 1)
        require_range("model.layer_decay", layer_decay, math.ulp(0), math.nextafter(1, 2))
        if pretrained and weights is not None:
            raise UsageError(
                "model.weights",
                expected="no file, where model.pretrained=true",
                found=weights,
                remedy="set one of the two",
            )
        # Without weights: a checkpoint must load on machines that lack that file.
        self.save_hyperparameters(ignore=["weights"])
        self.class_names = list(class_names)
        self.pretrained, self.width = pretrained, width
        arguments = widths.with_width(self.builder, width, network_options or {})
        self.spec = NetworkSpec.of(self.builder, len(class_names), image_size, arguments)
        self.network = (
            self.spec.build_pretrained(self.published) if pretrained else self.spec.build()
        )
        self.weight_match: WeightMatch | None = None
        if weights is not None:
            self.weight_match = load_into(self.network, user_path(weights, "model.weights"))
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=self.memory_format)
        if compile:
            self.network.compile()
        self.lr = lr
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.freeze_statistics_fraction = freeze_statistics_fraction
        self.layer_decay = layer_decay
        self.test_time_augmentation = test_time_augmentation
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.class_weights: Tensor | None = None  # (K,), of the training loss; None: all equal
        self.stops_on_non_finite_loss = True
        self._epoch_loss = EpochMean()
        self.steps_ahead = 0  # of the schedule, after a resume
        self.alteration = ""  # of the network against spec: src.models.altered_network
        self.val_metrics = classification_metrics(len(class_names), "val/")
        self.test_metrics = classification_metrics(len(class_names), "test/")
        self.val_loss, self.test_loss = MeanLoss(), MeanLoss()
        self.per_class = ClassCounts(len(class_names))
        # First step whose loss was not finite, -1 for none. Stays on the device.
        self.register_buffer("_non_finite_step", torch.tensor(-1), persistent=False)

    @property
    def name(self) -> str:
        """Name of the architecture, which is the name of its module, and another width."""
        return names.of_class(type(self).__module__, self.width)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, 3, H, W)."""
        logits: Tensor = self.network(images.contiguous(memory_format=self.memory_format))
        return logits

    def configure_callbacks(self) -> list[Callback]:
        fraction = self.freeze_statistics_fraction
        return [FrozenStatistics(fraction)] if fraction else []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = batch  # (N, 3, H, W), and (N,) or with mixup (N, K)
        loss = training_loss(self(images), targets, self.loss.label_smoothing, self.class_weights)
        self._record_non_finite(loss.detach())
        self._epoch_loss.add(loss.detach(), batch_idx)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        return for_optimizer(loss, self.trainer, batch_idx)

    def on_train_start(self) -> None:
        self.steps_ahead = steps_ahead(self.trainer)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        # Callbacks and schedules that watch it get the mean of the epoch, the logger each loss.
        if self._epoch_loss.count:  # a subclass may have a step of its own
            self.log("train/loss", self._epoch_loss.value(self.trainer), logger=False)
        if self.device.type == "cpu" or batch_idx % CHECK_EVERY == CHECK_EVERY - 1:
            self.require_finite()

    def on_validation_start(self) -> None:
        self.require_finite()

    def on_train_epoch_end(self) -> None:
        self.require_finite()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._record_non_finite(
            self._evaluate(self(batch[0]), batch[1], self.val_metrics, self.val_loss)
        )

    def on_validation_epoch_end(self) -> None:
        # Lightning saves checkpoints after this: weights whose validation loss is not finite must
        # not be saved.
        if self.trainer.state.fn == "fit":
            self.require_finite()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        logits = self._predict_logits(batch[0])
        self._evaluate(logits, batch[1], self.test_metrics, self.test_loss)
        self.per_class.update(logits, batch[1])

    def on_test_epoch_end(self) -> None:
        counts: Tensor = self.per_class.compute()
        shares = {
            name: correct / images
            for name, correct, _, images in zip(self.class_names, *counts.tolist(), strict=True)
            if images  # a class without test images has no accuracy
        }
        shown = set(sorted(shares, key=lambda name: shares[name])[:MOST_CLASSES])
        for name in filter(shown.__contains__, self.class_names):
            self.log(f"test/top1_of/{name}", shares[name])
        self.per_class.reset()

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return probabilities, (N, K)."""
        return self._predict_logits(batch[0]).softmax(dim=1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(
            parameter_groups(self.network, self.lr, self.layer_decay),
            lr=self.lr,
            weight_decay=self.weight_decay,
            fused=not self._scales_gradients(),
        )
        return [optimizer], [self.schedule(optimizer)]  # type: ignore[return-value]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Under FSDP a process holds a shard of each gradient; Lightning refuses to clip by norm.
        is_sharded = isinstance(self.trainer.strategy, FSDPStrategy)
        if self._scales_gradients() or is_sharded or not gradient_clip_val:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        # Lightning refuses to clip for a fused optimizer under any autocast, because fused AdamW
        # unscales fp16 gradients itself, after the clipping. bf16 gradients are not scaled.
        elif gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        else:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def _scales_gradients(self) -> bool:
        return getattr(self.trainer.precision_plugin, "scaler", None) is not None

    def schedule(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return the schedule by step: linear warm-up, then cosine (Loshchilov & Hutter, 2017)."""
        factor = warmup_cosine(self.trainer.estimated_stepping_batches, self.warmup_fraction)
        # A function: torch would store an object, and overwrite it by that of a checkpoint.
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: factor(step + self.steps_ahead)
        )
        return {"scheduler": scheduler, "interval": "step"}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Plain values for the export: reading them must not import or call anything.
        checkpoint["lightship"] = {
            "model": self.name,
            "network": self.spec.to_dict(),
            "alteration": self.alteration,
            "class_names": self.class_names,
            "pretrained": self.pretrained,
        }
        checkpoint["epoch_loss"] = self._epoch_loss.state_dict(self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._epoch_loss.load_state_dict(checkpoint.get("epoch_loss"))

    def _logits_without_autocast(self, images: Tensor) -> Tensor:
        """Return logits (N, K) without autocast: bf16's 8 significant bits would create ties."""
        with torch.autocast(self.device.type, enabled=False):
            logits: Tensor = self(images)
        return logits.float()

    def _predict_logits(self, images: Tensor) -> Tensor:
        """Return logits (N, K); with test-time augmentation, logs of the mean probabilities."""
        logits = self._logits_without_autocast(images)
        if self.test_time_augmentation == "none":
            return logits
        mirrored = self._logits_without_autocast(images.flip(-1))
        both = torch.stack([logits.log_softmax(dim=1), mirrored.log_softmax(dim=1)])  # (2, N, K)
        return both.logsumexp(dim=0) - math.log(2)

    def _evaluate(
        self, logits: Tensor, targets: Tensor, metrics: MetricCollection, mean_loss: MeanLoss
    ) -> Tensor:
        logits = logits.float()  # (N, K)
        metrics.update(logits, targets)
        loss: Tensor = self.loss(logits, targets)
        mean_loss.update(loss, len(targets))
        self.log(f"{metrics.prefix}loss", mean_loss, prog_bar=True)
        self.log_dict(metrics, prog_bar=True)
        return loss

    def _record_non_finite(self, loss: Tensor) -> None:
        # torch.where instead of if: reading the value would synchronise with the device.
        is_first = (self._non_finite_step < 0) & ~torch.isfinite(loss)
        self._non_finite_step: Tensor = torch.where(
            is_first,
            torch.full_like(self._non_finite_step, self.global_step),
            self._non_finite_step,
        )

    def require_finite(self) -> None:
        """Check that every loss so far was finite; call it before saving.

        Raises:
            NonFiniteLossError: a loss was NaN or infinite.
        """
        if not self.stops_on_non_finite_loss:
            return
        step = int(self._non_finite_step)
        if step >= 0:
            raise NonFiniteLossError(step)
