"""Floors of the rooms: a room imports from lower floors only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

SRC = ROOT / "src"
# From the ground up. A room is a folder of src/, or a file beside them.
FLOORS = (
    {"errors", "shipped"},
    {"system"},
    {"graph_passes", "models", "run"},
    {"backends"},
    {"quantization"},
    {"data", "formats", "profiling", "report"},
    {"export", "worker"},
    {"benchmark", "predict"},
    {"bundle", "compare", "forecast", "serve_test"},
    {"callbacks"},
    {"search", "twin"},
    {"cli", "tensorboard_plugin"},
    {"train"},
)
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
FILES = sorted(SRC.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Return the rooms that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "src":
                names = [f"src.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("src."))


def room_of(path: Path) -> str:
    return path.relative_to(SRC).with_suffix("").parts[0]


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in FILES} - {"__init__"} == set(HEIGHT)


def wrong_imports_of(path: Path) -> set[str]:
    """Return the rooms that a file must not import, and does."""
    rooms = set(imports_of(path))
    if path.name == "__main__.py":  # `python -m src.<stage>`, which is at the door
        return rooms ^ {"cli"}
    room = room_of(path)
    return {other for other in rooms - {room} if HEIGHT[other] >= HEIGHT.get(room, 0)}


# One test for all files: a test a file takes more time around the tests than in them.
def test_a_file_imports_its_own_room_and_floors_below() -> None:
    assert len(FILES) > 500
    wrong = {str(path.relative_to(SRC)): wrong_imports_of(path) for path in FILES}
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}


def test_an_import_of_a_floor_above_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "SRC", tmp_path)
    for name, code, wrong in (
        ("formats/a.py", "from src.formats import base\nimport src.system.paths", set()),
        ("formats/b.py", "from src.worker import process", {"worker"}),
        ("formats/c.py", "import src.data.restore", {"data"}),
        ("worker/d.py", "def load():\n    from src import cli, formats", {"cli"}),
        ("export/__main__.py", "from src.cli.commands.export import main", set()),
        ("bundle/__main__.py", "import src.bundle.stage", {"bundle", "cli"}),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        assert wrong_imports_of(path) == wrong, name


def test_formats_know_no_lightning_and_no_format_is_named_above_them() -> None:
    from src import formats

    for path in (SRC / "formats").rglob("*.py"):
        assert "lightning" not in path.read_text(encoding="utf-8").lower().replace(
            "lightship", ""
        ), path
    names = [name for name in formats.names() if name != "eager"]
    for layer in ("benchmark", "worker", "report", "compare", "export", "search", "serve_test"):
        for path in (SRC / layer).rglob("*.py"):
            code = ast.parse(path.read_text(encoding="utf-8"))
            texts = {
                node.value
                for node in ast.walk(code)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert not texts & set(names), path
