"""A planted Ray, whose tasks end as they are told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """As that of Ray."""


class TaskCancelledError(RayError):
    """As that of Ray."""


class NodeDiedError(RayError):
    """As that of Ray."""


class TaskUnschedulableError(RayError):
    """As that of Ray."""


class LocalRayletDiedError(RayError):
    """As that of Ray."""


class WorkerCrashedError(RayError):
    """As that of Ray."""


class RayTaskError(RayError):
    """As that of Ray: an exception of the code of a task."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class PlantedRay:
    """Machines of one CPU, by their names, and the ends of their tasks.

    Args:
        names: of the machines; also their identifiers.
    """

    names: Sequence[str]
    # The result, an exception or None for no answer, by the machine and the place of the arguments.
    answer: Callable[[str, Any], Any] = lambda *_: None
    gone: set[str] = field(default_factory=set)
    tasks: list[tuple[str, Any]] = field(default_factory=list)
    exceptions = SimpleNamespace(
        RayError=RayError,
        RayTaskError=RayTaskError,
        TaskCancelledError=TaskCancelledError,
        NodeDiedError=NodeDiedError,
        TaskUnschedulableError=TaskUnschedulableError,
        LocalRayletDiedError=LocalRayletDiedError,
    )
    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(
            NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft)
        )
    )

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": name,
                "NodeManagerHostname": name,
                "Resources": {"CPU": 1.0},
                "Alive": name not in self.gone,
            }
            for name in self.names
        ]

    def remote(self, _: object) -> PlantedRay:
        return self

    def options(self, *, scheduling_strategy: tuple[str, bool], **_: object) -> SimpleNamespace:
        node, is_soft = scheduling_strategy
        assert not is_soft

        def start(*words: Any) -> int:
            self.tasks.append((node, words))
            return len(self.tasks) - 1

        return SimpleNamespace(remote=start)

    def wait(
        self, tasks: Sequence[int], *, num_returns: int, timeout: float
    ) -> tuple[list[int], list[int]]:
        assert timeout >= 0
        done = [task for task in tasks if self._answer(task) is not None][:num_returns]
        return done, [task for task in tasks if task not in done]

    def get(self, task: int) -> Any:
        answer = self._answer(task)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answer(self, task: int) -> Any:
        return self.answer(*self.tasks[task])
