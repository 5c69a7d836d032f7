"""The preprocessing inside an ONNX file, beside Pillow's and torchvision's."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

from src import formats
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.export.options import ExportOptions
from src.run.layout import as_dict
from tests.support import photos
from tests.support.identity_models import embedded_file

SIZE = 24
SIDES = [(200, 320), (321, 167), (24, 24), (27, 28), (19, 13), (9, 150), (400, 301), (25, 60)]
LONG_SIDES = [(2, 3001), (1, 70), (900, 11), (5, 777)]  # of which crop cuts the ends off first
RULES = [
    Preprocessing(SIZE, "squash"),
    Preprocessing(SIZE, "crop"),
    Preprocessing(SIZE, "squash", interpolation="bicubic"),
    Preprocessing(SIZE, "crop", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bicubic", 0.9),
]


def seen(model: onnx.ModelProto, feed: dict[str, Any]) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    ).run(None, feed)[0]


def embedded_model(rule: Preprocessing, folder: Path) -> onnx.ModelProto:
    """An embedded file whose "network" gives its own input, flat, as the logits."""
    return onnx.load(embedded_file(as_dict(rule.facts()), folder))


def levels(model: onnx.ModelProto, rule: Preprocessing, picture: np.ndarray) -> np.ndarray:
    """What the graph gives its network, back on the scale of 0 to 255, (H, W, 3)."""
    shape = [1, 3, SIZE, SIZE]
    [logits] = [node.input[0] for node in model.graph.node if node.op_type == "Flatten"]
    model.graph.output.append(onnx.helper.make_tensor_value_info(logits, 1, shape))
    values = seen_last(model, {"image": picture})[0].transpose(1, 2, 0)
    return (values * np.array(rule.std) + np.array(rule.mean)) * 255


def seen_last(model: onnx.ModelProto, feed: dict[str, Any]) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)[-1]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.resize}-{rule.interpolation}")
def test_the_graph_resizes_as_pillow_does(rule: Preprocessing, tmp_path: Path) -> None:
    for seed, (height, width) in enumerate(SIDES):
        picture = photos.pixels(height, width, seed)
        model = embedded_model(rule, tmp_path)
        ours = levels(model, rule, picture)
        theirs = np.asarray(rule.spatial()(Image.fromarray(picture))).astype(float)
        difference = np.abs(ours - theirs)
        # One of 255 where a float32 rounds to the other side. Enlarging 24 to 27 gives eighteenths,
        # of which every ninth or so is a tie; other sizes have a percent.
        assert difference.max() < 1.01, (height, width)
        assert (difference > 0.5).mean() < (0.12 if height == 24 else 0.03), (height, width)
        assert np.abs(difference - difference.round()).max() < 1e-3


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.resize}-{rule.interpolation}")
def test_the_graph_cuts_long_pictures_as_the_preprocessing_does(
    rule: Preprocessing, tmp_path: Path
) -> None:
    model = embedded_model(rule, tmp_path)
    for seed, sides in enumerate(LONG_SIDES):
        picture = np.random.default_rng(seed).integers(0, 256, (*sides, 3), dtype=np.uint8)
        ours = levels(copy.deepcopy(model), rule, picture)
        theirs = np.asarray(rule.spatial()(Image.fromarray(picture))).astype(float)
        assert np.abs(ours - theirs).max() < 2.01, sides


def test_the_graph_resizes_no_more_of_a_long_picture_than_it_needs(tmp_path: Path) -> None:
    model = embedded_model(Preprocessing(SIZE, "crop"), tmp_path)
    model.graph.output.append(onnx.helper.make_tensor_value_info("preprocessing/resized", 2, None))
    resized = seen_last(model, {"image": np.zeros((100_000, 1, 3), np.uint8)})
    assert resized.size < 3 * 40 * (SIZE / 0.875) ** 2


def test_only_standard_operators_are_used(tmp_path: Path) -> None:
    for rule in RULES:
        model = embedded_model(rule, tmp_path)
        assert {node.domain for node in model.graph.node} == {""}
        assert [each.domain for each in model.opset_import] == [""]


def test_the_file_says_that_its_preprocessing_is_inside(tmp_path: Path) -> None:
    model = embedded_model(RULES[0], tmp_path)
    metadata = {each.key: each.value for each in model.metadata_props}
    assert metadata["preprocessing_embedded"] == "true"
    assert json.loads(metadata["preprocessing"])["image_size"] == SIZE
    [given], [answer] = model.graph.input, model.graph.output
    assert (given.name, answer.name) == ("image", "probabilities")
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    probabilities = seen(model, {"image": photos.pixels(30, 40)})
    assert probabilities.shape == (3 * SIZE * SIZE,)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_every_onnx_format_can_hold_its_preprocessing() -> None:
    """But for that of another build of ONNX Runtime, whose file would be that of onnx_fp32."""
    for name in formats.names():
        kind = formats.get(name)
        onnx_file = kind.runs_with == ("onnxruntime",) and kind.environment is None
        assert kind.embeds is onnx_file, name


def test_the_option_is_refused_where_no_format_could_follow_it() -> None:
    with pytest.raises(UsageError, match=r"export.embed_preprocessing: .*found eager, torchscript"):
        ExportOptions(formats=["eager", "torchscript"], embed_preprocessing=True)
    ExportOptions(formats=["eager", "onnx_int8"], embed_preprocessing=True)
