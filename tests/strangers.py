"""What users have in their folders, which no command of ours may touch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT

# The names that ours look like, or that earlier versions took for ours.
FOLDERS = (
    ".git",
    ".venv",
    ".deadbeef.x1",
    ".onnx.unfinished-x1y2z3",
    ".eager.lightship-unfinished-0123456789abcdef",  # as ours, but without a lock beside it
    "0123456789abcdef0123456789abcdef",
    "empty.pictures",
    "~",
)
FILES = (
    ".env",
    ".best.ckpt.unfinished-8chars__",
    ".notes.lightship-unfinished-essay.md",
    "lock.txt",
    "notes.txt",
)


def strangers_in(folder: Path) -> None:
    """Fill a folder with them: files, folders with files, links and a pipe."""
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "precious").write_text(name)
    for name in FILES:
        (folder / name).write_text(name)
    for name in ("link", "link.pictures", ".x.lightship-unfinished-00000000000000ff"):
        (folder / name).symlink_to(folder / ".git")
    os.mkfifo(folder / ".x.lightship-unfinished-00000000000000fe")


def contents(folder: Path, without: Sequence[Path] = ()) -> dict[str, str]:
    """Every path below a folder with what it is, to compare before with after."""
    return {
        str(path.relative_to(folder)): _what(path)
        for path in sorted(folder.rglob("*"))
        if not any(path.absolute().is_relative_to(each.absolute()) for each in without)
    }


def _what(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return path.read_text(errors="replace") if path.is_file() else "folder or pipe"


_KILLED = """
import os, sys
from pathlib import Path
from src.system import partial_files
with partial_files.new_folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


def leave_unfinished(place: Path) -> Path:
    """The folder that a killed process leaves beside ``place``."""
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, str(place)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Path(ended.stdout.strip())
