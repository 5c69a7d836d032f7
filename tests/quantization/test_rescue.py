"""Networks that the plain recipe ruins by construction, from the source to the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from src.backends.onnx.file import FILE
from src.export.options import ExportOptions
from src.export.source import make_source
from src.export.stage import export_one
from src.formats.onnx_int8 import OnnxInt8, OnnxInt8Options
from src.models.network import NetworkSpec
from src.quantization import evaluation
from src.quantization.onnx import gemm_convolutions, proposals
from src.run.facts import ExportDetails
from src.run.layout import as_dict
from src.system import machine
from tests.formats.test_contract import PREPROCESSING

SIZE = 16


@pytest.fixture(autouse=True)
def _short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_TIMED_SECONDS", 0.01)
    # What is faster is chance in networks of this size.
    monkeypatch.setattr(proposals, "_ENOUGH", 0)
    monkeypatch.setattr(machine, "has_amx", lambda: False)


class Fragile(nn.Module):
    """Network with two classes by a channel of 0.8 or 1.6, beside one that reaches ``outlier``.

    In quantization steps of ``outlier / 255`` both values are 0.

    Args:
        outlier: value of the second channel if the image's second channel is 1.
        branches: True to let two layers read the channels, so that they cannot be equalised.
    """

    def __init__(self, outlier: float, *, branches: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1)
        self.heads = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(2 if branches else 1))
        with torch.no_grad():
            self.stem.weight.copy_(torch.tensor([[0.4, 0, 0], [0, outlier, 0]])[..., None, None])
            self.stem.bias.copy_(torch.tensor([1.2, 0]))
            for number, head in enumerate(self.heads, start=1):  # two alike would become one
                head.weight.copy_(number * torch.tensor([[1, 1e-5], [-1, 1e-5]])[..., None, None])
                head.bias.copy_(number * torch.tensor([-1.2, 1.2]))

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.stem(images))
        return sum(head(features) for head in self.heads).mean(dim=(2, 3))


def labelled_images(count: int, *, always: bool) -> tuple[Tensor, Tensor]:
    """Return images of both classes, with the outlier in all or in one pixel of the first."""
    labels = torch.arange(count) % 2
    images = torch.zeros(count, 3, SIZE, SIZE)
    images[:, 0] = 1 - 2 * labels[:, None, None]
    if always:
        images[:, 1, ::2] = 1
    else:
        images[0, 1, 3, 3] = 1
    return images, labels


def export(
    folder: Path, outlier: float, *, branches: bool = False, always: bool = False, **options: Any
) -> ExportDetails:
    """Details of the export of a fragile network in int8, written to ``folder / "onnx_int8"``."""
    calibration, _ = labelled_images(64, always=always)
    selection = labelled_images(64, always=always)
    if not always:
        selection[0][0, 1] = 0
    (folder / "scratch").mkdir()
    source = make_source(
        Fragile(outlier, branches=branches).eval(), NetworkSpec("planted", 2), ["a", "b"],
        calibration, PREPROCESSING, folder / "scratch", selection,
        ExportOptions(onnx_int8=OnnxInt8Options(**options)),
    )  # fmt: skip
    assert export_one("onnx_fp32", source, folder / "onnx_fp32").status == "ok"
    entry = export_one("onnx_int8", source, folder / "onnx_int8")
    assert entry.status == "ok", entry.reason
    json.dumps(as_dict(entry))  # plain values, for the manifest
    assert entry.details is not None
    return entry.details


def accuracy(folder: Path, *, always: bool) -> float:
    images, labels = labelled_images(32, always=always)
    runtime = OnnxInt8().load(folder / "onnx_int8", "cpu", 1)
    return float((runtime(images.numpy()).argmax(axis=1) == labels.numpy()).mean())


def test_the_plain_recipe_ruins_the_network_without_a_search(tmp_path: Path) -> None:
    details = export(tmp_path, 16_000, search_seconds=0)
    assert details.more["recipe"]["calibration"] == "minmax"
    assert details.within_budget is None
    assert "search_seconds is 0" in details.summary[1]
    assert accuracy(tmp_path, always=False) == 0.5


def test_a_rare_outlier_is_clipped(tmp_path: Path) -> None:
    details = export(tmp_path, 16_000)
    rows = details.table.rows
    assert rows[0][:3] == ["the fp32 file", 1.0, 1.0]
    assert rows[1][0] == "minmax"
    assert rows[1][1:3] == [0.5, 0.5]
    assert rows[1][4] is False
    assert details.within_budget is True
    assert details.more["recipe"]["calibration"].startswith("percentile")
    assert not details.more["recipe"]["kept_in_float"]
    assert rows[details.table.chosen][0] == details.more["recipe"]["calibration"]
    assert all(seconds > 0 for *_, seconds, _ in rows)
    assert accuracy(tmp_path, always=False) == 1.0


def test_a_channel_that_is_always_large_is_equalised(tmp_path: Path) -> None:
    details = export(tmp_path, 1_000, always=True)
    assert details.within_budget is True
    assert details.more["recipe"]["equalised"]
    assert not details.more["recipe"]["kept_in_float"]
    assert accuracy(tmp_path, always=True) == 1.0
    # Its tensors are compared with those of the network that was equalised alike.
    images, _ = labelled_images(8, always=True)
    errors = OnnxInt8().sensitivity(tmp_path / "onnx_int8", tmp_path, images.numpy())
    assert min(error.sqnr_db for error in errors) > 20


def test_layers_that_cannot_be_equalised_are_kept_in_float(tmp_path: Path) -> None:
    details = export(tmp_path, 1_000, branches=True, always=True)
    assert details.within_budget is True
    kept = details.more["recipe"]["kept_in_float"]
    assert kept
    assert f"In float: {', '.join(kept)}" in " ".join(details.summary)
    assert accuracy(tmp_path, always=True) == 1.0
    types = {
        tensor.data_type for tensor in onnx.load(tmp_path / "onnx_int8" / FILE).graph.initializer
    }
    assert onnx.TensorProto.INT8 in types or onnx.TensorProto.UINT8 in types
    metadata = onnx.load(tmp_path / "onnx_int8" / FILE).metadata_props
    recipe = next(json.loads(each.value) for each in metadata if each.key == "quantization")
    assert recipe == details.more["recipe"]


def test_without_selection_images_nothing_is_searched_and_it_says_so(tmp_path: Path) -> None:
    calibration, _ = labelled_images(16, always=False)
    source = make_source(
        Fragile(1, branches=False).eval(), NetworkSpec("planted", 2), ["a", "b"], calibration,
        PREPROCESSING,
        tmp_path,
    )  # fmt: skip
    details = export_one("onnx_int8", source, tmp_path / "onnx_int8").details
    assert details.within_budget is None
    assert "no images to judge by" in details.summary[1]
    assert details.table is None


def test_the_first_recipe_is_shipped_when_the_time_is_up(tmp_path: Path) -> None:
    details = export(tmp_path, 16_000, search_seconds=1e-6)
    assert details.within_budget is False
    assert len(details.table.rows) == 2
    assert "was up before all was tried" in details.summary[-1]
    assert np.isclose(accuracy(tmp_path, always=False), 0.5)


@pytest.mark.parametrize("target", ["vnni", "avx2", "arm"])
def test_a_network_that_int8_does_not_hurt_is_evaluated_once(tmp_path: Path, target: Any) -> None:
    calibration, _ = labelled_images(16, always=False)
    source = make_source(
        Fragile(1, branches=False).eval(), NetworkSpec("planted", 2), ["a", "b"], calibration,
        PREPROCESSING,
        tmp_path, labelled_images(20, always=False),
        ExportOptions(onnx_int8=OnnxInt8Options(target=target)),
    )  # fmt: skip
    details = export_one("onnx_int8", source, tmp_path / "onnx_int8").details
    assert [row[0] for row in details.table.rows] == ["the fp32 file", "minmax"]
    assert details.more["judging_images"] == 20
    assert details.within_budget is True


def test_a_beginning_that_is_faster_in_float_stays_in_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "speedup_in_turn", lambda *_: 1.5)
    monkeypatch.setattr(proposals, "_ENOUGH", 1e9)
    details = export(tmp_path, 1)
    end = details.more["recipe"]["float_up_to"]
    assert end
    assert f"In float from the start up to {end}" in details.summary[2]
    assert details.table.rows[details.table.chosen][0].endswith(f"up to {end}")
    model = onnx.load(tmp_path / "onnx_int8" / FILE)
    first, *_, last = (node for node in model.graph.node if node.op_type == "Conv")
    assert first.input[0] == "images"
    quantized = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    assert last.input[0] in quantized
    assert accuracy(tmp_path, always=False) == 1.0


def test_convolutions_that_gemm_makes_faster_get_a_zero_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "speedup_in_turn", lambda *_: 1.5)
    monkeypatch.setattr(machine, "has_amx", lambda: True)
    monkeypatch.setattr(
        gemm_convolutions, "suited", lambda model: gemm_convolutions.convolutions(model)[1:]
    )
    details = export(tmp_path, 1)
    (name,) = details.more["recipe"]["multiplied_generally"]
    assert details.summary[2].startswith("1 convolution has weights with a zero point of 1")
    assert details.table.rows[details.table.chosen][0] == "minmax, 1 by im2col and GEMM"
    model = onnx.load(tmp_path / "onnx_int8" / FILE)
    left = gemm_convolutions.convolutions(model)
    assert len(left) == 1
    assert name not in left
    assert accuracy(tmp_path, always=False) == 1.0
