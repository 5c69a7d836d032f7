"""The README of a bundle: figures of the very file and decoder, and the terms of what it holds."""

from __future__ import annotations

from typing import Any

import pytest

from src import formats
from src.bundle.card import Shipment, card
from src.run.facts import ScoredDataset
from src.run.manifest import Manifest
from src.run.reading import convert
from src.run.row import Row
from tests.report import planted
from tests.report.writers.test_cards import manifest

DATASET = convert(planted.results()["dataset"], ScoredDataset)


def text(row: dict[str, Any] | None = None, **shipment: Any) -> str:
    bundling = formats.get("onnx_fp32").bundling
    assert bundling
    measured = None if row is None else convert(row, Row)
    shipped = Shipment(bundling, **shipment)
    exported = convert(manifest(), Manifest)
    return card(exported, "onnx_fp32", measured, DATASET, "test_image.png", shipment=shipped)


def test_the_accuracy_is_that_after_the_decoder_of_the_bundle() -> None:
    measured = planted.row("onnx_fp32", pipeline=[planted.pipeline(), planted.drafted()])
    plain = text(measured)
    assert "98.76% of the 540 images" in plain
    assert "decoded by" not in plain
    drafted = text(measured, decoder="pillow_draft")
    assert "98.00% of the 540 images" in drafted
    assert ", decoded by `pillow_draft`, which it was not trained on" in drafted
    assert "98.76%" not in drafted


@pytest.mark.parametrize("pipelines", [[], [planted.pipeline()]])
def test_no_accuracy_of_another_decoder_stands_for_that_of_the_bundle(
    pipelines: list[dict[str, Any]],
) -> None:
    words = text(planted.row("onnx_fp32", pipeline=pipelines), decoder="pillow_draft")
    assert "not measured with images that `pillow_draft` decodes" in words
    assert "98.76%" not in words
