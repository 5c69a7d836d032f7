"""BatchNorm running statistics: re-estimation (PreciseBN) and freezing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.models.schedule_position import steps_ahead

BATCH = 64
IMAGES, LEAST_IMAGES = 256, 32
MOST_BYTES = 1e9  # 256 images of 570 pixels
# Before this step weights change by percents a step. EfficientNet-B0 diverged with statistics
# frozen for the last 20 of 66 steps, but not for the last 120 of 400.
MIN_STEPS = 200


@runtime_checkable
class TrainingImages(Protocol):
    """Data module that gives training images in the preprocessing of inference."""

    def calibration_images(self, count: int) -> Tensor:
        """Return at most ``count`` images, (n, 3, H, W), in a fixed random order."""


class FrozenStatistics(Callback):
    """Validates, and in the last steps trains, with the BatchNorm statistics of inference.

    Before each validation the statistics are re-estimated for the current weights. The last steps
    of a training normalise by running statistics, as inference does. In a training batch a rare
    image raises the variance by which it is normalised, which bounds its activations. Inference
    has no such bound: a network that was never trained with running statistics may answer such an
    image with logits a hundred times as large as usual.

    Args:
        fraction: share of all steps, the last ones, with frozen statistics; 0 for none.
        elapsed: returns the share of the training's time that is over, from 0 to 1, if the time may
            end it before its last step. The fraction is then one of the time as well.
        earliest: first step that may have frozen statistics; by default ``MIN_STEPS``.
    """

    def __init__(
        self,
        fraction: float,
        elapsed: Callable[[], float] | None = None,
        earliest: int | None = None,
    ) -> None:
        self.fraction = fraction
        self._elapsed = elapsed
        self._earliest = MIN_STEPS if earliest is None else earliest
        self._first_frozen_step = 0.0
        self._least_steps = 0.0
        self._is_frozen = False
        self._images: Tensor | None = None  # decoded once: 154 MB at 224 pixels

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.estimated_stepping_batches
        self._least_steps = min(self._earliest, steps)
        first = math.ceil((1 - self.fraction) * steps) - steps_ahead(trainer)
        self._first_frozen_step = max(first, self._least_steps)
        if trainer.global_step > self._first_frozen_step:  # resumed after the start
            self._is_frozen = True

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if _only_estimates(trainer):
            for norm in _tracking_norms(pl_module):
                norm.train()
            return
        if not self._is_frozen:
            if not self._is_due(trainer.global_step):
                return
            self._reestimate(trainer, pl_module)
        self._is_frozen = True
        # In each batch, because Lightning or another callback may call train() in between.
        freeze_statistics(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Runs after the callback that swaps in averaged weights. Those were not trained with any
        # statistics, so they need their own even while statistics are frozen.
        averaged = any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if (
            trainer.state.fn == "fit"
            and not trainer.sanity_checking
            and (averaged or not self._is_frozen or _only_estimates(trainer))
        ):
            self._reestimate(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._images = None

    def state_dict(self) -> dict[str, Any]:
        # The step alone says it where the time plays no part.
        return {} if self._elapsed is None else {"is_frozen": self._is_frozen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._is_frozen = bool(state_dict.get("is_frozen", False))

    def _is_due(self, step: int) -> bool:
        if step >= self._first_frozen_step:
            return True
        is_late = self._elapsed is not None and self._elapsed() >= 1 - self.fraction
        return is_late and step >= self._least_steps

    def _reestimate(self, trainer: Trainer, network: nn.Module) -> None:
        data = getattr(trainer, "datamodule", None)
        if self._images is None and isinstance(data, TrainingImages):
            self._images = within_memory(data, IMAGES)
        if self._images is not None:
            reestimate_statistics(network, self._images)


def within_memory(data: TrainingImages, count: int, most_bytes: float = MOST_BYTES) -> Tensor:
    """Return training images, (n, 3, H, W): fewer where they would take too much memory.

    Args:
        data: their data module.
        count: the largest n.
        most_bytes: of all of them, unless 32 images take more.
    """
    size = data.calibration_images(1).nbytes  # of one image
    fitting = int(most_bytes / size) if size else count
    return data.calibration_images(min(count, max(LEAST_IMAGES, fitting)))


def _only_estimates(trainer: Trainer) -> bool:
    """Return True in the last epoch of StochasticWeightAveraging, which trains no weights.

    It has reset all statistics for the averaged weights. Frozen, they would stay 0 and 1
    (https://github.com/Lightning-AI/pytorch-lightning/issues/14866).
    """
    return bool(trainer.fit_loop._skip_backward)  # noqa: SLF001  # Lightning has no public one


def reestimate_statistics(network: nn.Module, images: Tensor) -> None:
    """Replace the running statistics by those of ``images`` under the current weights.

    Running statistics lag: they average over the weights of about the last ten steps. When weights
    change fast, as in a training of two epochs, the error grows from layer to layer:
    EfficientNet-B0 had 13 % top-1 with running statistics and 81 % with re-estimated ones. All
    batches have the same weight (Wu & Johnson, 2021, arXiv 2105.07576, section 3: PreciseBN).

    Args:
        network: on any device; every module keeps its mode. A BatchNorm whose weights are not
            trained, as in a frozen stage, keeps its statistics.
        images: training images, (N, 3, H, W), in the preprocessing of evaluation and in random
            order.
    """
    norms = [
        norm for norm in _tracking_norms(network) if not norm.affine or norm.weight.requires_grad
    ]
    if not norms:
        return
    weight = next(network.parameters())
    modes = {module: module.training for module in network.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    try:
        network.eval()  # turns dropout off, as in inference
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative mean over all batches
            norm.train()
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            # In equal parts: training with a single value per channel raises.
            for batch in torch.tensor_split(images, math.ceil(len(images) / BATCH)):
                network(batch.to(weight.device, weight.dtype))  # as with precision=64-true
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training


def freeze_statistics(network: nn.Module) -> None:
    """Set every BatchNorm to eval mode; its affine weights are still trained."""
    for norm in _tracking_norms(network):
        norm.eval()


def _tracking_norms(network: nn.Module) -> list[_BatchNorm]:
    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
