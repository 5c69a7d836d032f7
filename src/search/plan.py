"""The plan of a search: its candidates, limits and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from src.forecast.candidate import Request, requests_of
from src.run.circumstances import Environment
from src.search.halving import Point
from src.search.own_options import require_no_own_option
from src.search.records import EngineName, Limits


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
        own_width_only: networks that have no other width than their own, for the record.
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
    own_width_only: Sequence[str] = ()
    keys: dict[Point, str] = field(default_factory=dict)
    training_keys: dict[Point, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for request in self.requests:
            self.keys[request.point] = request.key(self.environment)
            self.training_keys[request.point] = request.training_key(self.environment)

    @property
    def by_point(self) -> dict[Point, Request]:
        """The candidates by network, with its width, and image size."""
        return {request.point: request for request in self.requests}

    @property
    def networks(self) -> list[str]:
        """The networks, each with its width."""
        return list(dict.fromkeys(network for network, _ in self.by_point))

    @property
    def sizes(self) -> list[int | None]:
        return list(dict.fromkeys(request.image_size for request in self.requests))


def candidates_of(
    words: Sequence[str],
    default_model: str,
    images: str | None = None,
    paths: tuple[str, ...] = (),
) -> list[Request]:
    """Return the candidates of a command line, one for each network and image size.

    Args:
        words: in the grammar of ``src.train``; ``model=`` and ``data.image_size=`` take several
            values with commas between.
        default_model: name of the network without ``model=``, for messages and files.
        images: folder of the user's own images; None for another data set.
        paths: the options that name a file or a folder, as ``name=value``.

    Raises:
        UsageError: an option is set that a search sets itself, or as for a forecast.
    """
    require_no_own_option(words)
    return requests_of(words, default_model, images, paths)
