"""The example of docs/extending.md, copied into a folder of formats."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from src import formats
from src.export.one_format import export_one
from src.export.source import make_source
from src.models.network import NetworkSpec
from tests.conftest import ROOT
from tests.formats.test_contract import CLASSES, PREPROCESSING
from tests.support.small_network import small_network

NAME = "onnx_optimized"
HELP = """
import sys
from src import formats
formats.__path__.append(sys.argv.pop())
from src.cli.commands.export import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of formats with the example."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = [text.partition("```")[0] for text in page.split("```python\n")[1:]]
    [example] = [text for text in blocks if "(OnnxFp32)" in text]
    (tmp_path / f"{NAME}.py").write_text(example, encoding="utf-8")
    assert f"`src/formats/{NAME}.py`" in page
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_the_example_is_a_format_whose_options_change_its_file(folder: Path) -> None:
    images = torch.randn(4, 3, 32, 32)
    spec, network = NetworkSpec("small", len(CLASSES)), small_network(len(CLASSES), images)
    (folder / "scratch").mkdir()
    plain = make_source(network, spec, CLASSES, images, PREPROCESSING, folder / "scratch")
    options: Any = formats.options()[NAME]
    fused = dataclasses.replace(plain, options={NAME: options(fuse=True)})
    domains = []
    for source in (plain, fused):
        entry = export_one(NAME, source, folder / NAME)
        assert entry.status == "ok", entry.reason
        nodes = onnx.load(folder / NAME / "model.onnx").graph.node
        domains.append({node.domain for node in nodes})
        logits = formats.get(NAME).load(folder / NAME, "cpu", 1)(images.numpy())
        expected = network(images).detach()
        torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-3)
    assert domains == [{""}, {"", "com.microsoft"}]


@pytest.mark.slow
def test_the_options_of_the_example_are_on_the_command_line(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HELP, "--help", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"--{NAME}.fuse {{true,false}}" in ended.stdout
    assert "which no other" in ended.stdout
