"""Descriptions of fake machines: creation, storage and display in a page."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.benchmark.environment import description
from src.run.circumstances import Environment
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.reading import convert
from src.run.results import Results
from tests.report.pages import markdown_page
from tests.report.planted import results, row
from tests.support import fake_machines


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    fake_machines.clear_caches()
    yield
    fake_machines.clear_caches()


@pytest.mark.parametrize("name", fake_machines.MACHINES)
def test_the_description_of_any_machine_is_written_and_read_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_machines.patch_machine(fake_machines.MACHINES[name], tmp_path / "machine", monkeypatch)
    described = description.describe(threads=1)
    assert (
        convert(json.loads(json.dumps(as_dict(described), allow_nan=False)), Environment)
        == described
    )
    run = Run(tmp_path / "resnet34" / "version_0")
    run.folder.mkdir(parents=True)
    measured = results(row("eager"), row("onnx")) | {"environment": as_dict(described)}
    run.write_benchmark(convert(measured, Results), f"{described.cpu} 1 threads")
    written = run.read_benchmark()
    assert written.environment == described
    assert described.cpu in markdown_page(written)


def test_an_unknown_number_of_cores_is_reported_as_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    described = description.describe(threads=1)
    convert(as_dict(described), Environment)
    page = markdown_page(results(row("eager")) | {"environment": as_dict(described)})
    assert "usable of an unknown number of logical cores" in page


def git(folder: Path, *words: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    ended = subprocess.run(
        ["git", *identity, *words],
        cwd=folder,
        env=clean,
        check=True,
        capture_output=True,
        text=True,
    )
    return ended.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A repository with a commit, whose folder has a space; and the commit."""
    folder = tmp_path / "a repository"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder, git(folder, "rev-parse", "HEAD")


def test_the_commit_is_this_projects_own(
    repository: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, commit = repository
    monkeypatch.setattr(description, "_ROOT", folder)
    assert description.git_commit() == commit
    inside = folder / "site-packages"
    inside.mkdir()
    monkeypatch.setattr(description, "_ROOT", inside)
    assert description.git_commit() is None  # installed within a repository of somebody's


def test_a_git_hook_of_another_repository_does_not_change_the_commit(
    repository: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, commit = repository
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "two")
    monkeypatch.setattr(description, "_ROOT", folder)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.chdir(other)
    assert description.git_commit() == commit


GITS = {
    "hangs": "sleep 60",
    "hangs in a program of its own": "sh -c 'sleep 60'; true",
    "asks for a password": "read password < /dev/tty; echo /; echo $password",
    "says something else": "echo usage: git",
    "says where it is and no commit": 'pwd; echo "HEAD"',
    "refuses a folder of somebody else": "echo 'fatal: detected dubious ownership' >&2; exit 128",
    "says nothing": "true",
}


@pytest.mark.parametrize("name", GITS)
def test_a_failing_git_leaves_the_commit_unknown(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\n{GITS[name]}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(description, "_GIT_SECONDS", 0.3)
    assert description.describe(threads=1).git_commit is None
