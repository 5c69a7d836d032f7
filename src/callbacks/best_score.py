"""The score by which the ``best.ckpt`` of a run was chosen, as the file itself stores it.

``last.ckpt`` stores it too, but may be older: ``best.ckpt`` is also written by validations within
an epoch, and a process may be killed between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.errors import UsageError, describe
from src.shipped import lfs_pointer


@dataclass(frozen=True)
class BestScore:
    """A score with its metric; ``mode`` is ``max`` if a larger value is better."""

    monitor: str
    mode: str
    score: Tensor | None  # None before the first validation

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> BestScore:
        """Return the score in the state of the callback ``BestCheckpoint``."""
        score = state["score"]
        if score is not None:
            # A copy, because a score of a memory-mapped file keeps that file open.
            score = torch.as_tensor(score).clone()
            float(score)  # raises if it is more than one value
        return cls(str(state["monitor"]), str(state["mode"]), score)

    def is_better_than(self, other: BestScore) -> bool:
        """Return True if this is the better one; False if they are not of the same metric."""
        if (self.monitor, self.mode) != (other.monitor, other.mode):
            return False
        if self.score is None or other.score is None:
            return False
        return bool(self.score > other.score if self.mode == "max" else self.score < other.score)


@dataclass(frozen=True)
class StoredBest:
    """The facts about an existing ``best.ckpt``; several processes share them.

    Args:
        best: its score; None if it stores none, as a file of another program.
        problem: why it cannot be read; empty if it can.
    """

    best: BestScore | None = None
    problem: str = ""

    def require_whole(self, path: Path) -> None:
        """Refuse a file that cannot be read: it could not be exported at the end either.

        Raises:
            UsageError: it cannot be read.
        """
        if self.problem:
            raise UsageError(
                str(path),
                expected="a whole checkpoint, the best one of the run that goes on",
                found=self.problem,
                remedy="move it away, and the training looks for its best weights anew",
            )


def read(path: Path, state_key: str) -> StoredBest | None:
    """Return what is known of the ``best.ckpt`` at ``path``; None if there is none.

    Args:
        path: of the file.
        state_key: of the callback that wrote it.
    """
    if not path.is_file():
        return None
    try:
        # Memory-mapped: the weights stay on disk.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = content.get("callbacks", {}).get(state_key)
        best = None if state is None else BestScore.of(state)
        return StoredBest(best if best is not None and best.score is not None else None)
    except Exception as error:  # the unpickler raises whatever a damaged file leads it to
        return StoredBest(problem=f"{describe(error)}{lfs_pointer.advice(path)}")
