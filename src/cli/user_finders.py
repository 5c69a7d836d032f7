"""Check of callbacks of Lightning in the place of options of this project."""

from __future__ import annotations

from typing import Any

from src.cli.default_callbacks import as_list
from src.errors import UsageError

# They change a learning rate, a batch size or an optimizer after the schedule was made for it, and
# the network has no part called backbone.
_OWN_OPTIONS = {
    "LearningRateFinder": "finetune.find_lr=true",
    "BatchSizeFinder": "finetune.find_batch_size=true",
    "BackboneFinetuning": "finetune.freeze_epochs=1",
}


def check(config: Any) -> None:
    """Refuse a finder of Lightning, and its callback for a frozen backbone.

    Args:
        config: the parsed configuration of one subcommand.

    Raises:
        UsageError: there is one.
    """
    for callback in as_list(config.trainer.callbacks):
        package, _, name = str(callback.class_path).rpartition(".")
        if package.startswith("lightning.") and name in _OWN_OPTIONS:
            raise UsageError(
                "trainer.callbacks",
                expected=f"no {name}, which does not know this project's schedule and networks",
                found=str(callback.class_path),
                remedy=f"leave it out, and set {_OWN_OPTIONS[name]}",
            )
