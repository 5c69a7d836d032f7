"""The platform that installed packages are for, by the tags of their wheels (PEP 425)."""

from __future__ import annotations

import sysconfig
from pathlib import Path

_TAG = "Tag: "  # of a line in the file WHEEL of an installed package
_ANY = "any"  # platform of a wheel without machine code
_UNIVERSAL = "universal2"  # of macOS: for both of its processors


def name() -> str:
    """Return the name of this system and processor, as in ``linux-x86_64``."""
    return sysconfig.get_platform()


def fits(site: Path) -> bool:
    """Return True if all packages in a folder are for this platform.

    On a disk that machines share, the interpreter of an environment may exist on each of them.

    Args:
        site: the folder of the packages.
    """
    return all(map(_is_for_this_platform, site.glob("*.dist-info/WHEEL")))


def _is_for_this_platform(wheel: Path) -> bool:
    lines = wheel.read_text(encoding="utf-8", errors="replace").splitlines()
    tags = [line.removeprefix(_TAG) for line in lines if line.startswith(_TAG)]
    platforms = [platform for tag in tags for platform in tag.rpartition("-")[2].split(".")]
    return not platforms or any(map(_is_this, platforms))


def _is_this(tag: str) -> bool:
    """Return True for a tag such as ``manylinux_2_28_x86_64`` on ``linux-x86_64``."""
    system, _, machine = name().partition("-")
    machine = machine.rpartition("-")[2]  # without the version of macOS
    is_of_system = system in tag.partition("_")[0]
    return tag == _ANY or (is_of_system and tag.endswith((machine, _UNIVERSAL)))
