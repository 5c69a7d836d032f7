"""Environments of their own for runtimes whose packages conflict with those of this project.

Each has a committed lock, ``environments/NAME.lock``, with the versions and hashes of all its
packages. uv makes ``environments/NAME-HASH/`` at the first use. HASH is that of the lock, of the
version of Python and of the platform, so an environment that is in use is never changed: another
lock makes another folder beside it. All are kept, and need no network afterwards. This process
imports none of their packages: an interpreter there runs our small programs, which convert a file,
and the worker processes, which open one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.backends.base import Unavailable
from src.system import atomic_files, environments, installer_errors, wheel_platform
from src.system.limited_process import LimitedProcessError, run_limited

# Exit code of a program whose runtime cannot do what is asked for; its last line says why.
CANNOT = 3
_STAMP = "lightship.json"  # written last: an environment without it is not whole
_HASH_DIGITS = 12
_MAKE_SECONDS = 3600.0
_TOO_NEW = "3.14"  # the first Python that this project is not tested with
_MAX_BYTES = 16_000_000_000  # resident bytes of a program with its children
_SECONDS = 1800.0
_AGAIN = "export or measure it again"


class ConversionError(Exception):
    """A program in an environment failed; the message is one line."""


@dataclass(frozen=True)
class OwnEnvironment:
    """An environment that is made at its first use.

    Args:
        name: of the lock in ``environments/``, with which the name of the folder begins.
        size_bytes: space on the disk, about; it is told before the installation.
        minutes: time that the installation takes, about.
        least_python: the oldest Python that its packages run with; None for any of this project.
            With an older one here, uv looks for another Python, or fetches one.
    """

    name: str
    size_bytes: int
    minutes: int = 1
    least_python: tuple[int, int] | None = None

    @property
    def lock(self) -> Path:
        """The file of all packages with their versions and hashes."""
        return environments.ROOT / f"{self.name}.lock"

    @property
    def lock_sha256(self) -> str:
        """The SHA-256 of the lock.

        Raises:
            Unavailable: the lock cannot be read.
        """
        try:
            return atomic_files.sha256(self.lock)
        except OSError as error:
            raise Unavailable(
                f"environments/{self.lock.name} cannot be read ({error.strerror}); "
                "restore it from the repository"
            ) from error

    @property
    def folder(self) -> Path:
        """The folder of the environment, by default its :attr:`identity`.

        Raises:
            Unavailable: the lock cannot be read.
        """
        stamp = self._stamp()
        return self._whole(stamp) or self._new(stamp)

    def python(self) -> Path:
        """Return the interpreter; make the environment if there is none that is whole.

        Of two processes that need it at once, one waits until the other has made it.

        Raises:
            Unavailable: it cannot be made, for example without a network or without uv.
        """
        stamp = self._stamp()  # once: the lock may change meanwhile
        folder = self._whole(stamp)
        if folder is None:
            folder = self._new(stamp)
            try:
                with environments.making(folder) as guard:
                    if not _is_whole(folder, stamp):  # nobody made it in the meantime
                        self._make(folder, stamp, guard)
            except OSError as error:
                raise self._unavailable(
                    f"{error.filename or environments.ROOT}: {error.strerror}",
                    installer_errors.remedy_for_folder(error),
                ) from error
        return _python_of(folder)

    @property
    def identity(self) -> str:
        """The name of the environment with a hash of its lock, Python and platform.

        Raises:
            Unavailable: the lock cannot be read.
        """
        stamp = self._stamp()
        is_earlier = self._whole(stamp) not in {None, self._new(stamp)}
        return self._identity(_without_platform(stamp) if is_earlier else stamp)

    def has_run(self, identity: str | None) -> bool:
        """Return True if a row is of the present lock and Python, by the identity in its record.

        The measurement knows the machine, so the platform decides nothing here. An identity of an
        earlier version of this project lacks it.

        Raises:
            Unavailable: the lock cannot be read.
        """
        stamp = self._stamp()
        return identity in {self._identity(stamp), self._identity(_without_platform(stamp))}

    def is_cause_of(self, reason: str) -> bool:
        """Return whether a row was skipped for the reason that this environment is missing."""
        return reason.startswith(f"environments/{self.name}")

    def may_be_had(self) -> bool:
        """Return True if it is whole, or if there are its lock, uv and a folder to make it in."""
        try:
            stamp = self._stamp()
        except Unavailable:
            return False
        if self._whole(stamp) is not None:
            return True
        return environments.uv() is not None and environments.can_be_written()

    def run(
        self,
        module: str,
        *argv: str,
        seconds: float = _SECONDS,
        max_bytes: int = _MAX_BYTES,
    ) -> str:
        """Run ``python -m MODULE ARGV...`` of this project there, and return what it prints.

        Args:
            module: the import name; it imports nothing that the environment lacks.
            argv: its arguments.
            seconds: the time limit.
            max_bytes: the limit of the resident memory of the program and its children.

        Raises:
            Unavailable: the environment cannot be made, or the program ended with ``CANNOT``.
            ConversionError: the program failed, or exceeded a limit.
        """
        command = [str(self.python()), "-m", module, *argv]
        try:
            return run_limited(
                command,
                seconds=seconds,
                max_bytes=max_bytes,
                variables=environments.variables_of_another(),
            )
        except LimitedProcessError as error:
            if error.code == CANNOT:
                raise Unavailable(error.last) from error
            raise ConversionError(f"in environments/{self.name}: {error}") from error

    def _stamp(self) -> dict[str, str]:
        return {
            "lock_sha256": self.lock_sha256,
            "python": self._wanted_python,
            "platform": wheel_platform.name(),
        }

    def _new(self, stamp: dict[str, str]) -> Path:
        return environments.ROOT / self._identity(stamp)

    def _whole(self, stamp: dict[str, str]) -> Path | None:
        """Return the folder that is whole, else one of an earlier version, without a platform."""
        if _is_whole(self._new(stamp), stamp):
            return self._new(stamp)
        earlier = _without_platform(stamp)
        for folder in (self._new(earlier), environments.ROOT / self.name):
            site = environments.site_packages(_python_of(folder))
            if _is_whole(folder, earlier) and wheel_platform.fits(site):
                return folder
        return None

    def _identity(self, stamp: dict[str, str]) -> str:
        return f"{self.name}-{_digest(stamp)}"

    @property
    def _wanted_python(self) -> str:
        """The version of Python in words of uv: this one, or a range of newer ones."""
        here = sys.version_info[:2]
        if self.least_python is None or here >= self.least_python:
            return f"{here[0]}.{here[1]}"
        return f">={self.least_python[0]}.{self.least_python[1]},<{_TOO_NEW}"

    @property
    def _interpreter(self) -> str:
        """The Python to make the environment with: that of this process if it is new enough."""
        wanted = self._wanted_python
        return wanted if wanted.startswith(">") else sys.executable

    def _make(self, folder: Path, stamp: dict[str, str], guard: int) -> None:
        installer = environments.uv()
        if installer is None:
            raise self._unavailable("uv is not installed", "install uv")
        # Half made, or its Python was removed: no process can run in it.
        shutil.rmtree(folder, ignore_errors=True)
        sys.stderr.write(
            f"installing environments/{folder.name} once: about {self.size_bytes / 1e6:.0f} MB on "
            f"the disk, about {self.minutes} min; it needs no network afterwards\n"
        )
        try:
            environments.run_installer(
                [installer, "venv", "--quiet", "--python", self._interpreter, str(folder)],
                _MAKE_SECONDS,
                guard,
            )
            lock = self._copy_of_lock(folder, stamp)
            python = str(_python_of(folder))
            sync = [installer, "pip", "sync", "--quiet", "--require-hashes", "--python", python]
            environments.run_installer([*sync, str(lock)], _MAKE_SECONDS, guard)
            atomic_files.write_json(folder / _STAMP, stamp)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise self._unavailable(
                installer_errors.problem(error),
                installer_errors.remedy(
                    error,
                    connection=f"{_AGAIN} with a network",
                    package="leave this format out: its packages do not fit this system or Python",
                    other=f"mend that, then {_AGAIN}",
                ),
            ) from error

    def _copy_of_lock(self, folder: Path, stamp: dict[str, str]) -> Path:
        """Return a copy of the lock, which cannot change while it is installed.

        Raises:
            OSError: the lock is another one than that of the stamp, or cannot be copied.
        """
        lock = Path(shutil.copy(self.lock, folder))
        if atomic_files.sha256(lock) != stamp["lock_sha256"]:
            raise OSError(f"{self.lock.name} was changed meanwhile")
        return lock

    def _unavailable(self, problem: str, remedy: str) -> Unavailable:
        return Unavailable(f"environments/{self.name} cannot be installed: {problem}; {remedy}")


def identity_of(python: Path) -> str | None:
    """Return the identity of the environment of an interpreter; None if it is none of these."""
    folder = python.parent.parent
    stamp = _stamp_in(folder) if folder.parent == environments.ROOT else None
    if not isinstance(stamp, dict):
        return None
    name = folder.name.removesuffix(f"-{_digest(stamp)}")
    return f"{name}-{_digest(stamp)}"


def _without_platform(stamp: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in stamp.items() if key != "platform"}


def _digest(stamp: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(stamp, sort_keys=True).encode()).hexdigest()
    return digest[:_HASH_DIGITS]


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_whole(folder: Path, stamp: dict[str, str]) -> bool:
    # The interpreter is a link, which an update of the system can break.
    return _python_of(folder).exists() and bool(_stamp_in(folder) == stamp)


def _stamp_in(folder: Path) -> Any:
    try:
        return json.loads((folder / _STAMP).read_bytes())
    except (OSError, ValueError):
        return None
