"""What libraries say: in our words where a user can act on it, and else left out."""

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
from src.system.library_errors import TRACEBACK, is_library, is_ours

# Warnings that a user can act on, and our words for them.
_WORDS = {
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
_LONGEST = 300  # characters of a line


def hush() -> None:
    """Leave it out, for the rest of the process."""
    # Lightning's advertisements and its account of the accelerators it has not found.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    connectors = "lightning.pytorch.trainer.connectors.checkpoint_connector"
    logging.getLogger(connectors).setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    # It has its handlers for SLURM replaced: see src/callbacks/save_on_signal.py.
    handlers = "lightning.pytorch.trainer.connectors.signal_connector"
    logging.getLogger(handlers).setLevel(logging.WARNING)
    # Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated")
    # Training goes on in its run's folder on purpose.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty")
    # Digits are in memory: loading them in processes would be slower.
    warnings.filterwarnings("ignore", message=".*does not have many workers")


def in_our_words(text: str, file: str) -> str | None:
    """A warning as one line for a user; None for one that is of no use to them.

    Args:
        text: the warning's.
        file: of the code that it is about.
    """
    for pattern, words in _WORDS.items():
        match = re.search(pattern, one_line(text))
        if match:
            return one_line(match.expand(words))[:_LONGEST]
    return one_line(text)[:_LONGEST] if is_ours(file) else None


@contextlib.contextmanager
def warnings_in_our_words() -> Iterator[None]:
    """Within it, a warning is one line without a path, printed once, or left out.

    What a user's own module warns of is printed as Python does.
    """
    before, said = warnings.showwarning, set[str]()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = in_our_words(str(message), filename)
        if text is None and not is_library(filename):
            before(message, category, filename, lineno, file, line)
        elif text is not None and text not in said:
            said.add(text)
            print(f"warning: {text}", file=sys.stderr)

    if not os.environ.get(TRACEBACK):
        warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:
            warnings.showwarning = before


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
