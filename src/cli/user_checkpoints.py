"""Check of the names of checkpoints that a user's callbacks write beside the run's own."""

from __future__ import annotations

import re
from typing import Any

from src.cli import monitors
from src.cli.default_callbacks import as_list
from src.cli.presets import nearest
from src.errors import UsageError
from src.models.classifier import METRICS

_NAMED = re.compile(r"\{(.*?)[:}]")  # as Lightning finds the metrics in a name
_IN_NAMES = (*METRICS, "train/lr", "epoch", "step")  # what it fills in
_OF_MONITORED_RATES = "lr-"  # names of LearningRateMonitor
_OWN = {"best": "best checkpoint", "last": "last one"}  # names in the run's checkpoints/


def check(config: Any) -> None:
    """Refuse a ModelCheckpoint that would write the run's own files.

    It would replace ``best.ckpt``, which is exported, by weights that another metric has chosen.
    A metric in the name of a file has to be one that is logged: Lightning writes 0 for any other.

    Args:
        config: the parsed configuration of one subcommand.

    Raises:
        UsageError: there is one.
    """
    for callback in as_list(config.trainer.callbacks):
        options = callback.get("init_args") or {}
        name = options.get("filename")
        if isinstance(name, str) and monitors.all_metrics_are_known(config):
            _check_metrics(name)
        # With a folder of its own it may have any name.
        if (
            isinstance(name, str)
            and name in _OWN
            and "dirpath" in options
            and options["dirpath"] is None
        ):
            raise UsageError(
                "trainer.callbacks.filename",
                expected=f"another name than {name}, which is that of the run's own {_OWN[name]}",
                found=name,
                remedy="choose another, or leave the callback out: checkpoint.monitor chooses the "
                "run's own",
            )


def _check_metrics(filename: str) -> None:
    for name in _NAMED.findall(filename):
        if name not in _IN_NAMES and not name.startswith(_OF_MONITORED_RATES):
            close = nearest(name, METRICS) or "val/top1"
            raise UsageError(
                "trainer.callbacks.filename",
                expected=f"names among {', '.join(_IN_NAMES)} in braces, for others are always 0",
                found=f"{{{name}}}",
                remedy=f"write for example {{{close}:.3f}}",
            )
