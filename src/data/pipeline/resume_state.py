"""Position of a training in its data, stored in checkpoints, and the seed of its randomness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer

from src.data.pipeline.samplers import TrainingSampler
from src.errors import UsageError


class ResumeState:
    """Seed of a training, its epoch, and the number of images that it has seen of the epoch."""

    def __init__(self) -> None:
        self._loaded: dict[str, int] | None = None
        self._seed: int | None = None

    @property
    def seed(self) -> int:
        """The seed of torch at the first use of this property, which is before the first step."""
        if self._seed is None:
            self._seed = torch.initial_seed()
        return self._seed

    def save(self, trainer: Trainer, batch_size: int) -> dict[str, int]:
        """Return the state as plain values."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        batches = trainer.fit_loop.epoch_loop.batch_progress
        step = batch_size * trainer.world_size
        # The hooks at the end of the epoch run between the two counters.
        has_ended = epochs.processed > epochs.completed
        if has_ended or batches.is_last_batch:
            epoch, seen = epochs.processed + (not has_ended), 0
        else:
            epoch, seen = epochs.processed, batches.current.ready * step
        return {"seed": self.seed, "epoch": epoch, "seen": seen, "images_a_step": step}

    def load(self, state: Mapping[str, int]) -> None:
        """Take the state that :meth:`save` returned."""
        self._loaded = {name: int(value) for name, value in state.items()}

    def position(self) -> tuple[int, int] | None:
        """Return the number of whole epochs, and of batches of the next one, before a resume."""
        state = self._loaded
        if state is None:
            return None
        return state["epoch"], state["seen"] and state["seen"] // state["images_a_step"]

    def begin(self, sampler: TrainingSampler, images_a_step: int) -> TrainingSampler:
        """Set a sampler to the position at which the training resumes, if it does.

        Raises:
            UsageError: the seed or the batch size differs from the checkpoint's.
        """
        state = self._loaded
        if state is None:
            return sampler
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
        sampler.resume_at(state["epoch"], state["seen"])
        return sampler

    def reseed(self, trainer: Trainer) -> None:
        """Seed torch by epoch and step: dropout and mixing then do not depend on earlier steps."""
        loop: Any = trainer.fit_loop
        step = (loop.epoch_progress.current.processed, loop.epoch_loop.batch_progress.current.ready)
        sequence = np.random.SeedSequence([self.seed, *step, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
