from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from src.data.preprocessing import Interpolation, Preprocessing, ResizeRule
from src.report.writers import cards
from src.run.folder import Run
from src.run.layout import as_dict
from tests.report.pages import card
from tests.report.planted import results, row, there


def manifest(**changes: Any) -> dict[str, Any]:
    entry = {
        "precision": "int8",
        "status": "ok",
        "reason": None,
        "files": [{"path": "model", "bytes": 1_500_000, "sha256": "sha of onnx"}],
        "usage": 'open("{folder}/model")',
        "runs_with": ["fast"],
    }
    return {
        "schema_version": 1,
        "run": "planted/version_0",
        "model": "planted",
        "parameters": 1_000_000,
        "macs": 2_000_000,
        "input_shape": [3, 64, 64],
        "num_classes": 2,
        "class_names": ["cat", "a | <b>"],
        "preprocessing": {
            "image_size": 64,
            "resize": "crop",
            "crop_share": 0.875,
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
        },
        "origin": {"dataset": "pets", "images": 99, "licence": "CC0", "pretrained": True},
        "checkpoint": {"path": "checkpoints/best.ckpt", "sha256": "abc", "epoch": 3},
        "calibration": {"split": "train", "images": 1, "images_sha256": ["abc"]},
        "formats": {"onnx": entry, "broken": {**entry, "status": "failed"}},
        **changes,
    }


def test_a_card_names_input_output_and_licence() -> None:
    text = card("onnx", manifest(), None)
    for part in (
        "# planted as onnx",
        "pets, 99 images, from published weights",
        "`(N, 3, 64, 64)` float32",
        "the shorter side to 73 pixels, then the middle 64x64",
        "mean 0.5, 0.5, 0.5, std 0.25, 0.25, 0.25",
        "`(N, 2)` float32 logits",
        "cat, a \\| &lt;b>",
        "Images: CC0.",
        "ImageNet",
        "torchvision's is BSD-3-Clause, timm's Apache-2.0",
        'open("model")',
        "Needs fast, numpy, pillow",
        "| model | 1500000 | sha of onnx |",
        "Nothing was measured of this very file yet",
    ):
        assert part in text, part


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_card_names_every_preprocessing_step(
    resize: ResizeRule, interpolation: Interpolation
) -> None:
    rule = Preprocessing(64, resize, (0.5,) * 3, (0.25,) * 3, interpolation)
    text = card("onnx", manifest(preprocessing=as_dict(rule.facts())), None)
    [line] = [line for line in text.splitlines() if line.startswith("- **Input**")]
    how = f"resized ({interpolation}, antialiased) with"
    crop = (
        "without the ends if it is over 32 times as long as wide, "
        f"{how} the shorter side to 73 pixels, then the middle 64x64"
    )
    squash = f"{how} both sides to 64 pixels, whatever the aspect ratio"
    assert line == (
        "- **Input**: `(N, 3, 64, 64)` float32, any N. Of a picture: turned upright by its EXIF "
        "orientation, in RGB of 8 bits (16 bits are divided by 257 and rounded, transparency is "
        f"dropped), {crop if resize == 'crop' else squash}, scaled to 0 to 1, then "
        "`(value - mean) / std` by channel, mean 0.5, 0.5, 0.5, std 0.25, 0.25, 0.25."
    )


def test_a_card_has_the_figures_of_this_very_file_only() -> None:
    measured = results(row("onnx"))
    assert "| batch 1 p50 ms | 12.30 |" in card("onnx", manifest(), measured)
    settings = {"runtime": "onnxruntime-web 1.30.0", "browser": "Chrome 150", "threads": 1}
    page = row("onnx", device="browser", effective=settings, sha256=measured["rows"][0]["sha256"])
    both = card("onnx", manifest(), results(measured["rows"][0], page))
    assert "a CPU, 2 threads" in both
    assert "a CPU, in a web page of Chrome 150, 1 thread" in both
    again = manifest()
    again["formats"]["onnx"]["files"][0]["sha256"] = "another"
    text = card("onnx", again, measured)
    assert "p50" not in text
    assert "Nothing was measured" in text


def test_the_card_of_a_twin_says_that_it_is_another_network() -> None:
    plain = card("onnx", manifest(), None)
    assert "an image classifier of 2 classes and 1.00 M parameters" in plain
    of_twin = manifest()
    summary = ["This file computes another network than the trained one."]
    of_twin["formats"]["onnx"]["details"] = {"summary": summary, "of_twin": True}
    text = card("onnx", of_twin, None)
    assert "The int8 twin of planted, an image classifier of 2 classes, exported as" in text
    assert "- This file computes another network than the trained one." in text
    assert "M parameters" not in text
    of_twin["formats"]["onnx"]["details"] = {"summary": summary}
    assert card("onnx", of_twin, None) == plain


def test_cards_are_written_into_the_existing_export_folders(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for name in ("onnx", "broken"):
        (run.exports / name).mkdir(parents=True)
    run.manifest.write_text(json.dumps(manifest()))
    cards.write(run)
    assert "# planted as onnx" in (run.exports / "onnx" / "README.md").read_text()
    assert not list((run.exports / "broken").iterdir())


def test_a_card_can_be_made_from_an_older_manifest() -> None:
    old = manifest()
    del old["origin"]
    for name in ("usage", "runs_with"):
        del old["formats"]["onnx"][name]
    del old["formats"]["onnx"]["files"][0]["sha256"]
    text = card("onnx", old, results(row("onnx")))
    assert "not kept" in text
    assert "How to load it" not in text
    assert "Nothing was measured of this very file" in text


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (None, "`(N, 3, 64, 64)` float32, any N"),
        (1, "`(1, 3, 64, 64)` float32, one image a call"),
        (64, "`(N, 3, 64, 64)` float32, N up to 64"),
        (True, "`(N, 3, 64, 64)` float32, any N"),
        ("`1`", "`(N, 3, 64, 64)` float32, any N"),
    ],
)
def test_a_card_says_how_many_images_a_call_takes(most: object, words: str) -> None:
    content = manifest()
    content["formats"]["onnx"]["details"] = {"most_images": most}
    text = card("onnx", content, None)
    assert f"- **Input**: {words}. Of a picture: " in text
    first = "1" if "one image" in words else "N"
    assert f"- **Output**: `({first}, 2)` float32 logits" in text


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("reduce_range", "tried", "told"),
    [(False, None, True), (False, "pass", False), (False, "fail", True), (True, None, False)],
)
def test_a_card_says_which_processors_an_int8_file_is_for(
    runtime: str, reduce_range: bool, tried: str | None, told: bool
) -> None:
    content = manifest()
    content["formats"]["onnx"]["details"] = {"reduce_range": reduce_range}
    content["formats"]["onnx"]["runs_with"] = [runtime]
    answers = [there("avx2", verdict=tried)] if tried else []
    measured = results(row("onnx", sha256={"model": "sha of onnx"}, instruction_sets=answers))
    text = card("onnx", content, measured)
    assert ("- **Processors**: those with an int8 dot product (AVX-512 VNNI, " in text) is told
    assert ("`session.x64quantprecision=1`.\n" in text) is (told and runtime == "onnxruntime")
