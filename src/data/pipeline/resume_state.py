"""Where a training is in its data, as a checkpoint keeps it, and what makes chance repeatable."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer

from src.data.pipeline.samplers import TrainingOrder
from src.errors import UsageError


class TrainingProgress:
    """The seed of a training, its epoch, and how many images of that it has seen."""

    def __init__(self) -> None:
        self._loaded: dict[str, int] | None = None
        self._seed: int | None = None

    @property
    def seed(self) -> int:
        """What torch was seeded with when this was first asked, which is before the first step."""
        if self._seed is None:
            self._seed = torch.initial_seed()
        return self._seed

    def save(self, trainer: Trainer, batch_size: int) -> dict[str, int]:
        """As plain values: what a training that goes on begins with."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        batches = trainer.fit_loop.epoch_loop.batch_progress
        step = batch_size * trainer.world_size
        over = epochs.processed > epochs.completed  # the hooks of its end are being called
        if over or batches.is_last_batch:
            epoch, seen = epochs.processed + (not over), 0
        else:
            epoch, seen = epochs.processed, batches.current.ready * step
        return {"seed": self.seed, "epoch": epoch, "seen": seen, "images_a_step": step}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`save` gave."""
        self._loaded = {name: int(value) for name, value in state.items()}

    def begin(self, order: TrainingOrder, images_a_step: int) -> TrainingOrder:
        """Put an order where the training goes on, if it goes on.

        Raises:
            UsageError: it cannot go on as it was.
        """
        state = self._loaded
        if state is None:
            return order
        if state["seed"] != self.seed:
            raise UsageError(
                "seed_everything",
                expected=f"{state['seed']}, with which the checkpoint was trained",
                found=str(self.seed),
                remedy=f"set seed_everything={state['seed']}",
            )
        if state["seen"] and state["images_a_step"] != images_a_step:
            raise UsageError(
                "data.batch_size",
                expected=f"{state['images_a_step']} images a step over all processes, for the "
                "checkpoint is in the middle of an epoch",
                found=str(images_a_step),
                remedy="set it as it was, or go on from the end of an epoch",
            )
        order.go_on(state["epoch"], state["seen"])
        return order

    def reseed(self, trainer: Trainer) -> None:
        """Before each batch: dropout and mixing depend on the step, not on what came before."""
        loop: Any = trainer.fit_loop
        step = (loop.epoch_progress.current.processed, loop.epoch_loop.batch_progress.current.ready)
        sequence = np.random.SeedSequence([self.seed, *step, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
