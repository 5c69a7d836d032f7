"""Commands that make a run again, and programs that use its files.

A run folder may come from a stranger, so every word of a command is quoted again.
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
    """A command to paste into a shell, with a line that introduces it."""

    text: str
    command: str


class Usage(NamedTuple):
    """A program that classifies an image with an exported file.

    Args:
        name: the format.
        needs: the packages that it imports, with the versions that were measured.
        code: in Python.
        hashes: SHA-256 of each file; empty if it was not recorded.
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
    if commit and _COMMIT.fullmatch(commit):  # git could take any other text for an option
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
    """Return the program of each format that has one. All devices use the same file."""
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
    """Return the training command with each word quoted again; None if it is another program's.

    The file may come from a stranger, who can have appended another command.
    """
    try:
        words = shlex.split(command or "")
    except ValueError:
        return None
    is_training = words[:3] == ["python", "-m", "src.train"]
    return " ".join(map(quoting.shell, words)) if is_training else None
