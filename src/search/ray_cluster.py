"""Machines of a Ray cluster, for the trainings of a search.

A training is a plain task of Ray's core. Ray Tune would bring a second rule of halving: its
schedulers decide which trials go on, and its experiments keep the trials and the checkpoints. Here
:mod:`src.search.halving` decides, ``search.json`` keeps the measurements, and a checkpoint lies in
the folder of its run, for every engine alike. Nothing would be left of Tune but its tasks.

https://docs.ray.io/en/latest/ray-core/tasks.html
https://docs.ray.io/en/latest/ray-core/api/doc/ray.cancel.html
"""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import UsageError, describe, one_line
from src.search import remote
from src.search.engine import Training
from src.search.machines import (
    Machine,
    Places,
    RayOptions,
    Resources,
    require_address,
    resources_of,
)
from src.search.ray_machines import check, errors_of_lost_machines, machines_of, only_on
from src.search.remote import Place, RemoteResult
from src.search.spread import Doubted, Finished, Lost
from src.search.trials import Trained, TrialError
from src.system import machine, signals
from src.system.console import Report

_ROOT = Path(__file__).parents[2]
_OBJECT_STORE_BYTES = 100 * 2**20  # of an instance of our own; a task sends names and figures
_GPUS = "CUDA_VISIBLE_DEVICES"
_ADDRESS = "RAY_ADDRESS"
_LOCAL = "local"


@contextmanager
def connected(options: RayOptions, place: Place, report: Report) -> Iterator[RayCluster]:
    """Connect to a cluster, or start Ray on this machine, and check the machines.

    Args:
        options: of the command line.
        place: the shared folders.
        report: gets a line for each machine that is left out.

    Raises:
        UsageError: there is no cluster, or a machine has not the same folders and versions.
        Stopped: a signal came.
    """
    import ray
    import ray.util.scheduling_strategies

    try:
        _connect(ray, _address(options))
        machines = machines_of(ray)
        resources = resources_of(machines, options)
        able = [other for other in machines if resources.places_on(other)]
        checked = check(ray, able, place, report)
        yield RayCluster(ray, place, _variables(options), resources, checked, report)
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class _Failure:
    """A training that failed, and the machine on which it did."""

    node: str
    error: TrialError


