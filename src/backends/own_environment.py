"""Environments of their own for runtimes whose packages conflict with those of this project.

Each has a committed lock, ``environments/NAME.lock``, with the versions and hashes of all its
packages. uv makes ``environments/NAME/`` at the first use. It is kept, and needs no network
afterwards. This process imports none of its packages: its interpreter runs our small programs,
which convert a file, and the worker processes, which open one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from src.backends.base import Unavailable
from src.errors import one_line
from src.system import atomic_files, environments
from src.system.limited_process import LimitedProcessError, run_limited

# Exit code of a program whose runtime cannot do what is asked for; its last line says why.
CANNOT = 3
_STAMP = "lightship.json"  # written last: an environment without it is not whole
_MAKE_SECONDS = 3600.0
_TOO_NEW = "3.14"  # the first Python that this project is not tested with
_LAST = 300  # characters of an installer's message
_MAX_BYTES = 16_000_000_000  # resident bytes of a program
_SECONDS = 1800.0


class ConversionError(Exception):
    """A program in an environment failed; the message is one line."""


@dataclass(frozen=True)
class OwnEnvironment:
    """An environment that is made at its first use.

    Args:
        name: of the folder and of the lock in ``environments/``.
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
    def folder(self) -> Path:
        """The folder of the environment."""
        return environments.ROOT / self.name

    @property
    def site_packages(self) -> Path:
        """The folder of its packages, once it is made."""
        # The Python there may be another one than this.
        return next(self.folder.glob("lib/python3.*/site-packages"), self.folder)

    @property
    def lock(self) -> Path:
        """The file of all packages with their versions and hashes."""
        return environments.ROOT / f"{self.name}.lock"

    def python(self) -> Path:
        """Return the interpreter; make the environment if there is none that is whole.

        An environment of another lock or of another version of Python is made again. Of two
        processes that need it at once, one waits until the other has made it.

        Raises:
            Unavailable: it cannot be made, for example without a network or without uv.
        """
        wanted = self._stamp()
        if not self._is_whole(wanted):
            try:
                with environments.making(self.folder) as guard:
                    if not self._is_whole(wanted):  # nobody made it in the meantime
                        self._make(wanted, guard)
            except OSError as error:
                raise self._unavailable(
                    f"{environments.ROOT}: {error.strerror}", "make that folder writable"
                ) from error
        return self.folder / "bin" / "python"

    def is_cause_of(self, reason: str) -> bool:
        """Return whether a row was skipped for the reason that this environment is missing."""
        return reason.startswith(f"environments/{self.name}")

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
            max_bytes: the limit of its resident memory.

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
        try:
            digest = hashlib.sha256(self.lock.read_bytes()).hexdigest()
        except OSError as error:
            raise Unavailable(
                f"environments/{self.lock.name} cannot be read ({error.strerror}); "
                "restore it from the repository"
            ) from error
        return {"lock_sha256": digest, "python": self._wanted_python}

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

    def _is_whole(self, wanted: dict[str, str]) -> bool:
        # The interpreter is a link, which an update of the system can break.
        if not (self.folder / "bin" / "python").exists():
            return False
        try:
            return bool(json.loads((self.folder / _STAMP).read_bytes()) == wanted)
        except (OSError, ValueError):
            return False

    def _make(self, stamp: dict[str, str], guard: int) -> None:
        installer = environments.uv()
        if installer is None:
            raise self._unavailable("uv is not installed", "install uv")
        shutil.rmtree(self.folder, ignore_errors=True)  # half made, or of another lock
        sys.stderr.write(
            f"installing environments/{self.name} once: about {self.size_bytes / 1e6:.0f} MB on "
            f"the disk, about {self.minutes} min; it needs no network afterwards\n"
        )
        try:
            environments.run_installer(
                [installer, "venv", "--quiet", "--python", self._interpreter, str(self.folder)],
                _MAKE_SECONDS,
                guard,
            )
            python = str(self.folder / "bin" / "python")
            sync = [installer, "pip", "sync", "--quiet", "--require-hashes", "--python", python]
            environments.run_installer([*sync, str(self.lock)], _MAKE_SECONDS, guard)
            atomic_files.write_json(self.folder / _STAMP, stamp)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            message = getattr(error, "stderr", None) or str(error)
            raise self._unavailable(
                one_line(str(message))[-_LAST:], "export or measure it again with a network"
            ) from error

    def _unavailable(self, problem: str, remedy: str) -> Unavailable:
        return Unavailable(f"environments/{self.name} cannot be installed: {problem}; {remedy}")
