"""Environments of their own for other versions of a runtime, made once by uv or by venv and pip."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from src.errors import UsageError
from src.system import atomic_files, installer_errors, waiting_lock, wheel_platform

ROOT = Path(__file__).parents[2] / "environments"  # only locks in it are committed
_RECORD = "environment.json"  # written last: an environment without it is not whole
_SECONDS = 1800.0
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# A name and a version of PEP 440 only: no option, path or address for the installer.
_REQUIREMENT = re.compile(rf"({_NAME})==([0-9][A-Za-z0-9.+!]*)")


class Requirement(NamedTuple):
    """One version of a package."""

    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


class Environment(NamedTuple):
    """An environment that is whole.

    Args:
        python: its interpreter.
        packages: the installed versions by name.
    """

    python: Path
    packages: dict[str, str]


def parse(argument: str, text: str) -> Requirement:
    """Return the requirement of ``package==version``.

    Raises:
        UsageError: the text is anything else.
    """
    match = _REQUIREMENT.fullmatch(text.strip())
    if not match or not _is_version(match[2]):
        raise UsageError(
            argument,
            expected="a package and one version of it, as in onnxruntime==1.30.0",
            found=text,
            remedy="name them without spaces, paths or further options",
        )
    return Requirement(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2])


def _is_version(text: str) -> bool:
    from packaging.version import InvalidVersion, Version  # not in every environment of a format

    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def made(requirement: Requirement, others: Mapping[str, str]) -> Environment:
    """Return an environment with one version of a package; make it at its first use.

    It lies in ``environments/`` of this project, is kept, and needs no network afterwards.

    Args:
        requirement: the package.
        others: versions of further packages by name, which are the same as here.

    Raises:
        UsageError: it cannot be made, for example without a network.
    """
    wanted = {**others, requirement.package: requirement.version}
    folder = _folder_of(requirement, [sys.version_info[:2], wheel_platform.name(), wanted])
    if not _is_whole(folder):
        # One of an earlier version of this project, which needs no network.
        earlier = _folder_of(requirement, [sys.version_info[:2], wanted])
        if _is_whole(earlier) and wheel_platform.fits(site_packages(_python_of(earlier))):
            folder = earlier
    if not _is_whole(folder):
        try:
            with making(folder) as guard:
                if not _is_whole(folder):  # nobody made it in the meantime
                    shutil.rmtree(folder, ignore_errors=True)  # begun and not finished
                    _make(folder, requirement, wanted, guard)
        except OSError as error:
            raise UsageError(
                str(requirement),
                expected=f"a folder {ROOT} that can be written",
                found=f"{error.filename or ROOT}: {error.strerror}",
                remedy=installer_errors.remedy_for_folder(error),
            ) from error
    packages: dict[str, str] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    return Environment(_python_of(folder), packages)


def _folder_of(requirement: Requirement, content: list[object]) -> Path:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    return ROOT / f"{requirement.package}-{requirement.version}-{digest}"


def site_packages(python: Path) -> Path:
    """Return the folder of the packages that the interpreter of an environment imports."""
    # The Python there may be another one than this.
    folder = python.parent.parent
    return next(folder.glob("lib/python3.*/site-packages"), folder)


def version_of(python: Path) -> str:
    """Return the version of the interpreter of an environment."""
    text = (python.parent.parent / "pyvenv.cfg").read_text(encoding="utf-8")
    facts = dict(line.replace(" ", "").split("=", 1) for line in text.splitlines() if "=" in line)
    return facts.get("version_info") or facts["version"]  # uv writes the first, venv the second


def _is_whole(folder: Path) -> bool:
    # The interpreter is a link, which an update of the system can break.
    return (folder / _RECORD).is_file() and _python_of(folder).exists()


@contextlib.contextmanager
def making(folder: Path) -> Iterator[int]:
    """Wait until no other command makes an environment; yield the descriptor of the lock.

    A line on standard error tells the wait. An installer that inherits the descriptor holds the
    lock until it ends, even if this process is killed before. On a file system without locks there
    is no waiting.

    Raises:
        OSError: the folder of the environments, or the file of the lock, cannot be written.
    """
    ROOT.mkdir(exist_ok=True)
    lock = ROOT / f"{folder.name}.making"
    message = (
        f"waiting for another command, which makes environments/{folder.name} and holds the lock "
        f"environments/{lock.name}\n"
    )
    with waiting_lock.held(lock, lambda: sys.stderr.write(message)) as descriptor:
        yield descriptor


def can_be_written() -> bool:
    """Return True if an environment can be made in the folder of all environments."""
    return os.access(ROOT if ROOT.exists() else ROOT.parent, os.W_OK)


def variables_of_another() -> dict[str, str]:
    """Return the environment variables of a process with the interpreter of another environment.

    The user's modules are left out: ``PYTHONPATH`` goes before the packages of an environment, so
    another version of a runtime would answer than the one that is installed there.
    """
    return {**without_python(), "PYTHONPATH": str(ROOT.parent), "PYTHONNOUSERSITE": "1"}


def without_python() -> dict[str, str]:
    """Return the environment variables but those of Python, which are for this interpreter."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def uv() -> str | None:
    """Return the uv on the PATH, or the one that ``scripts/environment`` fetched; None without."""
    fetched = ROOT.parent / ".uv" / "bin" / "uv"
    return shutil.which("uv") or (str(fetched) if fetched.is_file() else None)


def _make(folder: Path, requirement: Requirement, wanted: Mapping[str, str], guard: int) -> None:
    requirements = [f"{name}=={version}" for name, version in wanted.items()]
    python = str(_python_of(folder))
    installer = uv()
    if installer:
        _run(
            requirement,
            guard,
            [installer, "venv", "--quiet", "--python", sys.executable, str(folder)],
        )
        install = [installer, "pip", "install", "--quiet", "--python", python, *requirements]
    else:
        _run(requirement, guard, [sys.executable, "-m", "venv", str(folder)])
        install = [python, "-m", "pip", "install", "--quiet", *requirements]
    _run(requirement, guard, install)
    listed = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    )
    atomic_files.write_json(
        folder / _RECORD, json.loads(_run(requirement, guard, [python, "-c", listed]))
    )


def run_installer(command: list[str], seconds: float, guard: int) -> str:
    """Run a command that makes or reads an environment, and return what it prints.

    Args:
        command: the installer and its arguments.
        seconds: the time limit.
        guard: descriptor of the lock, which the command holds as well.

    Raises:
        OSError: it cannot be started.
        subprocess.SubprocessError: it failed or was not done in time.
    """
    ended = subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",  # as uv prints, whatever the locale
        errors="replace",
        timeout=seconds,
        pass_fds=[guard],
        # A virtual environment that is active must not decide where packages go.
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
    )
    return ended.stdout


def _run(requirement: Requirement, guard: int, command: list[str]) -> str:
    try:
        return run_installer(command, _SECONDS, guard)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(
            str(requirement),
            expected="a version that can be installed in an environment of its own",
            found=installer_errors.problem(error),
            remedy=installer_errors.remedy(
                error,
                connection="see that the package index can be reached",
                package="name another version",
                other="name another version, or see that the package index can be reached",
            ),
        ) from error


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"
