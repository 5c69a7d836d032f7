"""The arguments that the parts share, and how a part keeps what it knows."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """The parser of a part."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    found.add_argument("--device", choices=("cpu", "cuda"), required=True)
    found.add_argument("--image-size", type=int, required=True, help="pixels")
    found.add_argument("--models", nargs="+", default=[])
    found.add_argument("--runs", type=Path, help="the folder of the runs")
    return found


def keep(path: Path, content: dict[str, Any]) -> None:
    """Write the JSON file whole or not at all: the part may be stopped at any time."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)


def logged(command: Sequence[str], log: Path) -> int:
    """Run a command; its exit code. Its lines go to ``log``, each after the seconds so far."""
    started = time.monotonic()
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(f"{time.monotonic() - started:6.1f} {line}")
            file.flush()
    return process.returncode
