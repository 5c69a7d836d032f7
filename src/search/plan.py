"""The plan of a search: its candidates, limits and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from src.errors import UsageError
from src.forecast.candidate import Request, requests_of
from src.run.circumstances import Environment
from src.search.halving import Point
from src.search.records import EngineName, Limits

# Options that a search sets itself, or that would end a training early or judge it otherwise.
_OWN = (
    "benchmark.enabled",
    "checkpoint.mode",
    "checkpoint.monitor",
    "ckpt_path",
    "export.enabled",
    "finetune.find_batch_size",
    "finetune.find_lr",
    "finetune.patience",
    "trainer.check_val_every_n_epoch",
    "trainer.fast_dev_run",
    "trainer.max_time",
    "trainer.min_epochs",
    "trainer.min_steps",
)

_PLATEAU = "ReduceLROnPlateau"  # Lightning does not repeat its step at the end of an epoch


@dataclass(frozen=True)
class Plan:
    """All that a command line says.

    Args:
        requests: the candidates.
        limits: of the file to ship.
        environment: the machine and the versions.
        command: the command line, for the record.
        seed: decides the order of the candidates.
        reduction: of this number of candidates one goes on at a rung.
        rungs: comparisons before the end of a training.
        budget_s: seconds for everything; None for no bound.
        engine: trains the candidates.
    """

    requests: Sequence[Request]
    limits: Limits
    environment: Environment
    command: str
    seed: int = 0
    reduction: int = 2
    rungs: int = 2
    budget_s: float | None = None
    engine: EngineName = "local"
    keys: dict[Point, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for request in self.requests:
            self.keys[request.model, request.image_size] = request.key(self.environment)

    @property
    def by_point(self) -> dict[Point, Request]:
        """The candidates by network and image size."""
        return {(request.model, request.image_size): request for request in self.requests}

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(request.model for request in self.requests))

    @property
    def sizes(self) -> list[int | None]:
        return list(dict.fromkeys(request.image_size for request in self.requests))


def candidates_of(words: Sequence[str], default_model: str) -> list[Request]:
    """Return the candidates of a command line, one for each network and image size.

    Args:
        words: in the grammar of ``src.train``; ``model=`` and ``data.image_size=`` take several
            values with commas between.
        default_model: the network without ``model=``.

    Raises:
        UsageError: an option is set that a search sets itself, or as for a forecast.
    """
    for word in words:
        name = word.lstrip("-").partition("=")[0].removesuffix("+")
        if name in _OWN:
            raise UsageError(
                name,
                expected="it to be left out, because a search decides it",
                found=word,
                remedy=f"leave out {name}",
            )
        if _PLATEAU in word:
            raise UsageError(
                name,
                expected="a schedule that goes on where a training paused",
                found=word,
                remedy="choose another schedule, or leave it out",
            )
    return requests_of(words, default_model)
