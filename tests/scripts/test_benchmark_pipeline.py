"""The measurement of pipelines by a script: its files, its data and its table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.run.results import Results
from tests.conftest import ROOT
from tests.report.pages import record
from tests.report.planted import FAILED, drafted, pipeline, results, row

sys.path.insert(0, str(ROOT / "scripts"))

import benchmark_pipeline as script


@pytest.fixture
def measured() -> Results:
    content = results(row("onnx_int8", pipeline=[pipeline(), drafted()]), row("eager", **FAILED))
    content["environment"]["packages"] = {"torch": "2.15", "pillow": "13.0"}
    return record(content)


def test_the_table_has_a_line_for_each_decoder_and_the_reason_of_a_failure(
    measured: Results,
) -> None:
    heads, rule, reference, draft, failed, *rest = script.table([(1024, measured)])
    assert heads.count("|") == rule.count("|") == reference.count("|") == draft.count("|")
    named = "| planted | 1024 | `onnx_int8` | `pillow` |"
    assert reference == f"{named} 6.00 | 2.00 | 0.50 | 1.00 | 0.50 | 10.00 |  |  |"
    assert draft.endswith("| 10.00 | 2.00 [1.90, 2.10] | 3 of 540 |")
    assert failed == "| planted | 1024 | `eager` | failed |"
    assert "on a CPU (), 2 threads, with torch 2.15, pillow 13.0" in " ".join(rest)


def test_photographs_are_made_once_from_their_seeds(tmp_path: Path) -> None:
    paths = script.photographs(tmp_path, 64, 2)
    before = [Path(path).read_bytes() for path in paths]
    assert before[0] != before[1]
    Path(paths[1]).unlink()
    assert [Path(path).read_bytes() for path in script.photographs(tmp_path, 64, 2)] == before
    with Image.open(paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (64, 48))
        assert np.asarray(image).std() > 20  # not of one colour


def test_the_data_give_the_files_of_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "FILES", {320: 2})
    data = script.Photographs(tmp_path, 320)
    images, labels = next(data.batches("test"))
    split = data.dataset("test")
    assert images.shape == (2, 3, 224, 224)
    assert len(split.indices) == data.count("test") == len(labels) == 2
    assert np.array_equal(images[1], data.preprocessing(split.images.image(1)).numpy())
