"""Networks that both presets of NNCF ruin by construction, from the source to the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openvino
import pytest
import torch
from torch import Tensor, nn

from src.backends.openvino.file import FILE
from src.export.options import ExportOptions
from src.export.source import make_source
from src.export.stage import export_one
from src.formats.openvino_int8 import RECIPES, OpenVinoInt8, OpenVinoInt8Options
from src.models.network import NetworkSpec
from src.quantization import evaluation
from src.quantization.openvino import crash_check
from src.quantization.openvino.candidates import OpenVinoCandidates
from src.quantization.openvino.quantizer import Quantizer
from src.quantization.openvino.recipe import OpenVinoRecipe
from src.quantization.search import search
from src.run.facts import ExportDetails
from src.run.layout import as_dict
from src.system import machine
from tests.formats.test_contract import PREPROCESSING
from tests.quantization.test_rescue import Fragile, labelled_images

HEADS = ["node_conv2d_1/WithoutBiases", "node_conv2d_2/WithoutBiases"]  # read the fragile channel


@pytest.fixture(autouse=True)
def _short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_TIMED_SECONDS", 0.01)
    monkeypatch.setattr(evaluation, "_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(evaluation, "_MAX_SECONDS", 0.01)
    monkeypatch.setattr(machine, "has_bfloat16", lambda: False)
    monkeypatch.setattr(crash_check, "crash", lambda *_: None)  # a process each


def source_of(network: nn.Module, folder: Path, **options: Any) -> Any:
    calibration, _ = labelled_images(32, always=True)
    (folder / "scratch").mkdir()
    return make_source(
        network.eval(), NetworkSpec("planted", 2), ["a", "b"], calibration, PREPROCESSING,
        folder / "scratch", labelled_images(32, always=True),
        ExportOptions(openvino_int8=OpenVinoInt8Options(**options)),
    )  # fmt: skip


def export(folder: Path, **options: Any) -> ExportDetails:
    """Details of the export of a fragile network in int8, written to ``folder / "file"``."""
    source = source_of(Fragile(1_000, branches=True), folder, **options)
    entry = export_one("openvino_int8", source, folder / "file")
    assert entry.status == "ok", entry.reason
    json.dumps(as_dict(entry))  # plain values, for the manifest
    assert entry.details is not None
    return entry.details


def accuracy(folder: Path) -> float:
    images, labels = labelled_images(32, always=True)
    runtime = OpenVinoInt8().load(folder / "file", "cpu", 1)
    return float((runtime(images.numpy()).argmax(axis=1) == labels.numpy()).mean())


def test_layers_that_int8_cannot_hold_are_kept_in_float(tmp_path: Path) -> None:
    details = export(tmp_path)
    rows = details.table.rows
    assert [(row[0], row[-1]) for row in rows] == [
        ("the fp32 graph", None),
        ("convolutional", False),
        ("transformer", False),
        ("convolutional, 1 node in float", False),
        ("convolutional, 2 nodes in float", True),
    ]
    assert details.within_budget is True
    assert details.more["recipe"] == "convolutional, 2 nodes in float"
    assert rows[details.table.chosen][0] == details.more["recipe"]
    assert f"In float: {', '.join(HEADS)}" in " ".join(details.summary)
    assert accuracy(tmp_path) == 1.0
    graph = openvino.Core().read_model(tmp_path / "file" / FILE)
    layers = {node.get_friendly_name(): node for node in graph.get_ops()}
    for head in HEADS:
        inputs = [layers[head].input_value(index).get_node() for index in range(2)]
        assert [node.get_type_name() for node in inputs] == ["Relu", "Constant"]
        assert inputs[1].get_element_type() == openvino.Type.f32  # not even its weights
    assert "i8" in {node.get_element_type().get_type_name() for node in graph.get_ops()}


def test_the_first_recipe_is_shipped_when_the_time_is_up(tmp_path: Path) -> None:
    details = export(tmp_path, search_seconds=1e-6)
    assert [row[0] for row in details.table.rows] == ["the fp32 graph", "convolutional"]
    assert details.within_budget is False
    assert details.summary[-1] == (
        "The time, export.openvino_int8.search_seconds, was up before all was tried."
    )


@pytest.mark.slow
def test_no_layer_is_kept_in_float_after_the_deadline(tmp_path: Path) -> None:
    source = source_of(Fragile(1_000, branches=True), tmp_path)
    images, labels = (part.numpy() for part in source.selection)
    presets = RECIPES
    candidates = OpenVinoCandidates(Quantizer(source), presets, [], images, labels, source.scratch)
    # The clock moves by a second when it is read: at the start, before each recipe but the first,
    # and before the layers are ordered.
    clock = iter(range(100))
    outcome = search(candidates, max_drop=0.01, seconds=4, clock=lambda: next(clock))
    assert [str(trial.recipe) for trial in outcome.trials] == [
        *map(str, presets),
        "convolutional, 1 node in float",
    ]
    assert outcome.out_of_time
    assert not outcome.best.within_budget


@pytest.mark.slow
def test_without_a_search_the_recipe_for_transformers_is_taken_and_it_says_why(
    tmp_path: Path,
) -> None:
    details = export(tmp_path, search_seconds=0)
    assert details.more["recipe"] == "transformer"
    assert details.within_budget is None
    assert details.summary == [
        "Made by NNCF's transformer recipe, and not judged: "
        "export.openvino_int8.search_seconds is 0."
    ]


class Uneven(nn.Module):
    """A chain of convolutions, one of which reads a channel 1,000 times as large as the others.

    Args:
        reader: the number of that convolution, from 1.
    """

    def __init__(self, reader: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(3 if number == 0 else 8, 8, 3) for number in range(4)]
        with torch.no_grad():
            layers[reader - 1].weight[0] *= 1_000
            layers[reader - 1].bias[0] += 1_000
        self.layers = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean(dim=(2, 3))[:, :2]


@pytest.mark.parametrize("reader", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_layer_that_reads_an_outlier_channel_is_the_most_sensitive(
    tmp_path: Path, reader: int
) -> None:
    torch.manual_seed(0)
    quantizer = Quantizer(source_of(Uneven(reader), tmp_path))
    convolutions = [
        node.get_friendly_name()
        for node in quantizer.float_graph.get_ordered_ops()
        if node.get_type_name() == "Convolution"
    ]
    recipe = OpenVinoRecipe("convolutional")
    order = quantizer.sensitivity_order(quantizer.quantize(recipe))
    assert order[0] == convolutions[reader]
    assert set(convolutions) <= set(order)
    # A layer in float is not quantized, so it is not in the order.
    kept = OpenVinoRecipe("convolutional", kept_in_float=(convolutions[reader],))
    assert set(order) - set(quantizer.sensitivity_order(quantizer.quantize(kept))) == {
        convolutions[reader]
    }
