"""The examples and the lines of use open a file and read an image by the rules of a bundle."""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src import formats
from src.backends.onnx import exact_sums
from src.shipped import machine, predict_images, runtime_onnxruntime
from tests.conftest import ROOT
from tests.golden.pixels import GOLDEN
from tests.support import damaged_images, identity_models

EXAMPLES = ROOT / "examples"
IN_PYTHON = {"python": "onnxruntime", "openvino": "openvino"}  # the runtime of each
X86 = ("x86_64", "AMD64", "i686")
CPUINFO = {
    "flags\t: fpu avx2 fma\n": True,
    "flags\t: fpu avx2 avx512f\n": True,
    "flags\t: fpu avx2 avx512f avx512_vnni\n": False,
    "flags\t: fpu avx2 avx_vnni\n": False,
    "flags\t: fpu avx2 amx_int8\n": False,
    "model name\t: avx_vnnix\nflags\t: fpu avx2\n": True,
    "": True,  # not known, as on Windows
}


def example(name: str) -> Any:
    """Import an example in Python."""
    pytest.importorskip(IN_PYTHON[name])
    path = EXAMPLES / name / "classify.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on(cpuinfo: str, architecture: str, root: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the bundle's program see this processor."""
    (root / "proc").mkdir()
    if cpuinfo:
        (root / "proc" / "cpuinfo").write_text(cpuinfo, encoding="utf-8")
    patch.setattr(machine, "ROOT", root)
    patch.setattr(platform, "machine", lambda: architecture)


def sums_of_lines(root: Path) -> bool:
    """Run the lines of use; return True if they ask for exact sums."""
    entries: dict[str, str] = {}
    options = SimpleNamespace(add_session_config_entry=entries.__setitem__)
    names = {
        "pathlib": pathlib,
        "platform": platform,
        "onnxruntime": SimpleNamespace(SessionOptions=lambda: options),
    }
    program = "\n".join(exact_sums.program_lines())
    assert program.count('"/proc/cpuinfo"') == 1
    program = program.replace('"/proc/cpuinfo"', repr(str(root / "proc" / "cpuinfo")))
    exec(program, names)  # noqa: S102  # our own text
    assert entries in ({}, {exact_sums.EXACT_SUMS: "1"})
    return bool(entries)


@pytest.mark.parametrize("architecture", [*X86, "aarch64", "arm64"])
@pytest.mark.parametrize(("cpuinfo", "may"), CPUINFO.items())
def test_every_program_asks_for_exact_sums_on_the_same_processors(
    architecture: str, cpuinfo: str, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(cpuinfo, architecture, tmp_path, monkeypatch)
    expected = may and architecture in X86
    assert machine.may_lack_dot_product() is expected
    assert sums_of_lines(tmp_path) is expected
    program = example("python")
    program.ROOT = tmp_path
    assert program.may_saturate() is expected
    chosen = program.options()
    if expected:
        assert chosen.get_session_config_entry(runtime_onnxruntime.EXACT_SUMS) == "1"
    else:
        with pytest.raises(RuntimeError):
            chosen.get_session_config_entry(runtime_onnxruntime.EXACT_SUMS)


def in_node(expression: str, cases: list[Any]) -> list[Any]:
    """Return the values of an expression of ``processor.mjs`` for each case."""
    if shutil.which("node") is None:
        pytest.skip("no node")
    program = (
        f"import * as processor from {json.dumps((EXAMPLES / 'node/processor.mjs').as_uri())};\n"
        f"const cases = {json.dumps(cases)};\n"
        f"console.log(JSON.stringify(cases.map((one) => {expression})));"
    )
    ended = subprocess.run(
        ["node", "--input-type=module", "-e", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    values: list[Any] = json.loads(ended.stdout)
    return values


def test_the_node_example_asks_for_exact_sums_on_the_same_processors() -> None:
    of_node = {"x64": True, "ia32": True, "arm64": False, "arm": False}
    cases = [[name, cpuinfo] for name in of_node for cpuinfo in CPUINFO]
    expected = [is_x86 and may for is_x86 in of_node.values() for may in CPUINFO.values()]
    assert in_node("processor.maySaturate(...one)", cases) == expected
    source = (EXAMPLES / "node" / "processor.mjs").read_text(encoding="utf-8")
    _, _, option = exact_sums.EXACT_SUMS.partition(".")
    assert f'{{ session: {{ {option}: "1" }} }}' in source


LIMITS: dict[str | None, int] = {
    None: 8,
    "max 100000\n": 8,
    "200000 100000\n": 2,
    "150000 100000\n": 2,
    "50000 100000\n": 1,
    "6400000 100000\n": 8,
    "\n": 8,
}


@pytest.mark.parametrize(("limit", "cores"), LIMITS.items())
@pytest.mark.parametrize("name", IN_PYTHON)
def test_an_example_in_python_counts_the_cores_of_its_container_as_a_bundle_does(
    name: str, limit: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    if limit is not None:
        (group / "cpu.max").write_text(limit, encoding="utf-8")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4, 12)))
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    program = example(name)
    program.ROOT = tmp_path
    assert (program.usable_cores(), machine.usable_cores()) == (cores, cores)


def test_the_node_example_counts_the_cores_of_its_container_as_a_bundle_does() -> None:
    cases = [[8, limit or ""] for limit in LIMITS]
    assert in_node("processor.usableCores(...one)", cases) == list(LIMITS.values())


def test_the_python_example_tells_the_runtime_its_threads_only_where_not_all_cores_are_usable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = example("python")
    monkeypatch.setattr(program.os, "cpu_count", lambda: 4)
    for usable, threads in ((4, 0), (3, 3), (1, 1)):
        monkeypatch.setattr(program, "usable_cores", lambda number=usable: number)
        assert program.options().intra_op_num_threads == threads


@pytest.mark.parametrize("name", formats.names())
def test_the_lines_of_use_of_every_int8_onnx_file_ask_for_exact_sums(name: str) -> None:
    kind = formats.get(name)
    facts = GOLDEN.facts(0)
    programs = [kind.usage(facts), kind.pixel_usage(facts)]
    lines = "\n".join(exact_sums.program_lines())
    is_int8 = kind.precision == "int8" and "onnxruntime" in kind.runs_with
    for program in filter(None, programs):
        assert (lines in program) is is_int8
        if is_int8:
            assert "InferenceSession(" in program
            assert "options, providers=providers)" in program


def test_the_examples_in_python_read_an_image_by_one_text() -> None:
    python, openvino = example("python"), example("openvino")
    for name in ("upright_rgb", "usable_cores"):
        assert inspect.getsource(getattr(python, name)) == inspect.getsource(
            getattr(openvino, name)
        )
    for program in (python, openvino):
        assert program.DECODED == predict_images.DECODED
        for name in ("ORIENTATION", "MOST_PIXELS", "LONGEST_SIDE"):
            assert getattr(program, name) == getattr(predict_images, name)
        assert program.UPRIGHT == predict_images.UPRIGHT


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (9, 7), (value, 40, 90)) for value in (10, 250)]
    file = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