class RayCluster:
    """The machines of a cluster that this process is connected to.

    Args:
        ray: the library.
        place: the shared folders.
        variables: environment variables of a training.
        resources: of a training.
        machines: that were checked.
        report: gets a line for each machine that is left out.
    """

    def __init__(
        self,
        ray: Any,
        place: Place,
        variables: Mapping[str, str],
        resources: Resources,
        machines: Sequence[Machine],
        report: Report,
    ) -> None:
        self._ray = ray
        self._train = ray.remote(remote.train)
        self._place = place
        self._variables = variables
        self._resources = resources
        self._places = Places(machines, resources)
        self._names = {other.node: other.name for other in machines}
        self._report = report
        self._running: dict[Any, tuple[Training, str]] = {}
        self._waiting: deque[Training] = deque()
        self._failures: dict[Training, _Failure] = {}
        self._is_stopping = False

    def slots(self) -> int:
        """Return how many trainings the checked machines that are there can take at once."""
        return self._places.count(other.node for other in machines_of(self._ray))

    def start(self, training: Training) -> None:
        """Start a training on a checked machine that has a place, when there is one for it."""
        self._waiting.append(training)
        self._hand_out()

    def _hand_out(self) -> None:
        """Start the trainings that wait, none of them on a machine on which it has failed."""
        for training in [*self._waiting]:
            failure = self._failures.get(training)
            node = self._places.take(failure.node if failure else None)
            if node is not None:
                self._waiting.remove(training)
                self._running[self._submit(training, node)] = training, node

    def _submit(self, training: Training, node: str) -> Any:
        """Return the task of a training on a machine."""
        train = self._train.options(
            num_cpus=self._resources.cpus,
            num_gpus=self._resources.gpus,
            max_retries=0,  # the engine tries again, and counts the attempts
            scheduling_strategy=only_on(self._ray, node),
        )
        return train.remote(self._place, training, self._resources.cpus, self._variables)

    def wait(self, seconds: float) -> Finished | None:
        """Return a training that has ended. Wait at most some seconds for it, and return None."""
        if not self._is_stopping:
            self._hand_out()
        if self._waiting and (self._is_stopping or not self._running):
            return self._without_place(self._waiting.popleft())
        done, _ = self._ray.wait([*self._running], num_returns=1, timeout=seconds)
        if not done:
            return None
        training, node = self._running.pop(done[0])
        result = self._result(done[0], node)
        ended = _end_of(result)
        if isinstance(ended, TrialError):
            ended = self._doubted(training, node, ended)
        elif isinstance(ended, Trained):
            self._blame(training, node)
        self._places.give_back(node, is_lost=isinstance(ended, Lost))
        if isinstance(result, RemoteResult):
            return Finished(training, ended, result.seconds, result.machine)
        return Finished(training, ended)

    def _without_place(self, training: Training) -> Finished:
        """Return the end of a training that no machine can have."""
        failure = self._failures.pop(training, None)
        if failure is None or self._is_stopping:
            return Finished(training, Lost("it was stopped"))
        return Finished(training, failure.error)  # no other machine is left to try it

    def _doubted(self, training: Training, node: str, error: TrialError) -> TrialError | Doubted:
        """Return the failure of a training: in doubt where another machine can try it once.

        A machine whose trainings fail at once is free first, and would have all of them.
        """
        if training in self._failures or not self._places.others(node):
            return error
        self._failures[training] = _Failure(node, error)
        return Doubted(str(error))

    def _blame(self, training: Training, node: str) -> None:
        """Drop the machine on which a training failed that another one could train."""
        failure = self._failures.pop(training, None)
        if failure is not None and failure.node != node:
            self._drop(
                failure.node,
                f"{training.request.name} failed there, and not on {self._names[node]}: "
                f"{failure.error}",
            )

    def _result(self, task: Any, node: str) -> RemoteResult | TrialError | Lost:
        """Return the result of a training, or why there is none."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(task)  # type: ignore[no-any-return]
        except errors.TaskCancelledError:
            return Lost("it was cancelled")
        except errors.RayTaskError as error:
            # An exception that no training raises.
            cause = error.cause or error
            reason = one_line(describe(cause))
            if not isinstance(cause, OSError):
                return TrialError(reason)
            # The disk or the memory of the machine, or a folder that is not there any more.
            self._drop(node, reason)
            return Lost(reason)
        except errors.RayError as error:
            reason = one_line(describe(error))
            if isinstance(error, errors_of_lost_machines(self._ray)):
                self._drop(node, reason)
            return Lost(reason)

    def _drop(self, node: str, reason: str) -> None:
        if self._places.drop(node):
            self._report(f"no more trainings of this rung on {self._names[node]}: {reason}")

    def stop(self) -> None:
        """Simulate Ctrl-C in all trainings, and start none of those that wait."""
        self._is_stopping = True
        for task in self._running:
            self._ray.cancel(task)


def _end_of(result: RemoteResult | TrialError | Lost) -> Trained | TrialError | Lost:
    if not isinstance(result, RemoteResult):
        return result
    if result.failure is not None:
        return TrialError(result.failure)
    return result.trained or Lost("it was stopped")


def _address(options: RayOptions) -> str:
    named = options.address or os.environ.get(_ADDRESS)
    if not named:
        return _LOCAL
    require_address(named, "ray.address" if options.address else _ADDRESS)
    return named


def _connect(ray: Any, address: str) -> None:
    """Connect to a cluster, or start Ray on this machine.

    Raises:
        UsageError: there is no cluster at the address, or it has another version.
    """
    inherited = os.environ.get("PYTHONPATH")
    settings: dict[str, Any] = {"address": address}
    if address == _LOCAL:
        # This instance is ours, so nothing is sent to Ray's makers, and no core is used beside
        # those that this process may use.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        settings |= {
            "num_cpus": machine.usable_cores(),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    try:
        # Ray replaces the handler of SIGTERM.
        with signals.handling(signal.getsignal(signal.SIGTERM), signal.SIGTERM):
            ray.init(
                **settings,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={
                    "env_vars": {
                        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [inherited])])
                    }
                },
            )
    except Exception as error:
        raise UsageError(
            "engine",
            expected="Ray to start on this machine"
            if address == _LOCAL
            else f"a Ray cluster at {address} that this machine belongs to",
            found=describe(error),
            remedy="see ray status, and docs/search.md",
        ) from error


def _variables(options: RayOptions) -> dict[str, str]:
    """Return the environment variables of a training."""
    threads = os.environ.get(remote.THREADS)
    return {
        **({remote.THREADS: threads} if threads is not None else {}),
        # Ray hides the GPUs of others only from a task that reserves one.
        **({_GPUS: ""} if options.gpus == 0 else {}),
    }
