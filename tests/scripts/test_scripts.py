"""The scripts: from any folder, and without touching an environment that is not theirs."""

from __future__ import annotations

import ast
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAMS = sorted(
    path.name
    for path in (ROOT / "scripts").iterdir()
    if path.is_file() and os.access(path, os.X_OK)
)
SCRIPTS = [name for name in PROGRAMS if name not in {"environment", "lock"}]
PYTHON_PROGRAMS = [name for name in PROGRAMS if name.endswith(".py")]
IN_THIS_PROCESS = [  # they import torch
    name for name in PYTHON_PROGRAMS if "from src" in (ROOT / "scripts" / name).read_text("utf-8")
]
OF_THE_PROJECT = {"check", "test", "test_faults"}  # whose arguments are about the project itself
SYSTEM_PYTHON = (3, 9)  # macOS's: it parses a script before it restarts it in the environment
LOADER = Path("src", "tensorboard_plugin", "distribution", "lightship_tensorboard")
INSTALLATION = (
    "uv pip install --quiet --no-deps --no-build-isolation --offline --reinstall-package lightship "
    "--python {0}/.venv/bin/python {0}"
)
PYTHON = """#!/bin/sh
echo "in: $PWD"
echo "path: $PYTHONPATH"
echo "safe: ${PYTHONSAFEPATH-no}"
echo "scripts: ${LIGHTSHIP_SCRIPTS-no}"
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
    (project / "pyproject.toml").write_text("[project]\n")
    (project / LOADER).mkdir(parents=True)
    (project / LOADER / "__init__.py").write_text("# the loader\n")
    for tool in ("python", "ruff", "mypy"):
        make_program(project / ".venv" / "bin" / tool, PYTHON)
    shutil.copy(project / "requirements.lock", project / ".venv")
    (project / ".venv" / "lightship.installed").write_text("[project]\n# the loader\n")
    make_program(tmp_path / "tools" / "fake_python", PYTHON)  # check_gpu takes the machine's own
    make_program(tmp_path / "tools" / "uv", '#!/bin/sh\necho "uv $*" >>"$UV_CALLS"\n')
    return project


def link_sources(project: Path) -> None:
    """Put the real sources in the place of the project's, and let it be installed with them."""
    shutil.rmtree(project / "src")
    for part in ("src", "configs"):
        (project / part).symlink_to(ROOT / part)
    files = [project / "pyproject.toml", *(project / LOADER).glob("*.py")]
    (project / ".venv" / "lightship.installed").write_bytes(b"".join(f.read_bytes() for f in files))


