"""The files that ``predict.py`` of a bundle needs, as the documentation lists them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from src.bundle.stage import CONTENTS
from tests.conftest import ROOT

RUNTIME = "runtime_"
PAGE = ROOT / "docs" / "deployment.md"


def imported_by(path: Path) -> set[str]:
    """Return the files beside a program that it imports."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
        elif isinstance(node, ast.ImportFrom):  # from . import x
            modules |= {alias.name for alias in node.names}
    return {f"{name}.py" for name in modules if path.with_name(f"{name}.py").is_file()}


def needed_by(programs: set[str], folder: Path) -> set[str]:
    """Return the files that programs import, and the files that these import in turn."""
    needed: set[str] = set()
    pending = set(programs)
    while pending:
        pending = {name for file in pending for name in imported_by(folder / file)} - needed
        needed |= pending
    return needed - programs


def listed() -> list[str]:
    """Return the files in the row of ``predict.py`` of the page, other than it and the runtimes."""
    page = PAGE.read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `predict\.py` \| (.*) \|$", page, re.MULTILINE)
    names = re.findall(r"`([\w*]+\.py)`", row)
    assert names.count("runtime_*.py") == 1
    return [name for name in names if name != "runtime_*.py"]


def test_the_page_lists_every_file_that_the_program_imports() -> None:
    runtimes = {path.name for path in CONTENTS.glob(f"{RUNTIME}*.py")}
    needed = needed_by({"predict.py", *runtimes}, CONTENTS)
    assert listed() == sorted(needed)


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import a", {"a.py"}),
        ("import b", {"b.py", "a.py"}),
        ("from c import x", {"c.py", "b.py", "a.py"}),
        ("from . import a", {"a.py"}),
        ("from .b import x", {"b.py", "a.py"}),
        ("def f():\n    import a, os", {"a.py"}),
        ("if x:\n    from .b import y\nelse:\n    from b import y", {"b.py", "a.py"}),
        ("import os", set()),
    ],
)
def test_an_import_of_an_import_is_needed_too(code: str, needed: set[str], tmp_path: Path) -> None:
    files = {"predict.py": code, "a.py": "", "b.py": "import a", "c.py": "import b, predict"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert needed_by({"predict.py"}, tmp_path) == needed
