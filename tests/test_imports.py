"""Imports point one way: a layer may import those to its right, and itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = {
    "quoting": set(),
    "links": set(),
    "builders": {"errors"},
    "errors": {"quoting"},
    "child": set(),
    "cgroup": set(),
    "machine": {"cgroup", "child"},
    "lock": set(),
    "paths": {"errors"},
    "unfinished": {"lock"},
    "files": {"unfinished"},
    "fingerprint": {"files"},
    "console": set(),
    "steps": set(),
    "stopping": set(),
    "outlet": set(),
    "quiet": {"errors", "refusal"},
    "mishap": {"errors"},
    "class_names": {"quoting"},
    "schema": {"class_names"},
    "shapes": {"schema"},
    "plain_yaml": {"errors"},
    "runs": {
        *("errors", "files", "links", "paths", "plain_yaml", "quoting", "schema", "shapes"),
        "unfinished",
    },
    "started_in": {"files", "paths", "runs"},
    "grammar": {"errors", "paths", "plain_yaml"},
    "attempt": {"callbacks", "files", "runs"},
    "rehearsal": set(),
    "refusal": {"errors", "mishap"},
    "complaint": {"errors", "grammar", "refusal"},
    "conflicts": {"errors", "formats", "models"},
    "algebra": set(),
    "formats": {"builders", "child", "errors", "machine", "steps"},
    "data": {
        *("class_names", "errors", "files", "links", "lock", "machine", "paths", "runs"),
        *("started_in", "steps", "unfinished"),
    },
    "models": {"builders", "errors", "paths"},
    "precision": {"errors", "machine", "models"},
    "pretraining": {"models"},
    "export": {
        *("algebra", "builders", "class_names", "console", "errors", "files", "fingerprint"),
        *("formats", "mishap", "models", "runs"),
    },
    "benchmark": {
        *("cgroup", "child", "console", "data", "errors", "export", "files", "fingerprint"),
        *("formats", "machine", "mishap", "runs", "schema", "shapes", ""),
    },
    "predict": {
        *("benchmark", "console", "data", "errors", "files", "fingerprint", "formats", "machine"),
        *("outlet", "quoting", "runs"),
    },
    "bundle": {
        *("benchmark", "console", "data", "errors", "files", "fingerprint", "formats", "predict"),
        *("quoting", "runs"),
    },
    "profiling": {"child", "errors", "files", "runs"},
    "report": {"files", "fingerprint", "links", "quoting", "runs", "steps"},
    "compare": {"benchmark", "console", "errors", "files", "quoting", "report", "runs"},
    "callbacks": {
        *("benchmark", "console", "data", "errors", "export", "files", "machine", "mishap"),
        *("models", "profiling", "quoting", "report", "runs", "stopping"),
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
