"""docs/reliability.md: each test that it names exists."""

from __future__ import annotations

import ast
import functools
import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TABLES = PAGE[PAGE.index("## Faults") :].splitlines()
LINES = [line for line in TABLES if re.match(r"\| (?!---|fault|what it|tried)", line)]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_line_of_the_tables_names_a_test() -> None:
    assert len(LINES) > 30
    assert [line for line in LINES if not NAMED.search(line)] == []


@functools.cache
def functions_of(file: str) -> set[str]:
    code = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(code) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_a_named_test_is_there(file: str, name: str) -> None:
    assert name in functions_of(file)
