"""Command lines of this project that a user can type."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

# Environment variable that scripts/environment sets for a program that it starts: the folder of
# the scripts. The python on the PATH of their user need not have the project's packages.
SCRIPTS = "LIGHTSHIP_SCRIPTS"


def typed(module: str, words: Sequence[str] = ()) -> str:
    """Return the command line of a module, quoted for a shell, as the user started this process.

    Args:
        module: such as ``src.train``.
        words: of the command line.
    """
    folder = os.environ.get(SCRIPTS)
    if folder is None:
        program = ["python", "-m", module]
    elif module == "src.train":
        program = [_from_here(Path(folder, "train"))]
    else:
        program = [_from_here(Path(folder, "environment")), "-m", module]
    return shlex.join([*program, *words])


def _from_here(script: Path) -> str:
    """Return a path relative to the working folder if it lies below that."""
    relative = os.path.relpath(script)
    if relative.startswith(os.pardir):
        return str(script)
    return relative if os.sep in relative else f"{os.curdir}{os.sep}{relative}"
