"""Checks for options that contradict each other, before anything starts."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src import formats
from src.cli import (
    fit_only,
    grammar,
    monitors,
    typed_options,
    unheeded,
    user_checkpoints,
    user_finders,
)
from src.errors import UsageError
from src.models.architecture import Architecture
from src.twin.options import TwinOptions

_TRAINING_LIMITS = ("max_epochs", "max_steps", "limit_train_batches")  # 0 means no training
_ABOVE_0 = sys.float_info.min  # the smallest number that is not flushed to 0 as a denormal
_CONFIGS = Path(__file__).parents[2] / "configs"
_NONE = ("None", "null")
# Options of the model that the data set, and their remedies.
_TAKEN_FROM_DATA = {
    "model.image_size": "set data.image_size instead",
    "model.class_names": "rename the class folders or labels",
}
# The minimum of numbers that Lightning does not check, although it divides by them or counts.
_MINIMUM = {
    "checkpoint.every_n_epochs": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.gradient_clip_val": 0,
    "trainer.log_every_n_steps": 1,
    "trainer.num_nodes": 1,
    "trainer.num_sanity_val_steps": -1,
    "trainer.reload_dataloaders_every_n_epochs": 0,
    "trainer.val_check_interval": _ABOVE_0,
}


def check(config: Any, subcommand: str, args: Sequence[str]) -> None:
    """Refuse a configuration of which a part would be ignored, and add the baseline's format.

    Args:
        config: the parsed configuration of one subcommand; changed in place.
        subcommand: the name of the subcommand.
        args: the translated command line.

    Raises:
        UsageError: an option would have no effect, or has an impossible value.
    """
    if config.trainer.logger is False:
        raise UsageError(
            "trainer.logger",
            expected="a logger or nothing, for the run folder is TensorBoard's",
            found="false",
            remedy="leave it out",
        )
    if config.trainer.enable_checkpointing is False:
        raise UsageError(
            "trainer.enable_checkpointing",
            expected="true, for what is exported is the best checkpoint",
            found="false",
            remedy="leave it out",
        )
    if any(word.startswith("--trainer.use_distributed_sampler") for word in args):
        raise UsageError(
            "trainer.use_distributed_sampler",
            expected="no such option, for the data give each process its images themselves",
            found="it",
            remedy="leave it out",
        )
    _check_taken_from_data(args)
    _check_minimums(config)
    if subcommand == "fit":
        _check_least_lengths(config.trainer)
    else:
        fit_only.require_none(subcommand, args)
    _check_profiler(config, args)
    _check_published_weights(config, args)
    _check_optimizer(config, args)
    _check_finders(config, args)
    _check_twin(config, args)
    _check_validation(config)
    monitors.check(config)
    user_checkpoints.check(config)
    user_finders.check(config)
    if config.benchmark.enabled:
        _check_benchmark(config)
    elif config.benchmark.load:
        raise UsageError(
            "benchmark.load",
            expected="benchmark.enabled=true beside it, for the measurement recommends the file",
            found="benchmark.enabled=false",
            remedy="leave out one of the two",
        )


def notices(config: Any, args: Sequence[str], *, has_best: bool) -> list[str]:
    """Return lines that say which parts of a training are left out, to be shown before it.

    Args:
        config: the parsed configuration of ``fit``.
        args: the translated command line.
        has_best: True if the training resumes a run that has a best checkpoint.
    """
    trainer, lines = config.trainer, unheeded.notices(args)
    if trainer.fast_dev_run:
        return [*lines, "trainer.fast_dev_run: a try; nothing is kept, exported or measured"]
    zero_limits = [name for name in _TRAINING_LIMITS if trainer[name] == 0]
    lines += [f"trainer.{name}=0: nothing is trained" for name in zero_limits[:1]]
    if trainer.limit_val_batches == 0 or zero_limits:
        checkpoint = "best checkpoint there is" if has_best else "last checkpoint"
        exported = f"; what is exported is the {checkpoint}" if config.export.enabled else ""
        lines.append(f"no weights are validated{exported}")
    layer_decay = config.model.init_args.get("layer_decay", 1)
    if layer_decay != 1 and (optimizer := config.get("optimizer")):
        name = optimizer.class_path.rpartition(".")[2]
        lines.append(f"model.layer_decay={layer_decay:g} has no effect beside optimizer={name}")
    return lines


def _check_minimums(config: Any) -> None:
    for name, minimum in _MINIMUM.items():
        value = config
        for part in name.split("."):
            value = value[part]
        if isinstance(value, int | float) and not value >= minimum:
            raise UsageError(
                name,
                expected=f"{minimum} or more" if minimum != _ABOVE_0 else "a number above 0",
                found=str(value),
                remedy="leave it out for its default",
            )


def _check_taken_from_data(args: Sequence[str]) -> None:
    """Refuse options of the model that the data's values replace without a word."""
    set_by_user = {
        name: value
        for option, value in grammar.user_options(args, _CONFIGS).items()
        for name, value in typed_options.in_full(option, value)
    }
    for name, remedy in _TAKEN_FROM_DATA.items():
        if str(set_by_user.get(name)) not in _NONE:
            raise UsageError(
                name,
                expected="no value of its own, for it is that of the data",
                found=str(set_by_user[name]),
                remedy=remedy,
            )


