"""The packages that a machine without a network lacks, as wheels to take there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gpu.plan import ROOT

MOST_BYTES = 60_000_000
# A machine with a GPU has its own builds of these, and they are too large to take along.
OWN = ("torch", "torchvision", "triton", "onnxruntime-gpu")
# The kit measures and tests; it does not lint, and its tests need no second process.
NEEDED_TO_TEST = ("pytest",)
PLATFORMS = tuple(
    f"manylinux{tag}_x86_64" for tag in ("_2_28", "_2_27", "_2_17", "2014", "1", "_2_24", "_2_31")
)


def read(path: Path | None) -> dict[str, str]:
    """An inventory, by name; without one, only torch and torchvision are taken to be there."""
    if path is None:
        return dict.fromkeys(OWN, "")
    lines = path.read_text(encoding="utf-8").split()
    pairs = (line.partition("==") for line in lines)
    return {canonicalize_name(name): version for name, _, version in pairs}


def missing(has: dict[str, str], python: str) -> list[str]:
    """What the kit needs and the other machine lacks, ``name==version`` as locked here.

    Args:
        has: the packages that are there, by name, with their versions where these are known.
        python: its version, for requirements that depend on it.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pending = [
        *project["dependencies"],
        *project["optional-dependencies"]["gpu"],
        *NEEDED_TO_TEST,
    ]
    environment = {"python_version": python, "platform_machine": "x86_64", "sys_platform": "linux"}
    locked = versions()
    wanted: dict[str, str] = {}
    looked_at: set[str] = set()
    while pending:
        requirement = Requirement(pending.pop())
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate(environment)
        if not applies or name in OWN or str(requirement) in looked_at:
            continue
        looked_at.add(str(requirement))
        there = has.get(name)
        lacks = there is None or not (there == "" or requirement.specifier.contains(there))
        if lacks:
            wanted[name] = f"{name}=={locked[name]}" if name in locked else name
        if lacks or requirement.extras:
            pending += needs_of(name, requirement.extras, environment)
    return [wanted[name] for name in sorted(wanted)]


def needs_of(name: str, extras: Iterable[str], environment: dict[str, str]) -> list[str]:
    """Return what an installed package requires in ``environment``, without its extras."""
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
        ):
            requirement.marker = None
            found.append(str(requirement))
    return found


def versions() -> dict[str, str]:
    """The locked version of each package."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    }


def python_with_pip() -> str:
    """This Python, or the one on the PATH where this one was made without pip, as uv makes it."""
    if importlib.util.find_spec("pip"):
        return sys.executable
    return shutil.which("python3") or sys.exit("check_gpu: pip is needed to download wheels")


def fetch(folder: Path, has: dict[str, str], python: str) -> None:
    """Download the missing wheels into ``folder`` and say how to install them there."""
    names = missing(has, python)
    print(f"missing there: {', '.join(names) or 'nothing'}")
    if not names:
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(python_with_pip(), "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", python),
        *(word for platform in PLATFORMS for word in ("--platform", platform)),
        *("--dest", str(folder), *names),
    ]
    if subprocess.run(command, check=False).returncode:
        sys.exit("check_gpu: a wheel could not be downloaded; pip and a network are needed")
    taken = sum(path.stat().st_size for path in folder.glob("*.whl"))
    print(f"{taken / 1e6:.1f} MB in {folder}; install them there with")
    print(f"  python3 -m pip install --no-index --no-deps {folder}/*.whl")
    if taken > MOST_BYTES:
        sys.exit(f"check_gpu: more than {MOST_BYTES / 1e6:.0f} MB; name what is there with --has")
