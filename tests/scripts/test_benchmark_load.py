"""The table of files under load: each configuration with its rate, and what is missing."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from src.run.folder import Run
from src.run.reading import convert
from src.run.serve_test import ServeTest
from tests.conftest import ROOT
from tests.serve_test.planted import configuration, serve_test


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(sys, "argv", ["benchmark_load.py"])
    return runpy.run_path(str(ROOT / "scripts" / "benchmark_load.py"))


def test_each_configuration_has_its_rate_and_what_batching_gains(
    script: dict[str, Any], tmp_path: Path
) -> None:
    run = Run(tmp_path / "resnet34" / "version_0")
    record = convert(serve_test(is_complete=False), ServeTest)
    _, _, plain, batched = script["table"]([(run, record)])
    assert plain.startswith("| resnet34 | `onnx` | no batching | 220 [209, 242] |  | 2.00 |")
    assert "| batching 4 ms | 310 [294, 341] | 1.41 [1.30, 1.50] |" in batched
    machine, missing = script["sources"]([(run, record)])
    assert record.environment.cpu in machine
    assert missing == "The measurement of resnet34 ended before all of it was done."


def test_a_configuration_that_held_no_rate_says_so(script: dict[str, Any], tmp_path: Path) -> None:
    run = Run(tmp_path / "resnet34" / "version_0")
    none = configuration(0.0, 220, bounds=[], highest=None, probes=[], reason="its process died")
    record = convert(serve_test(none, chosen=None, gain=None), ServeTest)
    assert "| not shown |" in list(script["table"]([(run, record)]))[-1]
