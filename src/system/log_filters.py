"""Filters for the messages of libraries.

Warnings that a user can act on are reworded into one line. Others are left out.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from src.errors import one_line
from src.system.library_errors import TRACEBACK, is_library_file, is_project_file

# Patterns of warnings that a user can act on, and the line that is shown instead.
_REWORDED = {
    r"number of training batches \((\d+)\) is smaller than the logging interval "
    r"Trainer\(log_every_n_steps=(\d+)\)": (
        r"an epoch has \1 batches, and every \2 are logged: set trainer.log_every_n_steps=\1 for "
        r"a training loss of each epoch"
    ),
    r"GPU available but not used": (
        "this machine has a GPU that is not used: set trainer=gpu for it"
    ),
    r"will create (\d+) worker processes in total\. Our suggested max number of worker in current "
    r"system is (\d+)": (
        r"data.num_workers=\1 are more processes than the \2 cores here, which may be slower: set "
        r"data.num_workers=\2"
    ),
    r"CUDA initialization: (.*)": r"torch cannot use the GPU: \1",
    r"find_unused_parameters=True was specified": (
        "trainer.strategy looks for unused parameters, of which there are none: set "
        "trainer.strategy=ddp, which is faster"
    ),
    r"^(\S+) does not have a deterministic implementation": (
        r"trainer.deterministic: \1 has no deterministic implementation here"
    ),
}
_LINE_CHARACTERS = 300


def silence_lightning() -> None:
    """Silence messages of Lightning that no user can act on, for the rest of the process."""
    # Advertisements, and a list of the accelerators that are missing.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    connectors = "lightning.pytorch.trainer.connectors.checkpoint_connector"
    logging.getLogger(connectors).setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    # It reports that its SLURM handlers are replaced: see src/callbacks/save_on_signal.py.
    handlers = "lightning.pytorch.trainer.connectors.signal_connector"
    logging.getLogger(handlers).setLevel(logging.WARNING)
    # Lightning 2.6 uses a part of torch's pytree that torch 2.15 deprecates.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated")
    # A resumed training continues in its run folder on purpose.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty")
    # The digits are in memory: loading them in other processes would be slower.
    warnings.filterwarnings("ignore", message=".*does not have many workers")


def reword(text: str, file: str) -> str | None:
    """Return a warning as one line for a user; None for one that no user can act on.

    Args:
        text: the warning's message.
        file: the file of the code that the warning is about.
    """
    for pattern, replacement in _REWORDED.items():
        match = re.search(pattern, one_line(text))
        if match:
            return one_line(match.expand(replacement))[:_LINE_CHARACTERS]
    return one_line(text)[:_LINE_CHARACTERS] if is_project_file(file) else None


@contextlib.contextmanager
def one_line_warnings() -> Iterator[None]:
    """Show a warning once, in one line without a path, or leave it out.

    Warnings of a user's own module are printed as Python prints them.
    """
    original, shown = warnings.showwarning, set[str]()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = reword(str(message), filename)
        if text is None and not is_library_file(filename):
            original(message, category, filename, lineno, file, line)
        elif text is not None and text not in shown:
            shown.add(text)
            print(f"warning: {text}", file=sys.stderr)

    if not os.environ.get(TRACEBACK):
        warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:
            warnings.showwarning = original


@contextlib.contextmanager
def quiet_event_writer_threads() -> Iterator[None]:
    """Let TensorBoard's writer threads end without a traceback.

    The next call of the writer raises their error again, and the entry point explains it.
    """
    original = threading.excepthook

    def hook(arguments: Any) -> None:
        if not type(arguments.thread).__module__.startswith("tensorboard."):
            original(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = original
