"""The measurement of pipelines by a script: its files, its data and its table."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.data.datasets.digits import DigitImages
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.run.results import Results
from src.shipped.jpeg_decoders import MissingDecoderError
from tests.conftest import ROOT
from tests.report.pages import record
from tests.report.planted import FAILED, drafted, pipeline, results, row

sys.path.insert(0, str(ROOT / "scripts"))

import benchmark_pipeline as script
import photographs
import pipeline_stages

FLIPS = {"flips_low": 0.0019, "flips_high": 0.0162}


@pytest.fixture
def measured() -> Results:
    content = results(
        row("onnx_int8", pipeline=[pipeline(), drafted(answers=FLIPS)]), row("eager", **FAILED)
    )
    content["environment"]["packages"] = {"torch": "2.15", "pillow": "13.0"}
    return record(content)


def test_the_table_has_a_line_for_each_decoder_and_the_reason_of_a_failure(
    measured: Results,
) -> None:
    heads, rule, reference, draft, failed, *rest = script.table([(1024, measured)])
    assert heads.count("|") == rule.count("|") == reference.count("|") == draft.count("|")
    named = "| planted | 1024 | `onnx_int8` | `pillow` |"
    assert reference == f"{named} 6.00 | 2.00 | 0.50 | 1.00 | 0.50 | 10.00 | 10.00 |  |  |  |  |"
    assert "| **`pillow_draft`** |" in draft  # it is faster and keeps the budget
    answers = "3 of 540 [0.2, 1.6] % | -0.37 [-1.35, +0.37] | pass |"
    assert draft.endswith(f"| 10.00 | 2.00 [1.90, 2.10] | {answers}")
    assert failed == "| planted | 1024 | `eager` | failed |"
    text = " ".join(rest)
    assert "on a CPU (), 2 threads, with torch 2.15, pillow 13.0" in text
    assert f"input has {measured.input_shape[1]} pixels. Images: {measured.dataset.name}." in text


@pytest.mark.parametrize(
    ("gains", "best"),
    [
        ({"pillow_draft": (2.0, "pass"), "opencv": (2.1, "pass")}, "pillow_draft"),  # ships
        ({"pillow_draft": (2.0, "fail"), "opencv": (2.1, "inconclusive")}, "opencv"),  # none ships
        ({"pillow_draft": (2.1, "fail"), "opencv": (1.5, "pass")}, "opencv"),
        ({}, None),
    ],
)
def test_a_short_table_has_the_reference_and_the_best_decoder(
    gains: dict[str, tuple[float, str]], best: str | None
) -> None:
    others = [
        drafted(
            decoder=name,
            over_reference={"value": gain, "low": gain - 0.2, "high": gain + 0.2, "processes": 8},
            answers={**FLIPS, "verdict": verdict},
        )
        for name, (gain, verdict) in gains.items()
    ]
    (planted,) = record(results(row("onnx_int8", pipeline=[pipeline(), *others]))).rows
    shown = [each.decoder for each in script.reference_and_best(planted)]
    assert shown == ["pillow", *([best] if best else [])]


def test_photographs_are_made_once_from_their_seeds(tmp_path: Path) -> None:
    paths = photographs.photographs(tmp_path, 64, 2)
    before = [Path(path).read_bytes() for path in paths]
    assert before[0] != before[1]
    Path(paths[1]).unlink()
    assert [Path(path).read_bytes() for path in photographs.photographs(tmp_path, 64, 2)] == before
    with Image.open(paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (64, 48))
        assert np.asarray(image).std() > 20  # not of one colour


def test_the_data_give_the_files_of_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photographs, "FILES", {320: 2})
    data = photographs.Photographs(tmp_path, 320)
    images, labels = next(data.batches("test"))
    split = data.dataset("test")
    assert images.shape == (2, 3, 224, 224)
    assert len(split.indices) == data.count("test") == len(labels) == 2
    assert np.array_equal(images[1], data.preprocessing(split.images.image(1)).numpy())


class Finished:
    """A finished run's digits, of which the fourth and the last two are the test split."""

    def __init__(self, resize: str) -> None:
        self.preprocessing = Preprocessing(64, resize)  # type: ignore[arg-type]
        self.dataset_name, self.class_names = "digits", [str(number) for number in range(10)]
        images = DigitImages()
        self.test = SimpleNamespace(images=images, indices=np.array([3, 10, 11]))

    def dataset(self, split: str) -> Any:
        test = self.test
        return test if split != "test" else Split(test.images, test.indices)

    def sha256(self, split: str) -> str:
        return "0" * 64

    def count(self, split: str) -> int:
        return 7

    def batches(self, split: str, size: int) -> Any:
        yield split, size


class Split(SimpleNamespace):
    def __init__(self, images: Any, indices: Any) -> None:
        super().__init__(images=images, indices=indices)

    def __len__(self) -> int:
        return len(self.indices)


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_enlarged_test_images_lead_to_nearly_the_runs_own_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resize: str
) -> None:
    finished = Finished(resize)
    monkeypatch.setattr(photographs, "data_of", lambda _: finished)
    run: Any = None
    data = photographs.EnlargedImages(run, tmp_path, 320, most=2)
    split = data.dataset("test")
    assert data.count("test") == len(split.images.paths) == 2
    assert [Path(path).name for path in split.images.paths] == ["320-3.jpg", "320-11.jpg"]
    assert len({Path(path).parent for path in split.images.paths}) == 1
    images = finished.test.images
    ((inputs, labels),) = data.batches("test", 64)
    assert labels.tolist() == [images.targets[3], images.targets[11]]
    for given, index in zip(inputs, (3, 11), strict=True):
        own = finished.preprocessing(images.image(index)).numpy()
        assert np.corrcoef(given.ravel(), own.ravel())[0, 1] > 0.99
    with Image.open(split.images.paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (320, 240))
    assert (data.count("val"), list(data.batches("val", 5))) == (7, [("val", 5)])
    assert data.dataset("val") is finished.test
    again = photographs.EnlargedImages(run, tmp_path, 320, most=2)
    assert again.sha256("test") == data.sha256("test") != finished.sha256("test")


def test_the_newest_run_of_a_network_with_weights_is_taken(tmp_path: Path) -> None:
    for number, has_weights in ((2, True), (10, True), (11, False)):
        folder = tmp_path / "lightning_logs" / "resnet34" / f"version_{number}"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.yaml").write_text("")
        if has_weights:
            (folder / "checkpoints" / "best.ckpt").write_text("weights")
    run = photographs.newest_run(tmp_path, "resnet34")
    assert run is not None
    assert run.folder.name == "version_10"
    assert photographs.newest_run(tmp_path / "lightning_logs", "resnet34") is not None
    assert photographs.newest_run(tmp_path, "convnext_t") is None
    with pytest.raises(UsageError, match="--runs: expected a folder with a finished run in conv"):
        script.trained(tmp_path, tmp_path, "convnext_t", 320)


def test_the_stages_have_a_line_for_each_installed_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Any:
        raise MissingDecoderError(f"no {name}")

    monkeypatch.setattr(pipeline_stages, "load", missing)
    monkeypatch.setattr(pipeline_stages, "CALLS", 1)
    monkeypatch.setattr(pipeline_stages, "FILES", 2)
    lines = pipeline_stages.stage_table(tmp_path, [64])
    assert [line.split(" | ")[1] for line in lines[2:4]] == ["`pillow`", "`pillow_draft`"]
    assert lines[4] == ""
    assert "opencv is left out: no opencv" in capsys.readouterr().err
