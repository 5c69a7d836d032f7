"""Imports point one way: a layer may import those to its right, and itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = {
    "errors": set(),
    "child": set(),
    "machine": set(),
    "unfinished": set(),
    "files": {"unfinished"},
    "console": set(),
    "stopping": set(),
    "quiet": {"errors", "refusal"},
    "mishap": {"errors"},
    "class_names": set(),
    "schema": {"class_names"},
    "shapes": {"schema"},
    "plain_yaml": {"errors"},
    "runs": {"errors", "files", "plain_yaml", "schema", "shapes", "unfinished"},
    "grammar": {"errors", "plain_yaml"},
    "attempt": {"callbacks", "files", "runs"},
    "rehearsal": set(),
    "refusal": {"errors", "mishap"},
    "complaint": {"errors", "grammar", "refusal"},
    "conflicts": {"errors", "formats", "models"},
    "algebra": set(),
    "formats": {"child", "errors", "machine"},
    "data": {"class_names", "errors", "files", "machine", "runs"},
    "models": {"errors"},
    "precision": {"errors", "machine", "models"},
    "pretraining": {"models"},
    "export": {
        *("algebra", "class_names", "console", "errors", "files", "formats", "mishap", "models"),
        "runs",
    },
    "benchmark": {
        *("console", "data", "errors", "export", "files", "formats", "machine", "mishap", "runs"),
        "",
    },
    "predict": {
        *("benchmark", "console", "data", "errors", "files", "formats", "machine", "runs"),
    },
    "bundle": {
        *("benchmark", "console", "data", "errors", "files", "formats", "predict", "runs"),
    },
    "profiling": {"child", "errors", "files", "runs"},
    "report": {"files", "runs"},
    "compare": {"benchmark", "console", "errors", "files", "report", "runs"},
    "callbacks": {
        *("benchmark", "console", "data", "errors", "export", "files", "machine", "mishap"),
        *("models", "profiling", "report", "runs", "stopping"),
    },
}
# The ends of the command line may import whatever they start.
ENDS = {"cli", "parser", "sweep", "train", "entry", "commands", "__main__"}


def imports_of(path: Path) -> Iterator[str]:
    """The parts of src that a file imports, by their first name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "src":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("src."):
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("src"):
                    yield alias.name.partition(".")[2].partition(".")[0]


def layer_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return "__main__" if parts[-1] == "__main__" else parts[0]


FILES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(path)
    if layer in ENDS or layer == "__init__":
        return
    assert set(imports_of(path)) <= ALLOWED[layer] | {layer}


def test_formats_know_no_lightning_and_no_format_is_named_above_them() -> None:
    from src import formats

    for path in (ROOT / "src" / "formats").glob("*.py"):
        assert "lightning" not in path.read_text(encoding="utf-8").lower().replace(
            "lightship", ""
        ), path
    names = [name for name in formats.names() if name != "eager"]
    for layer in ("benchmark", "report", "compare"):
        for path in (ROOT / "src" / layer).glob("*.py"):
            code = ast.parse(path.read_text(encoding="utf-8"))
            texts = {
                node.value
                for node in ast.walk(code)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert not texts & set(names), path
