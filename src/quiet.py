"""What libraries say that nobody here can do anything about."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any


def hush() -> None:
    """Leave it out, for the rest of the process."""
    # Lightning's advertisements and its account of the accelerators it has not found.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    connectors = "lightning.pytorch.trainer.connectors.checkpoint_connector"
    logging.getLogger(connectors).setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    # It has its handlers for SLURM replaced: see src/callbacks/stopping.py.
    handlers = "lightning.pytorch.trainer.connectors.signal_connector"
    logging.getLogger(handlers).setLevel(logging.WARNING)
    # Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated")
    # Training goes on in its run's folder on purpose.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty")
    # Digits are in memory: loading them in processes would be slower.
    warnings.filterwarnings("ignore", message=".*does not have many workers")


@contextlib.contextmanager
def event_files() -> Iterator[None]:
    """Within it, TensorBoard's writing threads end without a traceback.

    What ended one is raised again by the next call of its writer, where it becomes a line.
    """
    before = threading.excepthook

    def hook(ended: Any) -> None:
        if not type(ended.thread).__module__.startswith("tensorboard."):
            before(ended)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
