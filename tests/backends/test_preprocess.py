"""The preparation of a file for the quantizer, also of graphs that its inference does not know."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import parser

from src.backends.onnx.preprocess import preprocess

NODES = "a = Relu (x) b = Constant <value = float {2.0}> () y = Mul (a, b)"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_is_prepared_and_nothing_is_left_in_the_working_folder(
    is_known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    if not is_known:
        monkeypatch.setattr(SymbolicShapeInference, "_infer_impl", stop)
    for folder in ("work", "scratch"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    head = '<ir_version: 8, opset_import: ["" : 18]> g (float[N, 3] x) => (float[N, 3] y)'
    onnx.save_model(parser.parse_model(f"{head} {{ {NODES} }}"), "model.onnx")
    preprocess(Path("model.onnx"), tmp_path / "scratch" / "prepared.onnx")
    made = onnx.load(tmp_path / "scratch" / "prepared.onnx")
    onnx.checker.check_model(made, full_check=True)
    assert {node.op_type for node in made.graph.node} == {"Relu", "Mul"}
    assert [path.name for path in Path.cwd().iterdir()] == ["model.onnx"]


def stop(inference: object) -> bool:
    """Give up, as the inference does for a graph that it does not know."""
    inference.run_ = False  # type: ignore[attr-defined]
    return False
