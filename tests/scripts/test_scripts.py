"""The scripts: from any folder, and without touching an environment that is not theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted(
    path.name
    for path in (ROOT / "scripts").iterdir()
    if path.is_file() and not path.suffix and path.name not in {"environment", "lock"}
)
OF_THE_PROJECT = {"check", "test", "test_faults"}  # whose arguments are about the project itself
PYTHON = """#!/bin/sh
echo "in: $PWD"
echo "path: $PYTHONPATH"
echo "safe: ${PYTHONSAFEPATH-no}"
echo "words: $*"
"""


def make_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the scripts, with an environment whose Python only tells how it was started."""
    project = tmp_path / "the project"
    shutil.copytree(ROOT / "scripts", project / "scripts")
    (project / "requirements.lock").write_text("numpy==2.0\n")
    for tool in ("python", "ruff", "mypy"):
        make_program(project / ".venv" / "bin" / tool, PYTHON)
    shutil.copy(project / "requirements.lock", project / ".venv")
    make_program(tmp_path / "tools" / "python3", PYTHON)  # check_gpu takes the machine's own
    make_program(tmp_path / "tools" / "uv", '#!/bin/sh\necho "uv $*" >>"$UV_CALLS"\n')
    return project


def run(script: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    tools = script.parents[2] / "tools" if not script.is_symlink() else script.parent / "tools"
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    calls = str(folder / "uv_calls")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(script), *words],
        cwd=folder,
        env={**clean, "PATH": path, "UV_CALLS": calls},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's own folder, which has a src/ as many projects do."""
    own = tmp_path / "own work"
    (own / "src").mkdir(parents=True)
    return own


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_in_the_folder_that_it_is_called_from(
    project: Path, own: Path, name: str
) -> None:
    ended = run(project / "scripts" / name, own, "data.root=photos")
    assert ended.returncode == 0, ended.stderr
    told = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    assert told["in"] == str(project if name in OF_THE_PROJECT else own)
    if name not in OF_THE_PROJECT:
        assert told["words"].endswith("data.root=photos")
        assert told["path"].split(os.pathsep)[0] == str(project)  # before the user's own src/
        assert told["safe"] == "1"


def test_a_link_to_a_script_is_as_good(project: Path, own: Path) -> None:
    link = own.parent / "train"
    link.symlink_to(project / "scripts" / "train")
    ended = run(link, own, "model=resnet34")
    assert ended.stdout.splitlines()[-1] == "words: -m src.train model=resnet34"


def test_an_environment_that_a_script_did_not_make_is_left_alone(project: Path, own: Path) -> None:
    (project / ".venv" / "requirements.lock").unlink()
    ended = run(project / "scripts" / "train", own)
    assert ended.returncode == 1
    assert "expected none, or one that scripts/environment made" in ended.stderr
    assert not (own / "uv_calls").exists()


def test_an_environment_of_an_older_lock_is_made_again(project: Path, own: Path) -> None:
    (project / ".venv" / "requirements.lock").write_text("")
    assert run(project / "scripts" / "train", own).returncode == 0
    [call] = (own / "uv_calls").read_text().splitlines()
    assert call.startswith("uv pip sync")
    lock = (project / ".venv" / "requirements.lock").read_text()
    assert lock == (project / "requirements.lock").read_text()


def test_an_environment_is_made_where_there_is_none(project: Path, own: Path) -> None:
    python = (project / ".venv" / "bin" / "python").read_text()
    shutil.rmtree(project / ".venv")
    make = f'#!/bin/sh\necho "uv $*" >>"$UV_CALLS"\nmkdir -p \'{project}/.venv/bin\'\n'
    make += f"printf '{chr(37)}s' '{python}' >'{project}/.venv/bin/python'\n"
    make += f"chmod +x '{project}/.venv/bin/python'\n"
    make_program(project.parent / "tools" / "uv", make)
    assert run(project / "scripts" / "train", own).returncode == 0
    calls = (own / "uv_calls").read_text().splitlines()
    assert [call.split()[1] for call in calls] == ["venv", "pip"]
