"""Fixtures of the tab: a log folder with one run, its server, and views that parse nothing."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from src.errors import UsageError
from src.profiling.operator_table import GROUPS
from src.tensorboard_plugin.files import Fragment
from tests.support.plugin_runs import (
    Server,
    write_run,
)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "lightning_logs"


@pytest.fixture
def server(logs: Path) -> Server:
    write_run(logs / "resnet34" / "version_0")
    return Server(logs)


@pytest.fixture
def run() -> str:
    return "resnet34/version_0"


class View(msgspec.Struct):
    steps: int
    operators: list[str]


def fake(name: str, **functions: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(functions)
    return module


@pytest.fixture
def calls() -> list[tuple[str, Any]]:
    return []


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, Any]]) -> None:
    """Replace what parses traces and draws files; it has tests of its own."""

    def operator_table(path: Path, by: str) -> View:
        calls.append((by, path))
        if path.stat().st_size < 50:
            raise ValueError("not a whole gzip file")
        return View(steps=1, operators=["aten::mm"])

    def speedscope(path: Path) -> bytes:
        calls.append(("timeline", path))
        if path.stat().st_size < 50:
            raise ValueError("not a whole gzip file")
        return gzip.compress(b'{"profiles": []}')

    def fragment(runs: list[Any], names: list[str]) -> Fragment:
        calls.append(("files", [run.folder for run in runs]))
        if "broken" in names:
            raise UsageError("f", expected="a", found="b", remedy="c")
        return Fragment(f"<p>{len(names)} runs</p>" * 100)

    for name, functions in {
        "src.profiling.operator_table": {"operator_table": operator_table, "GROUPS": GROUPS},
        "src.profiling.timeline": {"speedscope": speedscope},
        "src.tensorboard_plugin.files": {"fragment": fragment},
    }.items():
        monkeypatch.setitem(sys.modules, name, fake(name, **functions))
