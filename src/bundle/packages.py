"""The Python packages that a bundle needs: installed versions, ranges, licences.

All is read from the metadata of what is installed here, or in the environment of its own that a
format has; nothing is asked over the network.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from src.bundle import package_metadata
from src.errors import UsageError

PROGRAM = ("numpy", "pillow")  # that predict.py imports itself
PYTHON = (3, 10)  # the oldest that predict.py runs with
_LARGEST_PATCH = 99_999  # of a version; a larger number in its place is a date
_INDEX = "https://download.pytorch.org/whl/{build}"  # of the builds that are not on PyPI
_BUILDS = re.compile(r"(?:torch|torchaudio|torchvision)==([^+]+)\+(cpu|cu[0-9]+|rocm[0-9.]+|xpu)")
_GPU = "-gpu"  # end of the name of a package that brings the same modules, as onnxruntime-gpu does
_NIGHTLY = ".dev"  # in a version; these builds have indexes of their own


def lock_command(requirements: Iterable[str]) -> str:
    """Return the command that installs a lock with these requirements, ``name==version`` each.

    PyPI has one build of a release of PyTorch, for Linux that with CUDA. The others are in indexes
    of PyTorch, and their name is the local part of the version.
    """
    indexes = "".join(f"--extra-index-url {index} " for index in build_indexes(requirements))
    return f"pip install --no-deps {indexes}-r requirements.lock"


def build_indexes(requirements: Iterable[str]) -> list[str]:
    """Return the indexes of PyTorch that have the builds in a lock; mostly none."""
    matches = filter(None, map(_BUILDS.fullmatch, requirements))
    return sorted(
        {
            _INDEX.format(build=f"nightly/{build}" if _NIGHTLY in version else build)
            for version, build in (match.groups() for match in matches)
        }
    )


@dataclass(frozen=True)
class Package:
    """An installed package.

    Args:
        name: as pip calls it, in its canonical form.
        version: without the local part, such as ``+cpu``, which no range can ask for.
        licence: as its metadata name it; None if they do not.
        requires: names of the packages that it needs here.
        absent: requirements of it that are not installed here.
        build: the local part of the version; None if there is none.
        python: the versions of Python that it takes, as in ``>=3.11``; None for all.
    """

    name: str
    version: str
    licence: str | None
    requires: tuple[str, ...]
    absent: tuple[str, ...]
    build: str | None = None
    python: SpecifierSet | None = None

    @property
    def locked(self) -> str:
        """The requirement of :attr:`exact`."""
        return f"{self.name}=={self.exact}"

    @property
    def exact(self) -> str:
        """The version, with the build if PyTorch's index has it.

        Other local versions are those of one site, whose wheels nobody else can get.
        """
        return self.version if self.index is None else f"{self.version}+{self.build}"

    @property
    def index(self) -> str | None:
        """The index of PyTorch that has the build; None for a package that PyPI has."""
        return next(iter(build_indexes([f"{self.name}=={self.version}+{self.build}"])), None)

    def difference(self, measured: Mapping[str, str]) -> str | None:
        """Return the measured version and this one in words; None if they are the same release.

        Two builds of a release, such as ``+cpu``, compute the same on a CPU.

        Args:
            measured: the versions of a measurement, by canonical name.
        """
        version = measured.get(self.name) or measured.get(f"{self.name}{_GPU}")
        if version is None or _release(version) in {None, self.version}:
            return None
        return f"{self.name} {version} instead of {self.version}"

    def range(self, *, same_minor: bool) -> str:
        """Return the requirement: from this minor version on, below the next major one."""
        release = Version(self.version).release
        major, minor = release[0], release[1] if len(release) > 1 else 0
        if same_minor:
            return f"{self.name}=={major}.{minor}.*"
        # A date in the third place changes where another package would have a new minor version.
        dated = release[:3] if max(release[2:3], default=0) > _LARGEST_PATCH else (major, minor)
        return f"{self.name}>={'.'.join(map(str, dated))},<{major + 1}"


@dataclass(frozen=True)
class Software:
    """The packages of a bundle.

    Args:
        direct: those that the program and the runtime import, sorted.
        every: the same with all that they need in turn, sorted.
        same_minor: names of those that are needed in this minor version.
        python: version of the Python that has them.
    """

    direct: tuple[Package, ...]
    every: tuple[Package, ...]
    same_minor: frozenset[str] = frozenset()
    python: str = field(default_factory=platform.python_version)

    def versions(self) -> dict[str, str]:
        """Return the version of each package by its name, as :meth:`lock` has it."""
        return {package.name: package.exact for package in self.every}

    def differences(self, measured: Mapping[str, str]) -> list[str]:
        """Return the direct packages whose version is not that of a measurement, in words.

        Args:
            measured: the versions that the measurement has recorded, by name. A name that it lacks
                is not compared: an earlier version of this project recorded fewer.
        """
        recorded: dict[str, str] = {
            canonicalize_name(name): version for name, version in measured.items()
        }
        return [
            difference
            for package in self.direct
            if (difference := package.difference(recorded)) is not None
        ]

    @property
    def least_python(self) -> str:
        """The oldest Python that the program and all packages take, as in ``3.11``.

        Each package is taken as it is here; at most, it is the Python that has them.
        """
        takes = SpecifierSet(",".join(str(package.python or "") for package in self.every))
        major, newest = map(int, self.python.split(".")[:2])  # of a build from sources: 3.12.0+
        minors = range(PYTHON[1], newest)
        # A bound such as >=3.10.2 needs a later release of that version only.
        fitting = (minor for minor in minors if takes.contains(f"{major}.{minor}.{_LARGEST_PATCH}"))
        return f"{major}.{next(fitting, newest)}"

    @property
    def lock_command(self) -> str:
        """The command that installs :meth:`lock`."""
        return lock_command(package.locked for package in self.every)

    def requirements(self) -> str:
        """Return the content of ``requirements.txt``: ranges of what is imported."""
        return "".join(
            f"{package.range(same_minor=package.name in self.same_minor)}\n"
            for package in self.direct
        )

    def lock(self) -> str:
        """Return the content of ``requirements.lock``: the exact versions of all."""
        requirements = [package.locked for package in self.every]
        lines = [f"{requirement}\n" for requirement in requirements]
        if build_indexes(requirements):
            lines.append(f"# A build that PyPI does not have: {self.lock_command}\n")
        lines += [
            f"# {package.name} also asks for {requirement}, which was not installed\n"
            for package in self.every
            for requirement in package.absent
        ]
        return "".join(lines)


def _release(version: str) -> str | None:
    """Return a version without its local part; None for a text that is no version."""
    try:
        return Version(version).public
    except InvalidVersion:
        return None  # as an interrupted installation leaves it


def installed(
    names: Sequence[str],
    *,
    same_minor: bool,
    pinned: Collection[str] = (),
    site: Path | None = None,
    python: str | None = None,
) -> Software:
    """Return the packages ``names`` and ``PROGRAM``, with all that they need.

    Args:
        names: as pip calls them.
        same_minor: the model runs with this minor version of them only.
        pinned: canonical names of those for which this holds in any case.
        site: the folder of another environment's packages; None for this environment.
        python: the version of Python in it; None for this Python.

    Raises:
        UsageError: one is not installed.
    """
    direct: list[str] = sorted({canonicalize_name(name) for name in (*names, *PROGRAM)})
    extras: dict[str, set[str]] = {name: set() for name in direct}
    found: dict[str, Package] = {}
    pending = list(direct)
    while pending:
        name = pending.pop()
        found[name], asked = _package(name, extras[name], site)
        for other, wanted in asked.items():
            known = extras.get(other)
            if known is None or not wanted <= known:
                extras[other] = (known or set()) | wanted
                pending.append(other)
    return Software(
        tuple(found[name] for name in direct),
        tuple(found[name] for name in sorted(found)),
        frozenset(direct) - set(PROGRAM) if same_minor else frozenset(pinned),
        python or platform.python_version(),
    )


def _package(
    name: str, extras: Collection[str], site: Path | None
) -> tuple[Package, dict[str, set[str]]]:
    """Return a package with these extras, and the extras of each package that it needs."""
    distribution = package_metadata.distribution(name, site)
    if distribution is None:
        raise UsageError(
            "format",
            expected=f"the package {name}, whose version the bundle names",
            found="none installed",
            remedy=f"pip install {name}",
        )
    asked: dict[str, set[str]] = {}
    absent = []
    for requirement in map(Requirement, distribution.requires or ()):
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        if package_metadata.distribution(requirement.name, site) is None:
            absent.append(str(requirement).partition(";")[0].strip())
        else:
            asked.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    version = Version(distribution.version)
    package = Package(
        name,
        version.public,
        package_metadata.licence(distribution.metadata),
        tuple(sorted(asked)),
        tuple(sorted(absent)),
        version.local,
        package_metadata.pythons(distribution.metadata),
    )
    return package, asked
