"""The machines of a cluster: what a training gets, and that all are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from src.errors import UsageError
from src.search.remote import Place, Sight


@dataclass(frozen=True)
class RayOptions:
    """The options of the engine ``ray``.

    Args:
        address: of a running cluster; None for that of RAY_ADDRESS, or for an instance on this
            machine.
        cpus: of a training; None for those of the smallest machine.
        gpus: of a training; None for those of the machine that has the fewest.
    """

    address: str | None = None
    cpus: int | None = None
    gpus: int | None = None


def require_address(address: str, name: str) -> None:
    """Check the address of a cluster.

    A client of Ray (``ray://``) is no machine of the cluster.

    Args:
        address: of the cluster.
        name: of the option or variable that has it.

    Raises:
        UsageError: it is empty or that of a client.
    """
    if not address or "//" in address:
        raise UsageError(
            name,
            expected="host:port of a cluster that this machine belongs to, or auto",
            found=address or "nothing",
            remedy="run the command on a machine of the cluster",
        )


@dataclass(frozen=True)
class Machine:
    """A machine of a cluster.

    Args:
        node: its identifier.
        name: its host name.
        cpus: that the cluster counts.
        gpus: that the cluster counts.
    """

    node: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Resources:
    """The CPUs and GPUs of a training."""

    cpus: int
    gpus: int

    def places_on(self, machine: Machine) -> int:
        """Return how many trainings a machine can take at once."""
        places = int(machine.cpus // self.cpus)
        return min(places, int(machine.gpus // self.gpus)) if self.gpus else places


def resources_of(machines: Sequence[Machine], options: RayOptions) -> Resources:
    """Return the CPUs and GPUs of a training.

    By default it is the smallest machine as a whole, so that trainings do not slow each other down
    and their times can be compared. If a machine has a GPU, those without one do not train.

    Raises:
        UsageError: no machine is large enough.
    """
    able = [machine for machine in machines if machine.cpus >= 1]
    if not able:
        raise UsageError(
            "engine",
            expected="a machine with a CPU in the Ray cluster",
            found=f"{len(machines)} without one",
            remedy="start one with ray start",
        )
    gpus = options.gpus
    if gpus is None:
        gpus = min((int(machine.gpus) for machine in able if machine.gpus >= 1), default=0)
    with_gpus = [machine for machine in able if machine.gpus >= gpus]
    if not with_gpus:
        most = max(int(machine.gpus) for machine in able)
        raise _too_many("ray.gpus", gpus, most)
    cpus = options.cpus or min(int(machine.cpus) for machine in with_gpus)
    most = max(int(machine.cpus) for machine in with_gpus)
    if cpus > most:
        raise _too_many("ray.cpus", cpus, most)
    return Resources(cpus, gpus)


def _too_many(name: str, wanted: int, most: int) -> UsageError:
    return UsageError(
        name,
        expected=f"at most {most}, which is what the largest machine has",
        found=str(wanted),
        remedy=f"leave out {name} for whole machines",
    )


class Places:
    """The places for trainings on the machines that were checked.

    A machine that joins later is checked before the next rung, and has none until then.

    Args:
        machines: that were checked.
        resources: of a training.
    """

    def __init__(self, machines: Sequence[Machine], resources: Resources) -> None:
        self._places = {other.node: resources.places_on(other) for other in machines}
        self._alive: set[str] = set()
        self._taken: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    def count(self, alive: Iterable[str]) -> int:
        """Return how many trainings the machines that are there can take at once."""
        self._alive = {*alive}
        return sum(self._places[node] for node in self._places if node in self._alive)

    def others(self, node: str) -> bool:
        """Return True if another machine takes trainings."""
        return any(
            places and other != node and other in self._alive
            for other, places in self._places.items()
        )

    def take(self, avoided: str | None = None) -> str | None:
        """Take a place where the fewest trainings were lost, then where the most are free.

        Args:
            avoided: a machine that must not have it.

        Returns:
            The machine; None if no other one has a free place.
        """
        free = {
            node: places - self._taken[node]
            for node, places in self._places.items()
            if node in self._alive and node != avoided and places > self._taken[node]
        }
        if not free:
            return None
        node = max(free, key=lambda each: (-self._lost[each], free[each]))
        self._taken[node] += 1
        return node

    def give_back(self, node: str, *, is_lost: bool = False) -> None:
        """Free a place whose training has ended; it may be lost by a fault of the machine."""
        self._taken[node] -= 1
        self._lost[node] += is_lost

    def drop(self, node: str) -> bool:
        """Hand out no more places on a machine. Return False if it had none."""
        return self._places.pop(node, None) is not None


def require_alike(sights: Sequence[Sight], here: Sight, place: Place) -> None:
    """Check that machines see the folder of the search, and have the same code, versions and files.

    Checkpoints come back through the folder. A network is trained and judged by the same code.

    Args:
        sights: what the machines see.
        here: what this machine sees.
        place: the shared folders.

    Raises:
        UsageError: a machine differs.
    """
    for sight in sights:
        if sight.token != here.token:
            raise UsageError(
                "engine",
                expected=f"the folder {place.folder} of {place.working_folder} on every machine",
                found=f"none, or another one, on {sight.machine}",
                remedy="name a folder on a shared disk with output=, and start the command there",
            )
        for is_same, expected, found in (
            (sight.code == here.code, "the code of this project", "other code"),
            (sight.python == here.python, f"Python {here.python}", f"Python {sight.python}"),
            (
                sight.packages == here.packages,
                _different(here, sight),
                _different(sight, here),
            ),
        ):
            if not is_same:
                raise UsageError(
                    "engine",
                    expected=f"{expected} on every machine",
                    found=f"{found} on {sight.machine}",
                    remedy="install the same there",
                )
        _require_files(sight, here)


def _require_files(sight: Sight, here: Sight) -> None:
    """Check that the files of the command line are there, and have the same content.

    Raises:
        UsageError: one is missing, or differs.
    """
    for word in {**here.files, **sight.files}:
        if sight.files.get(word) != here.files.get(word):
            raise UsageError(
                "engine",
                expected=f"what {word} names to be the same on every machine",
                found=f"{'another one' if word in sight.files else 'nothing'} on {sight.machine}",
                remedy="put it on a shared disk, or copy it to the same path",
            )


def _different(one: Sight, other: Sight) -> str:
    """Return the packages of a machine whose versions are not those of another one."""
    names = sorted({*one.packages, *other.packages})
    return ", ".join(
        f"{name} {one.packages.get(name, 'missing')}"
        for name in names
        if one.packages.get(name) != other.packages.get(name)
    )
