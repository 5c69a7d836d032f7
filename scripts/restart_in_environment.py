"""Restart the program of this folder that imports this module in the project's environment.

Import it before every package that is not in the standard library. It changes nothing where the
project's folder is the first entry of PYTHONPATH already, as ``scripts/environment`` sets it, and
where another program than one of this folder imports it, as a test does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent


def restart() -> None:
    """Replace this process by ``scripts/environment``, which runs the same program in ``.venv``."""
    program = Path(getattr(sys.modules["__main__"], "__file__", None) or "-").resolve()
    first = os.environ.get("PYTHONPATH", "").split(os.pathsep)[0]
    if program.parent != SCRIPTS or (first and Path(first).resolve() == SCRIPTS.parent):
        return
    command = ["bash", str(SCRIPTS / "environment"), str(program), *sys.argv[1:]]
    os.execvp("bash", command)  # noqa: S606  # a list of words, no shell line


restart()
