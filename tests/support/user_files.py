"""Files and folders of users that no command may touch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT

# Names similar to Lightship's own, or that earlier versions confused with them.
FOLDERS = (
    ".git",
    ".venv",
    ".deadbeef.x1",
    ".onnx.unfinished-x1y2z3",
    ".eager.lightship-unfinished-0123456789abcdef",  # Lightship's pattern, but without a lock
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


def add_user_files(folder: Path) -> None:
    """Add files, folders with files, links and a pipe to a folder."""
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "precious").write_text(name)
    for name in FILES:
        (folder / name).write_text(name)
    for name in ("link", "link.pictures", ".x.lightship-unfinished-00000000000000ff"):
        (folder / name).symlink_to(folder / ".git")
    os.mkfifo(folder / ".x.lightship-unfinished-00000000000000fe")


def contents(folder: Path, without: Sequence[Path] = ()) -> dict[str, str]:
    """Return every path below a folder with its content, to compare before and after."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if not any(path.absolute().is_relative_to(excluded.absolute()) for excluded in without)
    }


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return path.read_text(errors="replace") if path.is_file() else "folder or pipe"


_KILLED_PROGRAM = """
import os, sys
from pathlib import Path
from src.system import partial_files
with partial_files.new_folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


def leave_unfinished(place: Path) -> Path:
    """Return the unfinished folder that a killed process leaves beside ``place``."""
    process = subprocess.run(
        [sys.executable, "-c", _KILLED_PROGRAM, str(place)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Path(process.stdout.strip())
