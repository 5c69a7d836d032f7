"""The README of a bundle: figures of the very file and decoder, and the terms of what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from src import formats
from src.bundle import exam, stage
from src.bundle.card import Shipment, card
from src.bundle.files import description
from src.bundle.options import BundleOptions
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


def test_it_names_the_python_and_the_commands_of_other_systems() -> None:
    words = text(least_python="3.11", python="3.12.4")
    assert "It needs Python 3.11 or newer, and was packed with 3.12.4." in words
    assert "`shasum -a 256 -c SHA256SUMS` on macOS" in words
    # Beside the folder: no file may be added to a signed one.
    assert "`python3 -m venv ../env && . ../env/bin/activate`" in words


def test_it_says_which_files_show_images_of_the_data_and_on_which_terms() -> None:
    assert "Test images" not in text()
    one = text(images=("test_image.png",))
    assert (
        "Test images of `pets` are in `test_image.png`: their licence is that of the data." in one
    )
    assert "are in `test_image.png` and `exam/`: " in text(images=("test_image.png", "exam/"))
    unknown = manifest()
    unknown["origin"] |= {"dataset": None, "licence": None}
    bundling = formats.get("onnx_fp32").bundling
    assert bundling
    words = card(
        convert(unknown, Manifest),
        "onnx_fp32",
        None,
        None,
        "test_image.png",
        shipment=Shipment(bundling, images=("exam/",)),
    )
    assert "Test images are in `exam/`: no licence of them is known, so ask" in words


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, ("test_image.png", "exam/")),
        ({"exam": 0}, ("test_image.png",)),
        ({"test_image": "mine.png"}, ()),  # no image of the data leaves unasked
        ({"test_image": "mine.png", "exam": 9}, ("exam/",)),
        ({"exam_content": "tensors"}, ("test_image.png", "exam/")),  # they show the image as well
    ],
)
def test_the_images_of_the_data_are_the_exam_and_the_test_image_of_the_run(
    tmp_path: Path, changes: dict[str, Any], places: tuple[str, ...]
) -> None:
    options = BundleOptions(str(tmp_path / "model.zip"), **changes)
    assert stage._places_of_images(options) == places
    files = {
        *("model.onnx", "test_image.png", "exam.py"),
        *("exam/exam.json", "exam/answers.npz", "exam/000.jpg", "exam/inputs.npz"),
    }
    assert {file for file in files if exam.shows_image(file, places)} == {
        *({"test_image.png"} & set(places)),
        *({"exam/000.jpg", "exam/inputs.npz"} if "exam/" in places else ()),
    }


@pytest.mark.parametrize(
    ("reduce_range", "tried", "needs"),
    [
        (False, None, True),
        (False, "pass", False),  # with the kernels for AVX2
        (False, "fail", True),
        (True, None, False),
        (None, None, False),  # exported before this was recorded
    ],
)
def test_a_bundle_says_which_processors_its_int8_file_is_for(
    reduce_range: bool | None, tried: str | None, needs: bool
) -> None:
    exported = manifest()
    if reduce_range is not None:
        details = {"summary": ["For vnni."], "reduce_range": reduce_range}
        exported["formats"]["onnx_int8"] = {**exported["formats"]["onnx"], "details": details}
    else:
        exported["formats"]["onnx_int8"] = exported["formats"]["onnx"]
    record = convert(exported, Manifest)
    answers = [planted.there("avx2", verdict=tried)] if tried else []
    row = convert(planted.row("onnx_int8", instruction_sets=answers), Row)
    for name, is_exact in (("onnx_int8", True), ("openvino_int8", False)):
        bundling = formats.get(name).bundling
        assert bundling
        about = description(record, "onnx_int8", row, bundling, {})
        assert about["needs_dot_product"] is (needs and not is_exact)
        words = card(record, "onnx_int8", row, DATASET, "x.png", shipment=Shipment(bundling))
        told = "**It was quantized for processors with an int8 dot product**" in words
        assert told is needs
        assert ("`session.x64quantprecision`" in words) is (needs and is_exact)
        assert ("`predict.py` warns" in words) is (needs and not is_exact)


def test_the_latency_names_the_processor_that_it_was_measured_on() -> None:
    measured = planted.row("onnx_fp32")
    assert "A batch of 1 took 12.3 ms (all threads) on AMD EPYC." in text(measured, cpu="AMD EPYC")
    assert "A batch of 1 took 12.3 ms (all threads) where it was measured." in text(measured)


def test_test_images_that_it_was_calibrated_on_are_counted() -> None:
    bundling = formats.get("onnx_fp32").bundling
    assert bundling
    dataset = msgspec.structs.replace(DATASET, also_in_calibration=2)
    row = convert(planted.row("onnx_fp32"), Row)
    exported = convert(manifest(), Manifest)
    words = card(exported, "onnx_fp32", row, dataset, "x.png", shipment=Shipment(bundling))
    assert "`digits`, 2 of which are among the images that it was calibrated on, too." in words
    assert "which it was not trained on" not in words


@pytest.mark.parametrize(
    ("settings", "threads"),
    [
        ({"effective": {"threads": 3}, "requested": {"threads": 4}}, 3),
        ({"effective": {}, "requested": {"threads": 4}}, 4),  # a runtime that reports none
        ({"effective": {}}, None),
    ],
)
def test_the_threads_of_the_measurement_are_those_reported_or_else_those_asked_for(
    settings: dict[str, Any], threads: int | None
) -> None:
    measured = planted.row("onnx_fp32", **settings)
    assert f"({threads or 'all'} threads)" in text(measured)
    bundling = formats.get("onnx_fp32").bundling
    assert bundling
    exported = manifest()
    exported["formats"]["onnx_fp32"] = exported["formats"]["onnx"]
    record = convert(exported, Manifest)
    packed = description(record, "onnx_fp32", convert(measured, Row), bundling, {})
    assert packed["threads"] == threads
