"""Every program that prepares a picture is held to the same pixels.

Training's evaluation, the lines of use and a bundle's ``predict.py`` give the golden input bit for
bit, the graph with the preprocessing inside to within one of 255 levels.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import IFDRational

from src.data.pipeline.image_file import UnreadableImageError, read_image
from src.data.preprocessing import Preprocessing
from src.run import usage_code
from src.run.facts import PreprocessingFacts
from src.run.layout import as_dict
from src.run.preprocessing_steps import steps_of
from tests.conftest import ROOT
from tests.golden import make_pixels
from tests.golden.pixels import GOLDEN, IDS, ROWS_MAY_BE_FIRST
from tests.support import identity_models
from tests.support.bundle_program import described, predict_module

EXAMPLES = ROOT / "examples"
RESOLUTION = 282  # a tag of EXIF
RULES = pytest.mark.parametrize("number", range(len(GOLDEN.rules)), ids=IDS)
# Whole numbers of 32 bits, which may be 16 bits or not: the lines of use do not look.
REFUSED_BY_LINES_OF_USE = {"i.pgm"}


def test_the_golden_file_is_what_its_script_makes() -> None:
    made = make_pixels.content()
    with np.load(make_pixels.PATH) as kept:
        assert set(kept) == set(made)
        for name in kept:
            if name.startswith(("file/", "refused/")):  # as compressed by zlib, which differs
                assert decoded(kept[name].tobytes()) == decoded(made[name].tobytes()), name
            elif not name.startswith("levels/") or ROWS_MAY_BE_FIRST:
                assert np.array_equal(kept[name], made[name]), name


def decoded(content: bytes) -> tuple[object, ...]:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.mode, picture.getexif().get(0x0112), picture.tobytes(), picture.getpalette()


def test_the_golden_file_has_every_mode_orientation_and_kind_of_shape() -> None:
    modes, orientations = set(), set()
    for name in GOLDEN.names:
        with Image.open(io.BytesIO(GOLDEN.file(name))) as picture:
            modes.add(picture.mode)
            orientations.add(picture.getexif().get(0x0112))
    assert modes == {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "I"}
    assert orientations >= set(range(1, 9))
    shapes = [GOLDEN.rgb(name).shape for name in GOLDEN.names]
    assert {"up", "down"} == {"up" if min(shape[:2]) < 15 else "down" for shape in shapes}
    assert sum(max(shape[:2]) > 36 * min(shape[:2]) for shape in shapes) >= 4
    assert make_pixels.PATH.stat().st_size < 1_000_000


@RULES
def test_training_prepares_the_golden_input_bit_for_bit(number: int, tmp_path: Path) -> None:
    evaluation = Preprocessing.of(GOLDEN.facts(number))
    paths = GOLDEN.write(tmp_path)
    for name in GOLDEN.comparable(number):
        given = evaluation(read_image(paths[name])).numpy()
        assert np.array_equal(given, GOLDEN.input(number, name)), name


def test_training_reads_the_golden_rgb_and_refuses_what_has_no_known_range(tmp_path: Path) -> None:
    for name, path in GOLDEN.write(tmp_path).items():
        assert np.array_equal(np.asarray(read_image(path)), GOLDEN.rgb(name)), name
    for name, content in GOLDEN.refused.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableImageError, match="range is not known"):
            read_image(tmp_path / name)


@RULES
def test_the_golden_rules_are_what_travels_with_a_file(number: int) -> None:
    rule, facts = GOLDEN.rules[number], GOLDEN.facts(number)
    assert as_dict(Preprocessing.of(facts).facts()) == rule
    assert Preprocessing.of(facts).steps() == steps_of(facts)


def seen_by_lines_of_use(rule: PreprocessingFacts) -> NDArray[np.float32]:
    """What the lines of use give a network for ``picture.png`` in the working folder."""
    seen: list[NDArray[np.float32]] = []

    def network(images: NDArray[np.float32]) -> NDArray[np.float64]:
        assert images.flags.c_contiguous
        seen.append(images)
        return np.array([[0.0, 1.0]])

    printed: list[object] = []
    program = usage_code.lines([], ["names = 'ab'"], rule, "network(images)")
    exec(program, {"network": network, "print": printed.append})  # noqa: S102  # our own text
    assert printed == ["b"]
    return seen[0]


@RULES
@pytest.mark.usefixtures("elsewhere")
def test_the_lines_of_use_prepare_the_golden_input_bit_for_bit(number: int) -> None:
    for name in GOLDEN.comparable(number):
        Path("picture.png").write_bytes(GOLDEN.file(name))
        if name in REFUSED_BY_LINES_OF_USE:
            with pytest.raises(SystemExit, match="32 bits a pixel, whose range is not known"):
                seen_by_lines_of_use(GOLDEN.facts(number))
            continue
        given = seen_by_lines_of_use(GOLDEN.facts(number))
        assert given.dtype == np.float32
        assert np.array_equal(given[0], GOLDEN.input(number, name)), name


@pytest.mark.usefixtures("elsewhere")
def test_the_lines_of_use_turn_a_photo_whose_exif_data_are_damaged_elsewhere() -> None:
    exif = make_pixels.exif(6)
    exif[RESOLUTION] = IFDRational(72, 1)
    pixels = make_pixels.noise((20, 26, 3), 60)
    content = make_pixels.encoded(Image.fromarray(pixels), "JPEG", exif=exif)
    # A resolution of -1, which ImageOps.exif_transpose cannot write.
    signed = content.replace(
        struct.pack(">HHI", RESOLUTION, 5, 1), struct.pack(">HHI", RESOLUTION, 10, 1), 1
    ).replace(struct.pack(">II", 72, 1), struct.pack(">iI", -1, 1), 1)
    assert signed != content
    with Image.open(io.BytesIO(signed)) as picture, pytest.raises(struct.error):
        ImageOps.exif_transpose(picture)
    Path("picture.png").write_bytes(content)
    expected = seen_by_lines_of_use(GOLDEN.facts(0))
    Path("picture.png").write_bytes(signed)
    assert np.array_equal(seen_by_lines_of_use(GOLDEN.facts(0)), expected)
    evaluation = Preprocessing.of(GOLDEN.facts(0))
    assert np.array_equal(expected[0], evaluation(read_image("picture.png")).numpy())


@pytest.mark.parametrize("name", GOLDEN.refused)
@pytest.mark.usefixtures("elsewhere")
def test_the_lines_of_use_refuse_in_one_line_what_has_no_known_range(name: str) -> None:
    Path("picture.png").write_bytes(GOLDEN.refused[name])
    with pytest.raises(SystemExit) as ended:
        seen_by_lines_of_use(GOLDEN.facts(0))
    assert ended.value.code == "picture.png: 32 bits a pixel, whose range is not known"


@RULES
def test_the_graph_is_within_a_level_of_the_golden_input(number: int, tmp_path: Path) -> None:
    rule = GOLDEN.rules[number]
    session = opened(identity_models.embedded_file(rule, tmp_path))
    given = {
        name: session.run(None, {"image": GOLDEN.rgb(name)})[0]
        for name in GOLDEN.comparable(number)
    }
    require_levels_off(given, number, most=1, share=0.02)


def opened(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def require_levels_off(given: dict[str, Any], number: int, most: int, share: float) -> None:
    """No value is off by more than ``most`` levels of 255, and only ``share`` of all by any."""
    std = np.array(GOLDEN.rules[number]["std"])[:, None, None]
    off = {
        name: identity_models.differences(probabilities, GOLDEN.input(number, name)) * std * 255
        for name, probabilities in given.items()
    }
    assert {name: levels.max() for name, levels in off.items() if levels.max() > most + 0.05} == {}
    assert np.mean([(levels > 0.05).mean() for levels in off.values()]) <= share


@pytest.fixture(scope="module")
def shipped() -> ModuleType:
    """A bundle's predict.py as a module."""
    return predict_module()


@RULES
def test_a_bundle_prepares_the_golden_input_bit_for_bit(
    number: int, tmp_path: Path, shipped: ModuleType
) -> None:
    rule = GOLDEN.rules[number]
    plain = shipped.Model(described(identity_models.onnx_file(rule, tmp_path / "model"), rule))
    for name in GOLDEN.comparable(number):
        given = plain.prepare(io.BytesIO(GOLDEN.file(name)))
        assert np.array_equal(given, GOLDEN.input(number, name)), name


def test_a_bundle_with_the_preprocessing_inside_reads_the_golden_rgb(
    tmp_path: Path, shipped: ModuleType
) -> None:
    rule = GOLDEN.rules[0]
    model = shipped.Model(described(identity_models.embedded_file(rule, tmp_path), rule))
    for name in GOLDEN.names:
        given = model.prepare(io.BytesIO(GOLDEN.file(name)))
        assert np.array_equal(given, GOLDEN.rgb(name)), name
    for content in GOLDEN.refused.values():
        with pytest.raises(shipped.UnreadableImageError):
            model.prepare(io.BytesIO(content))
