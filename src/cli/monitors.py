"""Check of the metrics that checkpoints, schedules and callbacks watch, before anything starts.

Lightning would report a metric that is never logged after the first epoch, and a mode that takes
the worst value for the best never: early stopping on an accuracy, whose default mode is ``min``,
ends a training while it improves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from src.cli.default_callbacks import as_list
from src.errors import UsageError
from src.models.classifier import METRICS
from src.models.metrics import mode_of

# Callbacks of these packages log no metric that another one could watch.
_WITHOUT_METRICS = ("lightning.", "src.")
_OWN_CLASSIFIERS = "src."  # log METRICS and no others
_OF_VALIDATION = "val/"


@dataclass(frozen=True)
class _Monitor:
    """A metric that is watched, and the mode in which its values are compared.

    Args:
        group: the option group of both, as in ``checkpoint.monitor``.
        metric: its name; None if nothing is watched.
        mode: ``min`` or ``max``; None if it is chosen by the metric.
        is_metric_known: False if a callback or a classifier of the user may log it.
    """

    group: str
    metric: str | None
    mode: str | None
    is_metric_known: bool = True

    def check(self, *, validates: bool) -> None:
        """Refuse a metric that is not logged, and a wrong mode.

        Args:
            validates: the training has validations.
        """
        if self.metric is None:
            return
        if self.metric not in METRICS:
            if self.is_metric_known:
                raise UsageError(
                    f"{self.group}.monitor",
                    expected=f"one of {', '.join(METRICS)}",
                    found=self.metric,
                    remedy="set for example val/loss",
                )
            return
        if not validates and self.metric.startswith(_OF_VALIDATION):
            raise UsageError(
                f"{self.group}.monitor",
                expected="a validation to look at",
                found="trainer.limit_val_batches=0",
                remedy="leave out one of the two",
            )
        if self.mode in {"min", "max"} and self.mode != mode_of(self.metric):
            comparison = "larger" if self.mode == "min" else "smaller"
            raise UsageError(
                f"{self.group}.mode",
                expected=f"{mode_of(self.metric)}, for a {comparison} {self.metric} is better",
                found=str(self.mode),
                remedy=f"set {self.group}.mode={mode_of(self.metric)}",
            )


def check(config: Any) -> None:
    """Refuse a metric that is never logged, and a mode that takes its worst value for the best.

    Args:
        config: the parsed configuration of one subcommand.

    Raises:
        UsageError: there is one.
    """
    schedule = (config.get("lr_scheduler") or {}).get("init_args") or {}
    # The best checkpoint and the schedule have checks of their own for a fit without validation.
    _Monitor("checkpoint", config.checkpoint.monitor, config.checkpoint.mode).check(validates=True)
    _Monitor("lr_scheduler", schedule.get("monitor"), schedule.get("mode")).check(validates=True)
    validates = config.trainer.limit_val_batches != 0
    for monitor in _of_callbacks(config):
        monitor.check(validates=validates)
    every = config.trainer.check_val_every_n_epoch
    if str(schedule.get("monitor")).startswith(_OF_VALIDATION) and every != 1:
        raise UsageError(
            "trainer.check_val_every_n_epoch",
            expected="1, for the schedule looks at a validation after each epoch",
            found=str(every),
            remedy="leave it out, or set lr_scheduler.monitor=train/loss",
        )


def _of_callbacks(config: Any) -> Iterator[_Monitor]:
    """Yield the monitors of the user's callbacks, such as EarlyStopping and ModelCheckpoint."""
    known = all_metrics_are_known(config)
    for callback in as_list(config.trainer.callbacks):
        options = callback.get("init_args") or {}
        yield _Monitor(
            "trainer.callbacks",
            options.get("monitor"),
            options.get("mode"),
            is_metric_known=known,
        )


def all_metrics_are_known(config: Any) -> bool:
    """Return False if a callback or a classifier of the user may log a metric of its own."""
    callbacks = as_list(config.trainer.callbacks)
    return str(config.model.class_path).startswith(_OWN_CLASSIFIERS) and all(
        str(each.class_path).startswith(_WITHOUT_METRICS) for each in callbacks
    )
