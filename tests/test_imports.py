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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_file_imports_its_own_room_and_floors_below(path: Path) -> None:
    room = room_of(path)
    if path.name == "__main__.py":  # `python -m src.<stage>`, which is at the door
        assert set(imports_of(path)) == {"cli"}
        return
    wrong = {
        other
        for other in imports_of(path)
        if other != room and HEIGHT[other] >= HEIGHT.get(room, 0)
    }
    assert not wrong


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
