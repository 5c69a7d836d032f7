"""Short-lived programs that are missing, fail, hang or leave children behind."""

from __future__ import annotations

import ast
import os
import time
from pathlib import Path

import pytest

from src.system import subprocesses
from tests.conftest import ROOT

PROGRAMS = {
    "answers": ("echo one; echo two", "one\ntwo"),
    "says nothing": ("", ""),
    "fails": ("echo half; exit 3", None),
    "is killed": ("kill -9 $$", None),
    "hangs": ("sleep 60", None),
    "hangs after its answer": ("echo one; sleep 60", None),
    "hangs in what it started": ("sh -c 'sleep 60'; echo late", None),
    "closes its output and hangs": ("exec >&-; sleep 60", None),
    "leaves one behind that holds its output": ("sleep 5 & echo one", "one"),
    "asks a question": ("read answer; echo got $answer", "got"),
    "asks at the terminal": ("read answer < /dev/tty && echo got", None),
    "prints more than a pipe holds": ("yes | head -c 10000000", None),
    "prints other bytes": (r"printf '\351'", "\udce9"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_output_of_a_program_that(name: str) -> None:
    text, answer = PROGRAMS[name]
    assert subprocesses.output_of(["sh", "-c", text], seconds=0.5) == answer


def test_no_program_is_read_as_text_that_must_be_of_one_encoding() -> None:
    """A foreign program prints in its own encoding, and names files as they are on the disk."""
    strict = []
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        calls = ast.walk(ast.parse(text)) if "subprocess." in text else ()
        for node in calls:
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess."):
                names = {keyword.arg for keyword in node.keywords}
                if names & {"text", "encoding", "universal_newlines"} and "errors" not in names:
                    strict.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert strict == []


def test_output_of_a_missing_program_is_none(tmp_path: Path) -> None:
    assert subprocesses.output_of(["no-such-program"], seconds=5) is None
    assert subprocesses.output_of([str(tmp_path)], seconds=5) is None
    assert subprocesses.output_of(["pwd"], seconds=5, cwd=tmp_path / "gone") is None


def test_a_hanging_program_is_killed_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    assert (
        subprocesses.output_of(["sh", "-c", f"sleep 61 & echo $! > {note}; wait"], seconds=0.5)
        is None
    )
    pid = int(note.read_text())
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists():
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                return  # a zombie: it has ended, but its parent has not read the exit code
        time.sleep(0.05)
    pytest.fail("it still runs")
