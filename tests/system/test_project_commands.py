"""Command lines that a user can type, with the environment's python on the PATH and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.system.project_commands import SCRIPTS, typed


def test_a_command_is_that_of_python_where_the_user_started_python() -> None:
    assert typed("src.train", ["model=a b"]) == "python -m src.train 'model=a b'"
    assert typed("src.benchmark") == "python -m src.benchmark"


def test_a_script_in_the_working_folder_is_not_looked_for_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCRIPTS, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert typed("src.train", ["model=resnet34"]) == "./train model=resnet34"


@pytest.mark.parametrize(
    ("place", "shown"), [("clone", "scripts"), (".", "clone/scripts"), ("other", "{}/scripts")]
)
def test_a_command_is_that_of_the_script_which_the_user_started(
    place: str, shown: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("clone", "other"):
        (elsewhere / name).mkdir()
    monkeypatch.setenv(SCRIPTS, str(elsewhere / "clone" / "scripts"))
    monkeypatch.chdir(place)
    folder = shown.format(elsewhere / "clone")
    assert typed("src.train", ["model=resnet34"]) == f"{folder}/train model=resnet34"
    assert typed("src.benchmark", ["RUN"]) == f"{folder}/environment -m src.benchmark RUN"
