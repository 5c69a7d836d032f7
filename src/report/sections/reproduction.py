"""Commands that make a run again, and programs that use its files.

A run may be anybody's: each command is composed of words that are quoted anew.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from src.report.document import Fact
from src.run.folder import LOG_FOLDER
from src.run.results import Results
from src.system import quoting

_COMMIT = re.compile(r"[0-9a-f]{6,64}")


class Step(NamedTuple):
    """A command to paste into a shell, below a line on it."""

    text: str
    command: str


class Usage(NamedTuple):
    """A program that classifies an image with an exported file.

    Args:
        name: the format.
        needs: the packages that it imports, with the versions that were measured.
        code: in Python.
        hashes: SHA-256 by file; an empty text where none was kept.
    """

    name: str
    needs: str
    code: str
    hashes: list[Fact]


def steps(results: Results) -> list[Step]:
    """Return the commands that train, measure and report again."""
    folder = f"{LOG_FOLDER}/{results.run}"
    shown = []
    commit = results.environment.git_commit
    if commit and _COMMIT.fullmatch(commit):  # anything else may be an option of git's
        shown.append(Step("The code:", f"git checkout {commit}"))
    if command := _training(results.command):
        shown.append(Step("As it was typed:", command))
    return [
        *shown,
        Step(
            "With every option as it was, from the configuration that the run keeps:",
            f"python -m src.train fit --config {quoting.shell(f'{folder}/config.yaml')}",
        ),
        Step(
            "Only the measurement, and only this page:",
            f"python -m src.benchmark {quoting.shell(folder)}\n"
            f"python -m src.report {quoting.shell(folder)}",
        ),
    ]


def usages(results: Results) -> list[Usage]:
    """Return a program for each format that has one: on every device it is the same file."""
    rows = {row.format: (row, row.usage) for row in results.rows if row.usage and row.files}
    packages = results.environment.packages
    return [
        Usage(
            name,
            ", ".join(
                f"{package} {packages.get(package, '')}".strip()
                for package in (*row.runs_with, "numpy", "pillow")
            ),
            usage.replace(
                "{folder}", quoting.in_python(f"{LOG_FOLDER}/{results.run}/exports/{name}")
            ),
            [Fact(path, digest or "") for path, digest in (row.sha256 or {}).items()],
        )
        for name, (row, usage) in rows.items()
    ]


def _training(command: str | None) -> str | None:
    """Return a command of ours with each word quoted anew; None if it is another program's.

    Whoever wrote the file may have put another command behind it.
    """
    try:
        words = shlex.split(command or "")
    except ValueError:
        return None
    ours = words[:2] == ["python", "-m"] and words[2:3] == ["src.train"]
    return " ".join(map(quoting.shell, words)) if ours else None
