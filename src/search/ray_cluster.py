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
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from src.errors import UsageError, describe, one_line
from src.search import remote
from src.search.engine import Training
from src.search.machines import (
    Machine,
    RayOptions,
    Resources,
    require_address,
    require_alike,
    resources_of,
)
from src.search.remote import Place, Sight
from src.search.spread import Finished, Lost
from src.search.trials import TrialError
from src.system import machine, signals

_ROOT = Path(__file__).parents[2]
_ANSWER_SECONDS = 120.0  # a worker starts, and reads the project from a network disk
_POLL_SECONDS = 1.0
_OBJECT_STORE_BYTES = 100 * 2**20  # of an instance of our own; a task sends names and figures
_GPUS = "CUDA_VISIBLE_DEVICES"
_ADDRESS = "RAY_ADDRESS"
_LOCAL = "local"


@contextmanager
def connected(options: RayOptions, place: Place) -> Iterator[RayCluster]:
    """Connect to a cluster, or start Ray on this machine, and check the machines.

    Args:
        options: of the command line.
        place: the shared folders.

    Raises:
        UsageError: there is no cluster, or a machine has not the same folders and versions.
        Stopped: a signal came.
    """
    import ray

    try:
        _connect(ray, _address(options))
        machines = _machines(ray)
        resources = resources_of(machines, options)
        _check(ray, [other for other in machines if resources.places_on(other)], place)
        yield RayCluster(ray, place, options, resources)
    finally:
        ray.shutdown()


class RayCluster:
    """The machines of a cluster that this process is connected to.

    Args:
        ray: the library.
        place: the shared folders.
        options: of the command line.
        resources: of a training.
    """

    def __init__(self, ray: Any, place: Place, options: RayOptions, resources: Resources) -> None:
        self._ray = ray
        self._place = place
        self._resources = resources
        self._variables = _variables(options)
        self._running: dict[Any, Training] = {}
        # A worker that is lost is tried again by the engine, which counts the attempts.
        self._train = ray.remote(remote.train).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_retries=0,
            scheduling_strategy="SPREAD",
        )

    def slots(self) -> int:
        """Return how many trainings the machines that are there can take at once."""
        return sum(self._resources.places_on(other) for other in _machines(self._ray))

    def start(self, training: Training) -> None:
        """Start a training where resources are free."""
        cpus = self._resources.cpus
        task = self._train.remote(self._place, training, cpus, self._variables)
        self._running[task] = training

    def wait(self, seconds: float) -> Finished | None:
        """Return a training that has ended. Wait at most some seconds for it, and return None."""
        done, _ = self._ray.wait([*self._running], num_returns=1, timeout=seconds)
        if not done:
            return None
        training = self._running.pop(done[0])
        errors = self._ray.exceptions
        try:
            result = self._ray.get(done[0])
        except errors.TaskCancelledError:
            return Finished(training, Lost("it was cancelled"))
        except errors.RayTaskError as error:
            # An exception that no training raises, such as a folder that is not there.
            return Finished(training, TrialError(one_line(describe(error.cause or error))))
        except errors.RayError as error:
            return Finished(training, Lost(one_line(describe(error))))
        if result.failure is not None:
            ended: Any = TrialError(result.failure)
        else:
            ended = result.trained or Lost("it was stopped")
        return Finished(training, ended, result.seconds, result.machine)

    def stop(self) -> None:
        """Simulate Ctrl-C in all trainings."""
        for task in self._running:
            self._ray.cancel(task)


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


def _machines(ray: Any) -> list[Machine]:
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


def _variables(options: RayOptions) -> dict[str, str]:
    """Return the environment variables of a training."""
    threads = os.environ.get(remote.THREADS)
    return {
        **({remote.THREADS: threads} if threads is not None else {}),
        # Ray hides the GPUs of others only from a task that reserves one.
        **({_GPUS: ""} if options.gpus == 0 else {}),
    }


def _check(ray: Any, machines: Sequence[Machine], place: Place) -> None:
    """Write a token into the folder of the search, and let every machine read it.

    Raises:
        UsageError: a machine does not see it, or has other versions.
        Stopped: a signal came.
    """
    token = secrets.token_hex(8)
    file = place.folder / f".token-{token}"
    file.write_text(token, "utf-8")
    try:
        sights = _sights(ray, machines, place, file.name)
        require_alike(sights, remote.look(place, file.name), place)
    finally:
        file.unlink()


def _sights(ray: Any, machines: Sequence[Machine], place: Place, file: str) -> list[Sight]:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(remote.look)
    asked = {
        look.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(other.node, soft=False),
        ).remote(place, file): other.name
        for other in machines
    }
    waiting = [*asked]
    end = time.monotonic() + _ANSWER_SECONDS
    with signals.noting_signals() as received:
        while waiting and time.monotonic() < end and not received:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_POLL_SECONDS)
    if received:
        raise signals.Stopped(received[0])
    if waiting:
        raise UsageError(
            "engine",
            expected=f"an answer of every machine within {_ANSWER_SECONDS:.0f} s",
            found=f"none of {', '.join(asked[task] for task in waiting)}",
            remedy="see ray status, and start Ray there again",
        )
    sights = []
    for task, name in asked.items():
        try:
            sights.append(ray.get(task))
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise UsageError(
                "engine",
                expected=f"the project and its environment in {_ROOT} on every machine",
                found=f"on {name}: {describe(cause)}",
                remedy="share the folder with it",
            ) from error
    return sights
