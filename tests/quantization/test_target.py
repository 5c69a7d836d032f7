from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from src.export.options import ExportOptions
from src.export.source import make_source
from src.export.stage import export_one
from src.formats.onnx_int8 import OnnxInt8Options
from src.models.network import NetworkSpec
from src.quantization import target as _int8_target
from src.system import machine
from tests.formats.test_contract import PREPROCESSING
from tests.support.small_network import SmallNetwork

PROCESSORS = {
    "avx2": (("AVX2",), False),
    "vnni": (("AVX2", "AVX-512 VNNI"), False),
    "arm": (("NEON",), True),
}
# The activations' type, whether they are symmetric, whether weights give up a bit.
TYPES = {
    "avx2": ("QUInt8", False, True),
    "vnni": ("QUInt8", False, False),
    "arm": ("QInt8", True, False),
}


def run_on(processor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    isa, arm = PROCESSORS[processor]
    monkeypatch.setattr(machine, "instruction_sets", lambda: isa)
    monkeypatch.setattr(machine, "is_arm", lambda: arm)


@pytest.mark.parametrize("here", PROCESSORS)
@pytest.mark.parametrize("target", [*TYPES, "auto"])
def test_the_target_decides_the_types_and_auto_is_this_processor(
    target: _int8_target.Target, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on(here, monkeypatch)
    choice = _int8_target.choose(target)
    processor = here if target == "auto" else target
    options = choice.quantizer_options()
    assert TYPES[processor] == (
        options["activation_type"].name,
        options["extra_options"]["ActivationSymmetric"],
        options["reduce_range"],
    )
    assert options["weight_type"].name == "QInt8"
    assert options["per_channel"]
    details = choice.details()
    assert (details["target"], details["asked_for"]) == (processor, target)
    assert details["activation_type"] == options["activation_type"].name[1:].lower()
    assert details["reduce_range"] == options["reduce_range"]
    sentence = choice.sentence()
    assert sentence.startswith(f"For {processor}, ")
    # A file for another processor is judged and timed on the wrong one, and says so.
    assert (f"It was exported on {here}: " in sentence) is (processor != here)


def test_every_kind_of_dot_product_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for isa in ("AVX-512 VNNI", "AVX-VNNI", "AMX-INT8"):
        monkeypatch.setattr(machine, "instruction_sets", lambda isa=isa: ("AVX2", isa))
        monkeypatch.setattr(machine, "is_arm", lambda: False)
        assert _int8_target.choose("auto").processor == "vnni"


@pytest.mark.parametrize(
    "target",
    [
        target if target == "avx2" else pytest.param(target, marks=pytest.mark.slow)
        for target in TYPES
    ],
)
def test_the_files_types_and_the_manifests_entry_are_the_targets(
    target: _int8_target.Target, tmp_path: Path
) -> None:
    images = torch.randn(8, 3, 32, 32)
    spec = NetworkSpec("small", 3)
    options = ExportOptions(onnx_int8=OnnxInt8Options(target=target))
    source = make_source(
        SmallNetwork(3).eval(), spec, list("abc"), images, PREPROCESSING, tmp_path, options=options
    )
    entry = export_one("onnx_int8", source, tmp_path / "file")
    assert entry.status == "ok", entry.reason
    assert entry.details.more["target"] == target
    graph = onnx.load(tmp_path / "file" / "model.onnx").graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zero_points = [values[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    activations, symmetric, reduced = TYPES[target]
    assert {str(zero_point.dtype) for zero_point in zero_points} == {activations[1:].lower()}
    assert all((zero_point == 0).all() for zero_point in zero_points) is symmetric
    weights = [value for value in values.values() if value.dtype == "int8" and value.ndim == 4]
    assert max(abs(value.astype(int)).max() for value in weights) == (64 if reduced else 127)
    scales = [values[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear"]
    assert max(scale.size for scale in scales) == SmallNetwork.channels  # per channel
