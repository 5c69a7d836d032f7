"""The code of a search that runs on the machines of a cluster. It knows no library for clusters."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from src.errors import LightshipError
from src.search.engine import Training
from src.search.trials import Trained
from src.system import machine
from src.system.child_commands import run_in_subprocess
from src.system.signals import Stopped

THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Place:
    """The shared folders of a search. A relative path means the same on every machine.

    Args:
        working_folder: that the command was started in.
        folder: of the search.
        words: that may name files.
    """

    working_folder: Path
    folder: Path
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sight:
    """The view from a machine.

    Args:
        machine: its name.
        token: content of the file in the folder of the search; None if it is not there.
        code: hash of this project.
        python: version.
        packages: versions by name.
        files: for each word that names a file its hash, and "a folder" for one that names a folder.
    """

    machine: str
    token: str | None
    code: str
    python: str
    packages: Mapping[str, str]
    files: Mapping[str, str]


@dataclass(frozen=True)
class RemoteResult:
    """The end of a training on a machine.

    Args:
        machine: its name.
        seconds: of the training.
        trained: its state; None if it failed or was stopped.
        failure: the reason; None if it did not fail.
    """

    machine: str
    seconds: float
    trained: Trained | None = None
    failure: str | None = None


def look(place: Place, token_file: str) -> Sight:
    """Return what this machine has of a search.

    Args:
        place: the shared folders.
        token_file: name of a file in the folder of the search.
    """
    from src.benchmark.environment.description import package_versions
    from src.forecast.candidate import code_hash
    from src.forecast.named_files import named_file

    try:
        os.chdir(place.working_folder)
        token = (place.folder / token_file).read_text("utf-8")
    except OSError:
        token = None
    return Sight(
        machine=platform.node(),
        token=token,
        code=code_hash(),
        python=platform.python_version(),
        packages=package_versions(),
        files=_contents([(word, named_file(word)) for word in place.words]),
    )


def _contents(named: Sequence[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """Return the hash of each file that is there, by the word that names it. Paths are left out."""
    there = {word: place for word, place in named if place and Path(place[0]).exists()}
    return {word: place[1] if place[1:] else "a folder" for word, place in there.items()}


def train(
    place: Place, training: Training, cpus: int, variables: Mapping[str, str]
) -> RemoteResult:
    """Train a candidate on this machine.

    Args:
        place: the shared folders.
        training: the candidate and its epoch.
        cpus: that are reserved for it.
        variables: environment variables of the training.
    """
    # A terminal sends Ctrl-C to every process on the machine of the command. Here it comes through
    # the command alone, as a simulated signal, so that no training gets it twice. It must come also
    # where the command runs in the background of a shell, whose processes ignore Ctrl-C, and from
    # the first moment.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    from src.search import training as trainings  # imports Lightning, which takes seconds

    os.chdir(place.working_folder)
    started = time.monotonic()
    trained, failure = None, None
    try:
        with _environment(cpus, variables):
            trained = trainings.train(
                place.folder,
                training.request,
                training.key,
                training.epoch,
                training.epochs,
                run_in_subprocess,
            )
    except LightshipError as error:  # the error itself cannot travel: it takes keywords
        failure = str(error)
    except Stopped:
        pass  # it has saved a checkpoint
    return RemoteResult(platform.node(), time.monotonic() - started, trained, failure)


@contextmanager
def _environment(cpus: int, variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within the block, and restore them after it.

    A cluster sets the number of threads to that of the CPUs that a task reserves. A training that
    has the whole machine has as many threads as one that no cluster started.
    """
    wanted: dict[str, str | None] = dict(variables)
    if cpus >= machine.usable_cores():
        wanted.setdefault(THREADS, None)
    earlier = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(earlier)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
