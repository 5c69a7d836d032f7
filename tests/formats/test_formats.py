from __future__ import annotations

import sys
from pathlib import Path

import pytest

from src import formats
from src.errors import UsageError
from src.system.packages import missing_packages


def test_a_format_is_found_by_its_modules_name() -> None:
    assert "onnx_int8" in formats.names()
    assert not [name for name in formats.names() if name.startswith("_") or name == "base"]


@pytest.mark.parametrize("name", formats.names())
def test_every_format_offers_what_the_base_class_asks(name: str) -> None:
    kind = formats.get(name)
    assert set(kind.devices) <= {"cpu", "cuda", "browser"}
    assert kind.precision
    assert kind.tolerance is None or 0 < kind.tolerance < 0.1
    assert not missing_packages(kind.requires)
    assert kind.environment or not missing_packages(kind.runs_with)
    assert kind.name == name


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"onnx_int8, onnx_int8_dynamic.*found onnx_int7"):
        formats.get("onnx_int7")


PLANTED = """
from src.formats.base import Format

class Planted(Format):
    requires = runs_with = ("json",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance = None

    def export(self, source, folder): ...
    def load(self, folder, device, threads): ...
"""


def plant(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``text`` the module of a format called ``planted``."""
    (folder / "planted.py").write_text(text)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    # Imported anew now, and forgotten after the test.
    monkeypatch.setitem(sys.modules, "src.formats.planted", sys)
    del sys.modules["src.formats.planted"]
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def test_a_new_file_is_a_format_and_its_options_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(PLANTED + "    Options = dict\n", tmp_path, monkeypatch)
    assert "planted" in formats.names()
    assert formats.get("planted").name == "planted"
    assert formats.options()["planted"] is dict


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "defines 0 formats; 1 is expected"),
        ("from src.formats.eager import Eager", "defines 0 formats"),
        (PLANTED + PLANTED.replace("Planted", "Another"), "defines 2 formats"),
        (PLANTED.replace("    tolerance = None\n", ""), "planted.Planted has no tolerance"),
        (PLANTED.replace("def load", "def loaded"), "abstract class Planted .*load"),
    ],
)
def test_a_module_that_is_no_whole_format_says_why(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(text, tmp_path, monkeypatch)
    with pytest.raises(TypeError, match=problem):
        formats.get("planted")


def test_a_missing_package_is_named() -> None:
    assert missing_packages(["json", "no_such_package"]) == ["no_such_package"]