def run(script: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    tools = script.parents[2] / "tools" if not script.is_symlink() else script.parent / "tools"
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    more = {"PATH": path, "UV_CALLS": str(folder / "uv_calls"), "PYTHON": "fake_python"}
    return subprocess.run(
        [str(script), *words],
        cwd=folder,
        env=clean | more,
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
        assert told["scripts"] == ("no" if name == "check_gpu" else str(project / "scripts"))


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_a_python_script_says_how_it_is_used(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this process, which has imported torch already.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as scripts/environment sets it
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / name), run_name="__main__")
    assert ended.value.code in {0, None}
    assert f"scripts/{name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in IN_THIS_PROCESS])
def test_a_script_says_how_it_is_used(project: Path, own: Path, name: str) -> None:
    link_sources(project)
    real = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    for python in (project / ".venv" / "bin" / "python", project.parent / "tools" / "fake_python"):
        make_program(python, real)
    ended = run(project / "scripts" / name, own, "--help")
    assert ended.returncode == 0, ended.stderr
    usage = {"train": "usage: train.py"}.get(name, f"scripts/{name}")
    assert usage in ended.stdout
    assert not (own / "uv_calls").exists()


@pytest.mark.parametrize("name", ["check", "test", "test_faults", "lock", "environment"])
def test_help_of_a_shell_script_needs_no_environment(project: Path, own: Path, name: str) -> None:
    shutil.rmtree(project / ".venv")
    ended = run(project / "scripts" / name, own, "-h")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not (own / "uv_calls").exists()


@pytest.mark.parametrize("name", PYTHON_PROGRAMS)
def test_an_old_python_can_restart_a_script_in_the_environment(name: str) -> None:
    for path in (ROOT / "scripts" / name, ROOT / "scripts" / "restart_in_environment.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=SYSTEM_PYTHON)
    code = ast.parse((ROOT / "scripts" / name).read_text(encoding="utf-8"))
    imports = [node for node in code.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [alias.name for node in imports[:2] for alias in node.names]
    assert names == ["annotations", "restart_in_environment"]


@pytest.mark.parametrize("name", ["train", "benchmark_training.py"])
def test_a_link_to_a_script_is_as_good(project: Path, own: Path, name: str) -> None:
    link = own.parent / "link"
    link.symlink_to(project / "scripts" / name)
    ended = run(link, own, "model=resnet34")
    program = "-m src.train" if name == "train" else str(project / "scripts" / name)
    assert ended.stdout.splitlines()[-1] == f"words: {program} model=resnet34"


def test_an_environment_that_a_script_did_not_make_is_left_alone(project: Path, own: Path) -> None:
    (project / ".venv" / "requirements.lock").unlink()
    ended = run(project / "scripts" / "train", own)
    assert ended.returncode == 1
    assert "expected none, or one that scripts/environment made" in ended.stderr
    assert not (own / "uv_calls").exists()


def test_a_python_that_has_the_project_on_its_path_is_taken_as_it_is(
    project: Path, own: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, project / "scripts" / "int8_peak.py", "--help"],
        cwd=own,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "words: " in ended.stdout  # another project's: it restarts in that one
    link_sources(project)
    ended = subprocess.run(
        [sys.executable, project / "scripts" / "int8_peak.py", "--help"],
        cwd=own,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "scripts/int8_peak.py" in ended.stdout
    assert "words: " not in ended.stdout


def test_an_environment_of_an_older_lock_is_made_again(project: Path, own: Path) -> None:
    (project / ".venv" / "requirements.lock").write_text("")
    assert run(project / "scripts" / "train", own).returncode == 0
    call, installation = (own / "uv_calls").read_text().splitlines()
    assert call.startswith("uv pip sync")
    assert installation == INSTALLATION.format(project)
    lock = (project / ".venv" / "requirements.lock").read_text()
    assert lock == (project / "requirements.lock").read_text()


def let_uv_make_environments(project: Path) -> None:
    """Let uv make an environment, where there is none, with a Python as in the others."""
    python = (project / ".venv" / "bin" / "python").read_text()
    make = '#!/bin/sh\necho "uv $*" >>"$UV_CALLS"\n[ "$1" = venv ] || exit 0\n'
    make += f"[ ! -e '{project}/.venv' ] || exit 2\nmkdir -p '{project}/.venv/bin'\n"
    make += f"printf '{chr(37)}s' '{python}' >'{project}/.venv/bin/python'\n"
    make += f"chmod +x '{project}/.venv/bin/python'\n"
    make_program(project.parent / "tools" / "uv", make)


def test_an_environment_is_made_where_there_is_none(project: Path, own: Path) -> None:
    let_uv_make_environments(project)
    shutil.rmtree(project / ".venv")
    assert run(project / "scripts" / "train", own).returncode == 0
    calls = (own / "uv_calls").read_text().splitlines()
    assert [call.split()[1] for call in calls] == ["venv", "pip", "pip"]
    assert "--python >=3.11,<3.14 " in calls[0]
    assert calls[2] == INSTALLATION.format(project)


@pytest.mark.parametrize("is_current", [True, False])
@pytest.mark.parametrize("left", ["a broken link", "nothing"])
def test_an_environment_whose_python_is_gone_is_made_again(
    project: Path, own: Path, left: str, is_current: bool
) -> None:
    let_uv_make_environments(project)
    python = project / ".venv" / "bin" / "python"
    python.unlink()
    if left == "a broken link":
        python.symlink_to(own / "a Python that was removed")
    if not is_current:
        (project / ".venv" / "requirements.lock").write_text("")
    ended = run(project / "scripts" / "train", own, "data.root=photos")
    assert ended.returncode == 0, ended.stderr
    assert "data.root=photos" in ended.stdout
    calls = (own / "uv_calls").read_text().splitlines()
    assert [call.split()[1] for call in calls] == ["venv", "pip", "pip"]


def test_a_foreign_environment_without_a_python_is_left_alone(project: Path, own: Path) -> None:
    (project / ".venv" / "requirements.lock").unlink()
    (project / ".venv" / "bin" / "python").unlink()
    assert run(project / "scripts" / "train", own).returncode == 1
    assert (project / ".venv" / "bin" / "ruff").is_file()
    assert not (own / "uv_calls").exists()


@pytest.mark.parametrize("name", ["pyproject.toml", LOADER / "__init__.py"])
def test_what_tensorboard_loads_is_installed_again_after_a_change(
    project: Path, own: Path, name: str | Path
) -> None:
    with (project / name).open("a") as file:
        file.write("# changed\n")
    for _ in range(2):
        assert run(project / "scripts" / "train", own).returncode == 0
    assert (own / "uv_calls").read_text().splitlines() == [INSTALLATION.format(project)]


def test_an_environment_of_before_the_tab_gets_it(project: Path, own: Path) -> None:
    (project / ".venv" / "lightship.installed").unlink()
    assert run(project / "scripts" / "train", own).returncode == 0
    assert (own / "uv_calls").read_text().splitlines() == [INSTALLATION.format(project)]


def test_a_training_does_without_the_tab(project: Path, own: Path) -> None:
    (project / ".venv" / "lightship.installed").unlink()
    make_program(project.parent / "tools" / "uv", "#!/bin/sh\nexit 2\n")
    for _ in range(2):
        ended = run(project / "scripts" / "train", own, "data.root=photos")
        assert ended.returncode == 0
        assert "data.root=photos" in ended.stdout
        assert (
            ended.stderr == "warning: TensorBoard has no tab Lightship: it could not be installed\n"
        )


def test_uv_is_not_fetched_for_the_tab_alone(
    project: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".venv" / "lightship.installed").unlink()
    tools = project.parent / "tools"
    (tools / "uv").unlink()
    make_program(tools / "python3", f"#!/bin/sh\necho fetching >>'{own}/fetched'\n")
    for name in ("bash", "cat", "cmp", "dirname", "env", "readlink", "sed", "sh"):
        program = shutil.which(name)
        assert program is not None
        (tools / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tools))
    for _ in range(2):
        ended = run(project / "scripts" / "train", own, "data.root=photos")
        assert ended.returncode == 0
        assert "data.root=photos" in ended.stdout
        assert (
            ended.stderr == "warning: TensorBoard has no tab Lightship: it could not be installed\n"
        )
    assert not (own / "fetched").exists()
    make_program(project / ".uv" / "bin" / "uv", '#!/bin/sh\necho "uv $*" >>"$UV_CALLS"\n')
    assert run(project / "scripts" / "train", own).stderr == ""
    [call] = (own / "uv_calls").read_text().splitlines()
    assert call == INSTALLATION.format(project)


def test_an_environment_that_was_moved_with_its_project_is_taken_as_it_is(
    project: Path, own: Path
) -> None:
    moved = project.rename(project.parent / "moved")
    assert run(moved / "scripts" / "train", own).returncode == 0
    assert not (own / "uv_calls").exists()


def test_the_python_of_an_environment_can_be_chosen(
    project: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(project / ".venv")
    monkeypatch.setenv("UV_PYTHON", "3.12")
    run(project / "scripts" / "train", own)
    assert "--python 3.12 " in (own / "uv_calls").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("chosen", "made_by", "is_told"),
    [
        ("3.12", "", True),
        ("3.11", "", False),
        ("3.11.7", "", False),
        ("3.1", "", True),
        ("/opt/python", "", True),
        ("/opt/python", "/opt/python", False),
        ("", "3.11", False),
    ],
)
def test_a_choice_of_python_that_comes_too_late_is_told(
    project: Path,
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    made_by: str,
    is_told: bool,
) -> None:
    (project / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")
    (project / ".venv" / "lightship.python").write_text(f"{made_by}\n")
    monkeypatch.setenv("UV_PYTHON", chosen)
    ended = run(project / "scripts" / "train", own)
    assert ended.returncode == 0
    assert (f"note: UV_PYTHON={chosen} has no effect on .venv" in ended.stderr) == is_told
    assert ("with Python 3.11.7; remove it for another one" in ended.stderr) == is_told


def test_a_package_that_one_script_needs_is_added_to_the_environment(
    project: Path, own: Path
) -> None:
    ended = run(project / "scripts" / "environment", own, "--install", "playwright>=1.50")
    assert ended.returncode == 0, ended.stderr
    [call] = (own / "uv_calls").read_text().splitlines()
    assert call == f"uv pip install --quiet --python {project}/.venv/bin/python playwright>=1.50"
