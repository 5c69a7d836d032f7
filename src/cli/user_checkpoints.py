"""Check of the names of checkpoints that a user's callbacks write beside the run's own."""

from __future__ import annotations

from typing import Any

from src.cli.default_callbacks import as_list
from src.errors import UsageError

_OWN = {"best": "best checkpoint", "last": "last one"}  # names in the run's checkpoints/


def check(config: Any) -> None:
    """Refuse a ModelCheckpoint that would write the run's own files.

    It would replace ``best.ckpt``, which is exported, by weights that another metric has chosen.

    Args:
        config: the parsed configuration of one subcommand.

    Raises:
        UsageError: there is one.
    """
    for callback in as_list(config.trainer.callbacks):
        options = callback.get("init_args") or {}
        name = options.get("filename")
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
