"""Refuses options of the optimizer that differ from those of the checkpoint to go on from.

torch restores the options of an optimizer and of its schedule with their state. A different value
on the command line would have no effect, but ``config.yaml`` would name it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from torch.optim import Optimizer

from src.callbacks.averaging import MovingAverage
from src.errors import UsageError

# Ways to compute the same step. The precision decides some of them.
_IMPLEMENTATION = {"fused", "foreach", "capturable", "differentiable"}
_CHANGED_BY_CYCLES = {"momentum", "betas"}  # in each step, by OneCycleLR and CyclicLR
_AVERAGED = "swa_lr"  # SWALR's option of each group; Lightning overwrites initial_lr beside it
_MOST_SHOWN = 80  # characters of a value


@dataclass(frozen=True)
class _Difference:
    """An option that differs between this training and its checkpoint.

    Args:
        option: its name on the command line.
        stored: the checkpoint's value; None if it cannot be written behind ``option=``.
        current: the value of this training.
    """

    option: str
    stored: object | None
    current: object


class ResumedOptions(Callback):
    """Checks the options of optimizer and schedule before a training goes on from a checkpoint.

    It stands after the callbacks of the user. These may restore groups of parameters that they
    have added, and StochasticWeightAveraging removes the schedule that it has replaced.

    Args:
        optimizer_is_chosen: True if the user has replaced AdamW, so that ``optimizer.`` and not
            ``model.`` has its options.
    """

    def __init__(self, *, optimizer_is_chosen: bool) -> None:
        self._optimizer_is_chosen = optimizer_is_chosen
        self._optimizers: Sequence[Any] = ()  # states in the checkpoint
        self._schedules: Sequence[Any] = ()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != "fit":
            return
        _require_average(trainer, checkpoint)
        self._optimizers = checkpoint.get("optimizer_states", ())
        self._schedules = checkpoint.get("lr_schedulers", ())
        self._require_same(trainer)  # FSDP loads the checkpoint after on_fit_start

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The optimizers are made by now, and their states are not restored yet.
        self._require_same(trainer)

    def _require_same(self, trainer: Trainer) -> None:
        """Compare what the Trainer has made with the checkpoint.

        Raises:
            UsageError: an option differs.
        """
        self._require_averaging(trainer)
        for difference in self._differences(trainer):
            option, stored = difference.option, difference.stored
            raise UsageError(
                option,
                expected=f"{'the one' if stored is None else stored}, with which the checkpoint "
                "was trained",
                found=str(difference.current)[:_MOST_SHOWN],
                remedy=f"set {'it so' if stored is None else f'{option}={stored}'}, or begin anew "
                "with its weights by model.weights=PATH instead of ckpt_path",
            )

    def _require_averaging(self, trainer: Trainer) -> None:
        """Require StochasticWeightAveraging where it had begun: it restores its own schedule.

        Raises:
            UsageError: the training has no such callback.
        """
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks):
            return
        if any(_is_averaged(state) for state in self._optimizers):
            raise UsageError(
                "trainer.callbacks",
                expected="StochasticWeightAveraging, which had begun in the checkpoint",
                found="none",
                remedy="add it with the options that it had, or begin anew with the weights by "
                "model.weights=PATH instead of ckpt_path",
            )

    def _differences(self, trainer: Trainer) -> Iterator[_Difference]:
        for optimizer, state in zip(trainer.optimizers, self._optimizers, strict=False):
            yield from self._of_optimizer(optimizer, state)
        for config, state in zip(trainer.lr_scheduler_configs, self._schedules, strict=False):
            yield from _of_schedule(config.scheduler, state)

    def _of_optimizer(
        self, optimizer: Optimizer, state: Mapping[str, Any]
    ) -> Iterator[_Difference]:
        group = "optimizer" if self._optimizer_is_chosen else "model"
        stored, current = state.get("param_groups") or [], optimizer.param_groups
        if not stored:
            return
        missing = [option for option in optimizer.defaults if option not in stored[0]]
        is_other_kind = "decoupled_weight_decay"  # the only difference of AdamW from Adam
        if missing or stored[0].get(is_other_kind) != current[0].get(is_other_kind):
            yield _Difference("optimizer", None, type(optimizer).__name__)
            return
        learning_rate = "initial_lr"  # the schedule changes "lr" itself
        options = {learning_rate, *optimizer.defaults} - {"lr", *_IMPLEMENTATION}
        if "max_momentum" in stored[0]:
            options -= _CHANGED_BY_CYCLES
        is_averaged = _is_averaged(state)
        if is_averaged:
            options.remove(learning_rate)
        for option in sorted(options):
            first, other = stored[0].get(option), current[0].get(option)
            if option in stored[0] and option in current[0] and not _same(first, other):
                named = "lr" if option == learning_rate else option
                yield _Difference(f"{group}.{named}", first, other)
        decays = [
            _layer_decay(part.get(learning_rate) for part in parts) for parts in (stored, current)
        ]
        if not is_averaged and not _same(*decays):
            yield _Difference(f"{group}.layer_decay", *decays)
        elif len(stored) != len(current):
            yield _Difference("optimizer", None, f"{len(current)} groups of parameters")


def _is_averaged(state: Mapping[str, Any]) -> bool:
    """Return True if StochasticWeightAveraging had begun when an optimizer's state was stored."""
    groups = state.get("param_groups") or [{}]
    return _AVERAGED in groups[0]


