"""The result of one check of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["regressed", "inconclusive", "ok"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    outcome: Outcome
    format: str
    device: str
    figure: str  # "batch 1", "top-1", or the reason why there is nothing to compare
    text: str

    def __str__(self) -> str:
        return f"{self.outcome}: {self.format} on {self.device}, {self.figure}: {self.text}"
