"""The machines of a Ray cluster: those that are there, and the check that all are alike."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.errors import UsageError, describe, one_line
from src.search import remote
from src.search.machines import Machine, require_alike
from src.search.remote import Place, Sight
from src.system import signals
from src.system.console import Report

_ROOT = Path(__file__).parents[2]
_ANSWER_SECONDS = 120.0  # a worker starts, and reads the project from a network disk
_POLL_SECONDS = 1.0


def machines_of(ray: Any) -> list[Machine]:
    """Return the machines of the cluster that are there."""
    return [
        Machine(
            node=node["NodeID"],
            name=node["NodeManagerHostname"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def only_on(ray: Any, node: str) -> Any:
    """Return the strategy that runs a task on one machine."""
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)


def errors_of_lost_machines(ray: Any) -> tuple[type[Exception], ...]:
    """Return the errors that say that a machine is gone."""
    errors = ray.exceptions
    return errors.NodeDiedError, errors.TaskUnschedulableError, errors.LocalRayletDiedError


def check(ray: Any, machines: Sequence[Machine], place: Place, report: Report) -> list[Machine]:
    """Write a token into the folder of the search, and let every machine read it.

    Args:
        ray: the library.
        machines: that may train.
        place: the shared folders.
        report: gets a line for each machine that does not answer, which is left out.

    Returns:
        The machines that answered.

    Raises:
        UsageError: a machine does not see it, or has other versions; or none answered.
        Stopped: a signal came.
    """
    token = secrets.token_hex(8)
    file = place.folder / f".token-{token}"
    file.write_text(token, "utf-8")
    try:
        sights = _sights(ray, machines, place, file.name)
        seen = {other: sight for other, sight in sights.items() if isinstance(sight, Sight)}
        require_alike([*seen.values()], remote.look(place, file.name), place)
    finally:
        file.unlink()
    silent = [f"{other.name}: {sight}" for other, sight in sights.items() if other not in seen]
    if not seen:
        raise UsageError(
            "engine",
            expected=f"an answer of a machine within {_ANSWER_SECONDS:.0f} s",
            found=f"none ({'; '.join(silent)})",
            remedy="see ray status, and start Ray there again",
        )
    for line in silent:
        report(f"no trainings of this rung on {line}")
    return [*seen]


def _sights(
    ray: Any, machines: Sequence[Machine], place: Place, file: str
) -> dict[Machine, Sight | str]:
    """Return what each machine sees, or why it did not answer.

    Raises:
        UsageError: a machine has not the project or its environment.
        Stopped: a signal came.
    """
    look = ray.remote(remote.look)
    asked = {
        look.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=only_on(ray, other.node),
        ).remote(place, file): other
        for other in machines
    }
    waiting = [*asked]
    end = time.monotonic() + _ANSWER_SECONDS
    with signals.noting_signals() as received:
        while waiting and time.monotonic() < end and not received:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_POLL_SECONDS)
    if received:
        raise signals.Stopped(received[0])
    return {
        other: f"no answer within {_ANSWER_SECONDS:.0f} s"
        if task in waiting
        else _sight(ray, task, other)
        for task, other in asked.items()
    }


def _sight(ray: Any, task: Any, other: Machine) -> Sight | str:
    """Return what a machine sees, or the error that says that it is gone.

    Raises:
        UsageError: it has not the project or its environment.
    """
    try:
        return ray.get(task)  # type: ignore[no-any-return]
    except errors_of_lost_machines(ray) as error:
        return one_line(describe(error))
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        raise UsageError(
            "engine",
            expected=f"the project and its environment in {_ROOT} on every machine",
            found=f"on {other.name}: {describe(cause)}",
            remedy="share the folder with it",
        ) from error