def _layer_decay(rates: Iterable[float | None]) -> float:
    """Return the learning rate of the second stage as a share of the head's, which is the first."""
    head, *others = dict.fromkeys(rate for rate in rates if rate is not None) or [1.0]
    return float(f"{others[0] / head:.6g}") if others and head else 1.0


def _of_schedule(schedule: Any, state: Mapping[str, Any]) -> Iterator[_Difference]:
    current: dict[str, Any] = schedule.state_dict()
    public = [{name for name in names if not name.startswith("_")} for names in (current, state)]
    if public[0] != public[1]:
        yield _Difference("lr_scheduler", None, type(schedule).__name__)
        return
    # Lightning's ReduceLROnPlateau passes most of its arguments on to that of torch.
    constructors = [vars(kind).get("__init__") for kind in type(schedule).__mro__]
    arguments = {
        name for made in constructors if made for name in inspect.signature(made).parameters
    }
    for option in sorted(public[0] & arguments - {"last_epoch"}):
        if not _same(state[option], current[option]):
            is_plain = isinstance(state[option], bool | int | float | str)
            stored = state[option] if is_plain else None
            yield _Difference(f"lr_scheduler.{option}", stored, current[option])


def _same(first: Any, second: Any) -> bool:
    """Compare numbers with the accuracy of printed ones, and sequences by their items."""
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, float) and isinstance(second, int | float):
        return math.isclose(first, second, rel_tol=1e-9)
    return bool(first == second)


def _require_average(trainer: Trainer, checkpoint: Mapping[str, Any]) -> None:
    """Require the moving average of the weights that a checkpoint has, with its decay.

    The ``state_dict`` of such a checkpoint is the average. Without the callback, the training would
    go on from it, with the moments of other weights, and score other weights than before.

    Raises:
        UsageError: there is no average, or it has another decay.
    """
    if "averaging_state" not in checkpoint:
        return
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    own = [each for each in callbacks if isinstance(each, WeightAveraging)]
    states = checkpoint.get("callbacks") or {}
    stored = (states.get(MovingAverage.__qualname__) or {}).get("decay")
    found: object = "none"
    if own:
        [*_, average] = own
        if stored is None or not isinstance(average, MovingAverage) or average.decay == stored:
            return
        found = average.decay
    raise UsageError(
        "finetune.ema_decay",
        expected=f"{stored or 'the average of the weights'}, with which the checkpoint was trained",
        found=str(found),
        remedy=f"set finetune.ema_decay={stored or 'to the value that it had'}, or begin anew with "
        "its weights by model.weights=PATH instead of ckpt_path",
    )