ODD: dict[str, Callable[[], bytes]] = {
    **{content.__name__: content for content in damaged_images.READABLE},
    "a_grey_picture_of_16_bits": lambda: b"P5 2 1 65535\n" + bytes([0, 0, 255, 255]),
    "an_animated_gif": lambda: animated("GIF"),
    "an_animated_webp": lambda: animated("WEBP"),
    "an_animated_png": lambda: animated("PNG"),
}


@pytest.mark.parametrize("content", ODD)
def test_an_example_in_python_reads_an_odd_image_as_a_bundle_does(
    content: str, tmp_path: Path
) -> None:
    path = tmp_path / "ein schönes Bild 猫.img"
    path.write_bytes(ODD[content]())
    expected = np.asarray(predict_images.read_image(path))
    for name in IN_PYTHON:
        assert np.array_equal(np.asarray(example(name).upright_rgb(str(path))), expected)


@pytest.mark.parametrize("content", damaged_images.UNREADABLE)
def test_an_example_in_python_refuses_what_a_bundle_refuses(
    content: Callable[[], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "image"
    path.write_bytes(content())
    for name in IN_PYTHON:
        with pytest.raises(Exception):  # noqa: B017, PT011  # decoders raise anything
            example(name).upright_rgb(str(path))


def run_python_example(model: Path | str, *images: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "python" / "classify.py", model, *images],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_python_example_names_what_it_cannot_read_answers_the_rest_and_ends_with_1(
    tmp_path: Path,
) -> None:
    model = identity_models.embedded_file(GOLDEN.rules[0], tmp_path / "model")
    good, empty = tmp_path / "good ü.png", tmp_path / "empty.png"
    Image.new("RGB", (1, 1)).save(good)
    empty.write_bytes(b"")
    ended = run_python_example(model, good, empty, tmp_path, tmp_path / "absent.png", good)
    assert ended.returncode == 1
    assert [json.loads(line)["image"] for line in ended.stdout.splitlines()] == [str(good)] * 2
    assert len(ended.stderr.splitlines()) == 3
    assert run_python_example(model, good).returncode == 0


def test_the_python_example_says_in_one_line_that_a_file_is_no_model_for_it(
    tmp_path: Path,
) -> None:
    plain = identity_models.onnx_file(GOLDEN.rules[0], tmp_path / "plain")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"no model")
    for model, told in (
        (plain, "expected a file with its preprocessing inside"),
        (damaged, "cannot be opened"),
        (tmp_path / "absent.onnx", "cannot be opened"),
    ):
        ended = run_python_example(model, tmp_path / "image.png")
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"error: {model}")
        assert told in line


def test_the_openvino_example_reports_its_use_to_nobody(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    planted = tmp_path / "openvino_telemetry"
    planted.mkdir()
    (planted / "__init__.py").write_text("raise SystemExit('asked the network')\n")
    ended = subprocess.run(
        [sys.executable, EXAMPLES / "openvino" / "classify.py"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr.startswith("error: expected a model and images")
