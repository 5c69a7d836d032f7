"""Files and folders that options name."""

from __future__ import annotations

import os
from pathlib import Path

from src.system import atomic_files

# Last parts of the names of options that are paths.
OF_PATHS = {"root", "file", "path", "folder", "weights", "cache_dir"}


def named_file(word: str) -> list[str]:
    """Return the place of a file or folder that a word names, and the hash of a file.

    A value is a file if there is one, and a folder if it is written as one: ``benchmark=forecast``
    does not become another word when a folder with that name is made.
    """
    name, _, value = word.partition("=")
    text = value or word
    is_path = os.sep in text or text.startswith((".", "~")) or is_of_path(name)
    try:
        path = Path(text).expanduser()
        if path.is_file():
            return [str(path.resolve()), atomic_files.sha256(path)]
        return [str(path.resolve())] if is_path else []
    except (OSError, RuntimeError, ValueError):  # the training will say so
        return []


def is_of_path(name: str) -> bool:
    """Return True if an option is a path by its name."""
    return name.rpartition(".")[2] in OF_PATHS


def is_file(text: str) -> bool:
    """Return True if a value is the path of a file that is there."""
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False