def _check_least_lengths(trainer: Any) -> None:
    """Refuse a least length above the largest one, which ends the training without a word."""
    for unit in ("epochs", "steps"):
        least, most = trainer[f"min_{unit}"], trainer[f"max_{unit}"]
        if least is not None and most is not None and 0 <= most < least:
            raise UsageError(
                f"trainer.min_{unit}",
                expected=f"{most} or fewer, for trainer.max_{unit}={most} ends the training",
                found=str(least),
                remedy=f"set trainer.max_{unit} too, {least} or more",
            )


def _check_profiler(config: Any, args: Sequence[str]) -> None:
    if config.trainer.profiler is None:
        return
    for name in typed_options.names(args):
        if name.startswith("profiler."):
            raise UsageError(
                "trainer.profiler",
                expected=f"nothing, where {name} is set: there is one profiler",
                found=str(config.trainer.profiler),
                remedy="set one of the two",
            )
    config.profiler.enabled = False


def _check_published_weights(config: Any, args: Sequence[str]) -> None:
    options = config.model.init_args
    architecture = options.get("architecture")
    if not architecture or options.pretrained or options.get("weights"):
        return
    if "model.pretrained" not in typed_options.names(args):
        return
    if weights := Architecture.parse(architecture).published:
        raise UsageError(
            "model.pretrained",
            expected=f"true, where the model's name ends with the name of weights, {weights}",
            found="false",
            remedy=f"write model={architecture.removesuffix('.' + weights)} for random weights",
        )


def _check_optimizer(config: Any, args: Sequence[str]) -> None:
    optimizer, schedule = config.get("optimizer"), config.get("lr_scheduler")
    if schedule and not optimizer:
        raise UsageError(
            "lr_scheduler",
            expected="an optimizer beside it",
            found="none",
            remedy="add for example optimizer=AdamW optimizer.lr=1e-3",
        )
    replaced = ["model.lr", "model.weight_decay", "model.layer_decay", "finetune.find_lr"]
    replaced += ["model.warmup_fraction"] if schedule else []
    user_options = [
        *typed_options.names(args),
        *(["finetune.find_lr"] if _finds_lr(config) else []),
    ]
    for name in replaced if optimizer else []:
        if name in user_options:
            raise UsageError(
                name,
                expected="no replacement of what it belongs to",
                found=f"optimizer={optimizer.class_path}",
                remedy="set optimizer.lr and the like instead",
            )


def _finds_lr(config: Any) -> bool:
    finetune = config.get("finetune")
    return bool(finetune and finetune.find_lr)


def _check_finders(config: Any, args: Sequence[str]) -> None:
    finders = {"model.lr": "find_lr", "data.batch_size": "find_batch_size"}
    user_options = typed_options.names(args)
    for name, finder in finders.items():
        if name in user_options and config.finetune[finder]:
            raise UsageError(
                name,
                expected=f"no value beside finetune.{finder}=true, which finds one",
                found="one",
                remedy="leave out one of the two",
            )


def _check_twin(config: Any, args: Sequence[str]) -> None:
    """Refuse options of a twin that is not made, unless they say what is so without them."""
    defaults = {f"twin.{field.name}": field.default for field in dataclasses.fields(TwinOptions)}
    for name in [] if config.twin.enabled else typed_options.names(args):
        if name in defaults and config.twin[name.removeprefix("twin.")] != defaults[name]:
            raise UsageError(
                name,
                expected="twin=true beside it, for no twin is made without",
                found="none",
                remedy=f"add twin=true, or leave out {name}",
            )


def _check_validation(config: Any) -> None:
    """Refuse options that need validations if there are none."""
    if config.trainer.limit_val_batches != 0:
        return
    schedule = config.get("lr_scheduler")
    monitor = (schedule.get("init_args") or {}).get("monitor") if schedule else None
    needs_validation = {
        "finetune.patience": bool(config.get("finetune") and config.finetune.patience),
        "lr_scheduler.monitor": str(monitor).startswith("val/"),
    }
    for name, is_set in needs_validation.items():
        if is_set:
            raise UsageError(
                name,
                expected="a validation to look at",
                found="trainer.limit_val_batches=0",
                remedy="leave out one of the two",
            )


def _check_benchmark(config: Any) -> None:
    if not config.export.enabled:
        raise UsageError(
            "benchmark.enabled",
            expected="false where export.enabled is, for there is nothing to measure",
            found="true",
            remedy="add benchmark.enabled=false",
        )
    baseline = config.benchmark.baseline
    formats.get(baseline, argument="benchmark.baseline")
    if baseline not in config.export.formats:
        # Speed-ups are relative to the baseline, so it is always exported.
        config.export.formats = [baseline, *config.export.formats]
