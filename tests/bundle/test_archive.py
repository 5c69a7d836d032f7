"""The zip file of a bundle can be unpacked on every system."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from src.bundle import archive
from src.bundle.options import BundleOptions
from src.bundle.stage import CONTENTS
from src.errors import UsageError

PORTABLE = (
    *("model", "model-1.2", "Modell für Ärzte", "猫", ".hidden", "console", "com10"),
    "auxiliary",
)
REFUSED = (
    *("..", ".", "con", "CON", "Nul", "aux.v2", "com1", "LPT9.old", "prn "),
    *("a:b", "a\\b", "what?", "a*b", 'a"b', "a<b", "a|b", "model.", "model ", "a\nb", "a\x07b"),
    "caf\udce9",
)


@pytest.mark.parametrize("name", PORTABLE)
def test_a_bundle_may_have_a_name_of_any_script(name: str, tmp_path: Path) -> None:
    output = tmp_path / f"{name}.zip"
    assert BundleOptions(output=str(output)).output == str(output)
    archive.write(output, {"README.md": b"text", "exam/000.png": b"image"})
    with zipfile.ZipFile(output) as file:
        assert file.namelist() == [f"{name}/README.md", f"{name}/exam/000.png"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_folder_on_some_system_is_refused_in_one_line(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"^output: expected a name that a folder") as told:
        BundleOptions(output=f"{tmp_path}/{name}.zip")
    assert str(told.value).endswith("; name it for example -o model.zip")


def test_no_two_files_of_a_program_differ_by_case_only() -> None:
    names = [path.name for path in CONTENTS.glob("*.py")]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(name.isascii() and archive.is_portable(name) for name in names)
