"""The options of export and measurement that a training of a command line would have."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from src.benchmark.options import BenchmarkOptions
from src.cli.judging_options import sections_of
from src.cli.stage_command import parse
from src.errors import UsageError
from src.export.options import ExportOptions
from tests.cli.test_app import parse as options_of_training
from tests.conftest import ROOT
from tests.support.warm_command import command

WORDS = (
    "model=torchvision/squeezenet1_1",
    "benchmark=quick",
    "benchmark.threads=1",
    "benchmark.max_accuracy_drop=0.05",
    "export.onnx_int8.target=avx2",
    "export.formats=[eager,onnx_int8]",
)


@pytest.mark.usefixtures("elsewhere")
def test_the_sections_are_those_of_a_training() -> None:
    sections, training = sections_of(WORDS), options_of_training(*WORDS)
    for name, section in sections.items():
        expected = training[name].as_dict()
        assert {**expected, **section} == expected
        assert len(section) > 5
    assert sections["benchmark"]["threads"] == 1
    assert sections["export"]["formats"] == ["eager", "onnx_int8"]
    assert sections_of(WORDS[:1])["benchmark"]["threads"] != 1


def test_a_wrong_word_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"did you mean benchmark\.threads\?"):
        sections_of(["benchmark.thread=1"])


def test_the_stages_take_the_sections_from_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    ended = command(ROOT, "src.cli.judging_options", str(file), *WORDS)
    assert ended.returncode == 0, ended.stderr
    assert set(yaml.safe_load(file.read_text())) == {"export", "benchmark"}
    monkeypatch.setattr(sys, "argv", ["src.benchmark", str(tmp_path)])
    _, measured = parse("benchmark", None, BenchmarkOptions)
    assert (measured.threads, measured.max_accuracy_drop) == (1, 0.05)
    monkeypatch.setattr(sys, "argv", ["src.export", str(tmp_path)])
    _, exported = parse("export", None, ExportOptions)
    assert exported.formats == ["eager", "onnx_int8"]
    assert exported.max_accuracy_drop == 0.05
