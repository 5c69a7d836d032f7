"""The examples in Python that are run without a model or without an image."""

from __future__ import annotations

import runpy
import sys
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(("name", "runtime"), [("python", "onnxruntime"), ("openvino", "openvino")])
@pytest.mark.parametrize("words", [[], ["model.onnx"]])
def test_an_example_without_its_arguments_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, runtime: str, words: list[str]
) -> None:
    program = ROOT / "examples" / name / "classify.py"
    monkeypatch.setitem(sys.modules, runtime, ModuleType(runtime))  # which is not called
    monkeypatch.setattr(sys, "argv", [str(program), *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(program), run_name="__main__")
    assert ended.value.code == (
        "error: expected a model and images; python classify.py MODEL IMAGE..."
    )
