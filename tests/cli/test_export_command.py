"""Tests of the options of ``python -m src.export``."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from src.cli.commands.export import with_baseline
from src.export.options import ExportOptions
from src.run.folder import Run


@pytest.mark.parametrize(
    ("benchmark", "names", "expected"),
    [
        ({"baseline": "eager"}, ["onnx_fp32"], ["eager", "onnx_fp32"]),
        ({"baseline": "onnx_fp32"}, ["onnx_int8"], ["onnx_fp32", "onnx_int8"]),
        ({"baseline": "eager"}, ["onnx_fp32", "eager"], ["onnx_fp32", "eager"]),
        ({"baseline": "no_format"}, ["onnx_fp32"], ["onnx_fp32"]),
        ({"baseline": ["eager"]}, ["onnx_fp32"], ["onnx_fp32"]),
        (None, ["onnx_fp32"], ["onnx_fp32"]),
    ],
)
def test_an_export_includes_the_baseline_of_the_runs_measurement(
    tmp_path: Path, benchmark: object, names: list[str], expected: list[str]
) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"benchmark": benchmark}))
    assert with_baseline(Run(tmp_path), ExportOptions(formats=names)).formats == expected
