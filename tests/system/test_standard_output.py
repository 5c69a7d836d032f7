"""Standard output without a reader, on a full disk, or in an encoding that lacks characters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

# Prints, does its work, and writes a file that shows whether the output had a reader.
PROGRAM = """
import os, sys, time
from src.system import standard_output
from src.cli.entry_point import run_command

def command():
    from rich.console import Console
    while sys.stdin.read(1):
        pass  # until the reader has left
    for number in range(3):
        print("caf\\u00e9 \\udce9", number)
        Console().print("rich", number)
        sys.stdout.write("part of a line")
        os.system("echo another program")
        print("warning", file=sys.stderr)
    with open("done", "w") as file:
        file.write(f"{standard_output.has_reader()}")

run_command(command)
"""

READERS: dict[str, tuple[dict[str, Any], bool]] = {
    "reads all": ({"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}, True),
    "leaves standard output": ({"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}, False),
    "leaves both": ({"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}, False),
}


@pytest.mark.parametrize("name", READERS)
def test_a_command_finishes_when_its_reader(name: str, tmp_path: Path) -> None:
    options, stays = READERS[name]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        text=True,
        **options,
    ) as process:
        assert process.stdin
        assert process.stdout
        if not stays:
            process.stdout.close()
        process.stdin.close()
        printed = process.stdout.read() if stays else ""
    assert process.returncode == 0
    assert (tmp_path / "done").read_text() == str(stays)
    if stays:
        assert printed.startswith(r"caf\xe9 \udce9 0")
        assert printed.count("rich") == 3


def test_standard_output_on_a_full_disk_is_one_line() -> None:
    command = "from src.cli.entry_point import run_command; run_command(lambda: print('x'))"
    with Path("/dev/full").open("w", encoding="ascii") as full:
        ended = subprocess.run(
            [sys.executable, "-c", command],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: the disk is full; make room")
    assert ended.stderr.count("\n") == 1


def test_a_command_without_standard_output_exits_with_0() -> None:
    command = (
        f"{sys.executable} -c 'from src.cli.entry_point import run_command; run_command(print)' >&-"
    )
    ended = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
