"""The cause for which a runtime cannot open a file of a bundle, where it can be known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:  # a part of a package
    from .decoder_names import PACKAGES
    from .file_hash import sha256_of
    from .lfs_pointer import advice
else:  # in the folder of a model
    from decoder_names import PACKAGES
    from file_hash import sha256_of
    from lfs_pointer import advice

# Packages that read no model file.
OTHERS = {"numpy", "pillow", "pillow-heif", *(package for _, package in PACKAGES.values())}


def cause_in_words(folder: Path, packed: Mapping[str, str]) -> str:
    """Return the end of a message on a model that cannot be opened; empty if no cause is known.

    Args:
        folder: of the unpacked bundle.
        packed: SHA-256 of each file of the model when it was packed, by name.
    """
    pointers = filter(None, (advice(folder / name) for name in packed))
    return next(pointers, "") or _other_files(folder, packed) or _other_versions(folder)


def _other_files(folder: Path, packed: Mapping[str, str]) -> str:
    """Name the files that are not those that were packed, as after a copy that was cut short."""
    try:
        others = [name for name, sha256 in packed.items() if sha256_of(folder / name) != sha256]
    except OSError:
        return ""  # the message of the runtime is about that
    if not others:
        return ""
    return f"; not the file that was packed: {', '.join(others)}; unpack the zip file again"


def _other_versions(folder: Path) -> str:
    """Name the runtime's packages that are older or newer here than where the file was packed.

    An older runtime refuses a newer file in words of its own, such as those of an operator.
    """
    try:
        asked = (folder / "requirements.txt").read_text(encoding="utf-8")
        lines = (folder / "requirements.lock").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    runtime = set(re.findall(r"^[\w.-]+", asked, re.MULTILINE)) - OTHERS
    others, wanted = [], []
    for name, _, locked in (line.partition("==") for line in lines):
        if name not in runtime or not locked:
            continue
        packed = locked.partition("+")[0]
        try:
            here = str(version(name) or packed)  # None from damaged metadata, before Python 3.12
        except PackageNotFoundError:
            continue  # another package may bring the same modules
        if here.partition("+")[0] != packed:
            others.append(f"{name} {packed}, and here is {here}")
            wanted.append(f"{name}=={packed}")
    if not others:
        return ""
    return f"; it was packed with {'; '.join(others)}: pip install {' '.join(wanted)}"
