from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from src.benchmark.flipped import MOST, SIDE, FlippedImages
from src.report.charts.chart import save
from src.report.charts.class_accuracy import class_chart
from src.report.charts.flipped import flipped_charts
from src.report.sections.answers import flips as flips_of
from src.run.facts import PreprocessingFacts
from src.run.paths import thumbnail_name
from tests.report.pages import html_page, record
from tests.report.planted import results, row
from tests.support import damaged_images

GREY = PreprocessingFacts(image_size=64, resize="squash", mean=[0.5] * 3, std=[0.25] * 3)
TEST_SET = "a" * 64  # of the planted measurement


def figures_of(measured: dict[str, Any], flipped: Path) -> dict[str, Figure]:
    """Return the charts of flipped images and of class accuracy, by name."""
    content = record(measured)
    charts = [*flipped_charts(flips_of(content), flipped), class_chart(content)]
    return {chart.name: chart.draw() for chart in charts if chart is not None}


def test_a_flipped_image_is_stored_as_the_network_saw_it(tmp_path: Path) -> None:
    images = np.zeros((3, 3, 8, 6), np.float32)
    images[1] = 1.0  # 0.5 + 0.25
    pictures = FlippedImages(tmp_path / "flipped", GREY, TEST_SET)
    pictures.keep(images, np.array([False, True, False]), start=10)
    (path,) = (tmp_path / "flipped").iterdir()
    assert path.name == thumbnail_name(11, TEST_SET)
    with Image.open(path) as picture:
        assert picture.size == (6, 8)
        assert set(np.asarray(picture).ravel()) == {191}


def test_flipped_images_are_stored_small_and_only_the_first_ones(tmp_path: Path) -> None:
    images = np.zeros((40, 3, 200, 100), np.float32)
    FlippedImages(tmp_path, GREY, TEST_SET).keep(images, np.ones(40, dtype=bool), start=0)
    assert len(list(tmp_path.iterdir())) == MOST
    with Image.open(tmp_path / thumbnail_name(0, TEST_SET)) as picture:
        assert max(picture.size) == SIDE


def test_the_number_of_stored_images_does_not_grow_with_batches_and_rows(tmp_path: Path) -> None:
    images = np.zeros((10, 3, 4, 4), np.float32)
    flipped = np.ones(10, dtype=bool)
    pictures = FlippedImages(tmp_path, GREY, TEST_SET)
    for start in range(0, 200, 10):
        for _ in range(3):  # rows that answer the same images otherwise
            pictures.keep(images, flipped, start)
    assert sorted(int(path.stem.partition("_")[0]) for path in tmp_path.iterdir()) == list(
        range(MOST)
    )
    # Those of an earlier measurement are counted where they are met again.
    again = FlippedImages(tmp_path, GREY, TEST_SET)
    for start in range(0, 200, 10):
        again.keep(images, flipped, start)
    assert len(list(tmp_path.iterdir())) == MOST


def test_a_stored_image_of_an_earlier_measurement_is_replaced(tmp_path: Path) -> None:
    for level in (0.0, 1.0):
        images = np.full((1, 3, 4, 4), level, np.float32)
        FlippedImages(tmp_path, GREY, TEST_SET).keep(images, np.ones(1, dtype=bool), start=0)
    with Image.open(tmp_path / thumbnail_name(0, TEST_SET)) as picture:
        assert set(np.asarray(picture).ravel()) == {191}


@pytest.mark.parametrize("test_set", ["../flipped", None, "", "b" * 64])
def test_an_image_of_another_test_set_is_not_shown_at_its_position(
    test_set: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / "flipped"
    images = np.zeros((1, 3, 8, 8), np.float32)
    FlippedImages(folder, GREY, TEST_SET).keep(images, np.ones(1, dtype=bool), start=0)
    Image.new("RGB", (8, 8)).save(folder / "0.png")  # as an earlier version named it
    measured = results(row("eager"), row("onnx"))
    measured["rows"][1]["accuracy"]["flips"] = [{"position": 0, "true": 3, "before": 3, "after": 7}]
    shown = "data:image/png"
    assert "flipped_onnx_cpu" in figures_of(measured, folder)
    measured["dataset"]["sha256"] = test_set
    assert "flipped_onnx_cpu" not in figures_of(measured, folder)
    if test_set == "../flipped":  # once, for a page takes seconds
        assert shown not in html_page(measured, folder)


def test_charts_show_flipped_images_and_the_accuracy_of_each_class(tmp_path: Path) -> None:
    measured = results(row("eager"), row("onnx"))
    measured["class_names"][3] = "$3 & a very long <name>"
    flips = [
        {"position": 0, "true": 3, "before": 3, "after": 7},
        {"position": 1, "true": 7, "before": 3, "after": 7},
        {"position": 2, "true": 1, "before": 3, "after": 7},
        {"position": 99, "true": 1, "before": 3, "after": 7},  # of which there is no picture
    ]
    measured["rows"][1]["accuracy"]["flips"] = flips
    FlippedImages(tmp_path, GREY, TEST_SET).keep(
        np.zeros((3, 3, 8, 8), np.float32), np.ones(3, dtype=bool), start=0
    )
    drawn = figures_of(measured, tmp_path)
    assert list(drawn) == ["flipped_onnx_cpu", "per_class"]
    for name, figure in drawn.items():
        save(figure, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 100
    titles = [place.get_title() for place in drawn["flipped_onnx_cpu"].axes if place.get_title()]
    assert [title.splitlines()[0] for title in titles] == ["lost", "gained", "still wrong"]


@pytest.mark.parametrize(
    "content",
    [
        damaged_images.an_eps_that_would_start_ghostscript(),
        damaged_images.an_icon(),
        damaged_images.a_png_of_half_its_bytes(),
        damaged_images.a_png_that_unpacks_to_gigabytes(),
        damaged_images.a_row_of_a_million_pixels(),
        damaged_images.a_jpeg_with_an_exif_block_of_garbage(),
        b"",
    ],
    ids=["EPS", "icon", "half a PNG", "bomb", "long PNG", "JPEG", "empty"],
)
def test_another_file_than_a_small_png_is_not_decoded_for_a_chart(
    tmp_path: Path, content: bytes
) -> None:
    measured = results(row("eager"), row("onnx"))
    flips = [{"position": 0, "true": 3, "before": 3, "after": 7}]
    measured["rows"][1]["accuracy"]["flips"] = flips
    (tmp_path / thumbnail_name(0, TEST_SET)).write_bytes(content)
    drawn = figures_of(measured, tmp_path)["flipped_onnx_cpu"]
    assert [text.get_text() for place in drawn.axes for text in place.texts] == ["unreadable"]


def test_no_chart_is_drawn_without_flipped_images_and_classes(tmp_path: Path) -> None:
    failed = {"status": "failed", "reason": "it broke", "latency": [], "accuracy": None}
    assert not figures_of(results(row("eager", **failed)), tmp_path)
