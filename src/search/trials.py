"""The steps of a search that cost time, behind one protocol: forecast, train, judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from src.errors import LightshipError
from src.forecast.candidate import Request
from src.forecast.records import Candidate
from src.search.records import JudgedFile


class TrialError(LightshipError):
    """A candidate cannot go on; the other candidates are not affected."""


@dataclass(frozen=True)
class Trained:
    """A training after a number of epochs."""

    run: str  # folder of the run, relative to that of the search
    epoch: int  # epochs trained
    top1: float  # best validation top-1 so far
    whole_epochs: int | None = None  # of the whole training; None if they are as was asked for


@dataclass(frozen=True)
class Judged:
    """The measured files of a trained candidate."""

    files: list[JudgedFile]
    validation_images: int


class Trials(Protocol):
    """The steps of a search. Tests replace them by planted figures."""

    def known_forecast(self, request: Request) -> Candidate | None:
        """Return the cost of a candidate that is known already; None if it has to be measured."""

    def forecast(self, request: Request) -> Candidate:
        """Measure and return the cost of a candidate; one that failed has its reason."""

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        """Train a candidate until an epoch, from its last checkpoint if there is one.

        Args:
            request: the candidate.
            key: of the training.
            epoch: epochs to have been trained at the end of this step. A training whose whole is
                shorter ends before.
            epochs: of the whole training, or the assumed ones without a forecast.

        Raises:
            TrialError: the training failed.
        """

    def adopt_options(self, request: Request, run: str) -> None:
        """Give a run the options of export and measurement of this command, if it has others.

        Args:
            request: the candidate.
            run: folder of its run, relative to that of the search.

        Raises:
            TrialError: the options cannot be read.
        """

    def judge(self, run: str, formats: Sequence[str]) -> Judged:
        """Export and measure a trained candidate in some formats.

        Args:
            run: folder of the run, relative to that of the search.
            formats: their names.

        Raises:
            TrialError: the export or the measurement failed.
        """

    def is_present(self, folder: str) -> bool:
        """Return True if the folder of a run or of a file, relative to the search's, is there."""


def slug(request: Request, key: str) -> Path:
    """Return the folder of a candidate's training, with its key, relative to that of the search."""
    return Path("candidates") / f"{request.name}-{key[:8]}"
