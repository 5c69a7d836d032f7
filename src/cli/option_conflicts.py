"""Options that contradict each other: found before anything starts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from src import formats
from src.errors import UsageError
from src.models.classifier import METRICS

_LIMITS = ("max_epochs", "max_steps", "limit_train_batches")  # 0 is no training
_ABOVE_0 = sys.float_info.min  # the least that is not taken for 0 where denormals are
# Numbers that Lightning divides by or counts with, unchecked.
_LEAST = {
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
FIT_ONLY = ("checkpoint", "profiler", "finetune", "export", "benchmark")  # groups of options


def check(config: Any, subcommand: str, args: Sequence[str]) -> None:
    """Refuse a configuration of which a part would be ignored; export the baseline as well.

    Args:
        config: of one subcommand, parsed.
        subcommand: its name.
        args: the command line it came from, translated.

    Raises:
        UsageError: naming the option that would have no effect.
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
    for name, least in _LEAST.items():
        value = config
        for part in name.split("."):
            value = value[part]
        if isinstance(value, int | float) and not value >= least:
            raise UsageError(
                name,
                expected=f"{least} or more" if least != _ABOVE_0 else "a number above 0",
                found=str(value),
                remedy="leave it out for its default",
            )
    if subcommand != "fit":
        _check_fit_only(subcommand, args)
    _check_profiler(config, args)
    _check_optimizer(config, args)
    _check_finders(config, args)
    _check_validation(config)
    _check_monitors(config)
    if config.benchmark.enabled:
        _check_benchmark(config)


def notices(config: Any, *, has_best: bool) -> list[str]:
    """What a training will not do, said before it starts.

    Args:
        config: of ``fit``, parsed.
        has_best: training goes on in a run that has a best checkpoint.
    """
    trainer = config.trainer
    if trainer.fast_dev_run:
        return ["trainer.fast_dev_run: a try; nothing is kept, exported or measured"]
    untrained = [name for name in _LIMITS if trainer[name] == 0]
    found = [f"trainer.{name}=0: nothing is trained" for name in untrained[:1]]
    if trainer.limit_val_batches == 0 or untrained:
        which = "best checkpoint there is" if has_best else "last checkpoint"
        exported = f"; what is exported is the {which}" if config.export.enabled else ""
        found.append(f"no weights are validated{exported}")
    return found


def _check_fit_only(subcommand: str, args: Sequence[str]) -> None:
    for word in args:
        name = word.partition("=")[0].removeprefix("--")
        if name.partition(".")[0] in FIT_ONLY:
            raise UsageError(
                name,
                expected="no such option, for only fit looks at it",
                found=f"it, with {subcommand}",
                remedy="leave it out",
            )


def _check_profiler(config: Any, args: Sequence[str]) -> None:
    if config.trainer.profiler is None:
        return
    for word in args:
        name = word.partition("=")[0].removeprefix("--")
        if name.startswith("profiler."):
            raise UsageError(
                "trainer.profiler",
                expected=f"nothing, where {name} is set: there is one profiler",
                found=str(config.trainer.profiler),
                remedy="set one of the two",
            )
    config.profiler.enabled = False


def _check_optimizer(config: Any, args: Sequence[str]) -> None:
    optimizer, schedule = config.get("optimizer"), config.get("lr_scheduler")
    if schedule and not optimizer:
        raise UsageError(
            "lr_scheduler",
            expected="an optimizer beside it",
            found="none",
            remedy="add for example optimizer=AdamW optimizer.lr=1e-3",
        )
    ours = ["model.lr", "model.weight_decay", "model.layer_decay", "finetune.find_lr"]
    ours += ["model.warmup_fraction"] if schedule else []
    for name in ours if optimizer else []:
        if any(word.partition("=")[0] == f"--{name}" for word in args):
            raise UsageError(
                name,
                expected="no replacement of what it belongs to",
                found=f"optimizer={optimizer.class_path}",
                remedy="set optimizer.lr and the like instead",
            )


def _check_finders(config: Any, args: Sequence[str]) -> None:
    found = {"model.lr": "find_lr", "data.batch_size": "find_batch_size"}
    given = {word.partition("=")[0].removeprefix("--") for word in args}
    for name, finder in found.items():
        if name in given and config.finetune[finder]:
            raise UsageError(
                name,
                expected=f"no value beside finetune.{finder}=true, which finds one",
                found="one",
                remedy="leave out one of the two",
            )


def _check_validation(config: Any) -> None:
    """Refuse what looks at validations where there are none."""
    if config.trainer.limit_val_batches != 0:
        return
    schedule = config.get("lr_scheduler")
    monitor = (schedule.get("init_args") or {}).get("monitor") if schedule else None
    looking = {
        "finetune.patience": bool(config.get("finetune") and config.finetune.patience),
        "lr_scheduler.monitor": str(monitor).startswith("val/"),
    }
    for name, looks in looking.items():
        if looks:
            raise UsageError(
                name,
                expected="a validation to look at",
                found="trainer.limit_val_batches=0",
                remedy="leave out one of the two",
            )


def _check_monitors(config: Any) -> None:
    """Refuse a metric that is never logged: that would be known after an epoch only."""
    schedule = (config.get("lr_scheduler") or {}).get("init_args") or {}
    looked_at = {
        "checkpoint.monitor": config.checkpoint.monitor,
        "lr_scheduler.monitor": schedule.get("monitor"),
    }
    for name, monitor in looked_at.items():
        if monitor is not None and monitor not in METRICS:
            raise UsageError(
                name,
                expected=f"one of {', '.join(METRICS)}",
                found=str(monitor),
                remedy="set for example val/loss",
            )
    every = config.trainer.check_val_every_n_epoch
    if str(schedule.get("monitor")).startswith("val/") and every != 1:
        raise UsageError(
            "trainer.check_val_every_n_epoch",
            expected="1, for the schedule looks at a validation after each epoch",
            found=str(every),
            remedy="leave it out, or set lr_scheduler.monitor=train/loss",
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
        # What is compared needs what it is compared with.
        config.export.formats = [baseline, *config.export.formats]
