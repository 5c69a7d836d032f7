"""Usage programs of exported files, run as by a user; tests/golden compares their pixels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from src import formats
from src.data.preprocessing import Preprocessing, ResizeRule
from tests.golden.pixels import GOLDEN, IDS
from tests.support import identity_models


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("onnx_fp32", "turned_p_trns.png"),
        ("onnx_fp32", "orientation_5.jpg"),
        ("onnx_int8", "i16.png"),
        ("onnx_int8_dynamic", "cmyk.tif"),
    ],
)
def test_the_lines_of_an_onnx_file_run_alone(kind: str, name: str, tmp_path: Path) -> None:
    number = IDS.index("crop-bicubic-16")
    identity_models.onnx_file(GOLDEN.rules[number], tmp_path)
    (tmp_path / "picture.png").write_bytes(GOLDEN.file(name))
    program = formats.get(kind).usage(GOLDEN.facts(number))
    assert program
    program = program.replace("{folder}", str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"value {GOLDEN.input(number, name).argmax()}\n"


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("name", formats.names())
def test_every_format_says_how_it_is_used_in_a_few_lines(name: str, resize: ResizeRule) -> None:
    usage = formats.get(name).usage(Preprocessing(64, resize).facts())
    assert "{folder}/" in usage
    # 15 or 21 lines from the image to the class; the rest opens the file.
    assert len(usage.splitlines()) <= (32 if resize == "squash" else 38)
    assert max(map(len, usage.splitlines())) <= 100
    compile(usage, name, "exec")
