"""Options that contradict each other: found before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from src import formats
from src.errors import UsageError


def check(config: Any, args: Sequence[str]) -> None:
    """Refuse a configuration of which a part would be ignored; export the baseline as well.

    Args:
        config: of one subcommand, parsed.
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
    _check_optimizer(config, args)
    if config.benchmark.enabled:
        _check_benchmark(config)


def _check_optimizer(config: Any, args: Sequence[str]) -> None:
    optimizer, schedule = config.get("optimizer"), config.get("lr_scheduler")
    if schedule and not optimizer:
        raise UsageError(
            "lr_scheduler",
            expected="an optimizer beside it",
            found="none",
            remedy="add for example optimizer=AdamW optimizer.lr=1e-3",
        )
    ours = ["model.lr", "model.weight_decay", *(["model.warmup_fraction"] if schedule else [])]
    for name in ours if optimizer else []:
        if any(word.partition("=")[0] == f"--{name}" for word in args):
            raise UsageError(
                name,
                expected="no replacement of what it belongs to",
                found=f"optimizer={optimizer.class_path}",
                remedy="set optimizer.lr and the like instead",
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
