"""The examples prepare the golden pictures as training does.

Each is run as its head says, with a file whose "network" gives its own input as the logits.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from src.shipped import predict_images
from tests.conftest import ROOT
from tests.golden.pixels import GOLDEN, IDS
from tests.golden.test_golden_pixels import require_levels_off
from tests.support import identity_models

EXAMPLES = ROOT / "examples"
CROP_BICUBIC = IDS.index("crop-bicubic-16")


def answers(command: list[str | Path], code: int = 0, **options: Any) -> list[str]:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert ended.returncode == code, ended.stderr
    return ended.stdout.splitlines()


def by_json(
    command: list[str | Path], paths: dict[str, Path], refused: set[str], **options: Any
) -> dict[str, Any]:
    """Each picture's probabilities, by its name; without those that the program refuses."""
    named = {str(path): name for name, path in paths.items()}
    code = 1 if refused & set(paths) else 0
    lines = map(json.loads, answers([*command, *paths.values()], code, **options))
    given = {named[line["image"]]: line["probabilities"] for line in lines}
    assert set(given) == set(paths) - refused
    return given


def golden_paths(number: int, folder: Path) -> dict[str, Path]:
    paths = GOLDEN.write(folder)
    return {name: paths[name] for name in GOLDEN.comparable(number)}


def test_the_python_example_reads_the_golden_rgb(tmp_path: Path) -> None:
    paths = golden_paths(CROP_BICUBIC, tmp_path / "pictures")
    model = identity_models.embedded_file(GOLDEN.rules[CROP_BICUBIC], tmp_path)
    program = EXAMPLES / "python" / "classify.py"
    given = by_json([sys.executable, program, model], paths, refused=set())
    require_levels_off(given, CROP_BICUBIC, most=1, share=0.02)


@pytest.mark.parametrize(
    "number",
    [
        number if number == CROP_BICUBIC else pytest.param(number, marks=pytest.mark.slow)
        for number in range(len(IDS))
    ],
    ids=IDS,
)
def test_the_openvino_example_prepares_the_golden_input(number: int, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    rule = GOLDEN.rules[number]
    graph = openvino.convert_model(identity_models.onnx_file(rule, tmp_path / "onnx"))
    for name, value in identity_models.metadata(rule).items():
        graph.set_rt_info(json.dumps(value), ["lightship", name])
    graph.set_rt_info("f32", ["lightship", "inference_precision"])
    openvino.save_model(graph, tmp_path / "model.xml", compress_to_fp16=False)
    paths = golden_paths(number, tmp_path / "pictures")
    program = EXAMPLES / "openvino" / "classify.py"
    model = tmp_path / "model.xml"
    given = by_json([sys.executable, program, model], paths, refused=set())
    require_levels_off(given, number, most=0, share=0)


class Flat(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*")  # TorchScript, on purpose
def test_the_cpp_example_prepares_the_golden_input(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    program = tmp_path / "classify"
    build = [EXAMPLES / "cpp" / "build", program]
    answers(build, env={**os.environ, "PYTHON": sys.executable})
    for number, rule in enumerate(GOLDEN.rules):
        model, extra = tmp_path / "model.pt", json.dumps(identity_models.metadata(rule))
        torch.jit.script(Flat()).save(model, _extra_files={"lightship.json": extra})
        paths = {name: tmp_path / f"{index}.ppm" for index, name in enumerate(GOLDEN.names)}
        for name, path in paths.items():  # which reads PPM only
            Image.fromarray(np.ascontiguousarray(GOLDEN.rgb(name))).save(path)
        lines = answers([program, model, *paths.values()])
        given = {
            name: [float(value) for value in line.split()[1:]]
            for name, line in zip(paths, lines, strict=True)
        }
        require_levels_off(given, number, most=1, share=0.03)
    require_bounded_headers(program, model, tmp_path)
    require_half_to_even(program, tmp_path)
    require_threads(program, tmp_path)


def require_half_to_even(program: Path, folder: Path) -> None:
    """A side such as 60 / 0.96 = 62.5 is rounded as in training, to 62."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "noise.ppm")
    for size, share in ((60, 0.96), (130, 0.8), (134, 0.8)):  # 62.5, 162.5, 167.5
        rule = GOLDEN.rules[CROP_BICUBIC] | {"image_size": size, "crop_share": share}
        extra = json.dumps(identity_models.metadata(rule))
        torch.jit.script(Flat()).save(folder / "half.pt", _extra_files={"lightship.json": extra})
        (line,) = answers([program, folder / "half.pt", folder / "noise.ppm"])
        given = np.array([float(value) for value in line.split()[1:]])
        image = predict_images.read_image(folder / "noise.ppm")
        values = predict_images.preprocess(image, rule).astype(np.float64).ravel()
        expected = np.exp(values - values.max())
        assert np.abs(given / (expected / expected.sum()) - 1).max() < 0.05, (size, share)


class Parallel(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.exp(torch.zeros(4_000_000)).sum().reshape(1, 1) * 0


def require_threads(program: Path, folder: Path) -> None:
    """The threads are those of the container's quota, which libtorch does not look at."""
    extra = json.dumps(identity_models.metadata(GOLDEN.rules[CROP_BICUBIC]))
    model, image, blocked = (folder / name for name in ("threads.pt", "black.ppm", "blocked"))
    torch.jit.script(Parallel()).save(model, _extra_files={"lightship.json": extra})
    Image.new("RGB", (64, 64)).save(image)
    os.mkfifo(blocked)
    counts = []
    for cpu_max in ("max 100000", "150000 100000", "20000 100000"):
        (folder / "cpu.max").write_text(cpu_max)
        environment = os.environ | {"OMP_NUM_THREADS": "2", "CPU_MAX": str(folder / "cpu.max")}
        with subprocess.Popen(
            [program, model, image, blocked], env=environment, stdout=subprocess.DEVNULL
        ) as running:
            # It is opened after the first image has its answer.
            with blocked.open("wb") as pipe:
                counts.append(len([*Path(f"/proc/{running.pid}/task").iterdir()]))
                pipe.write(b"P6 1 1 255\n   ")
            assert running.wait() == 0
    without, of_two, of_one = counts  # libtorch has a further thread where it has several
    assert (of_two, of_one) == (without, 1)
    assert without > 1 or os.cpu_count() == 1


def require_bounded_headers(program: Path, model: Path, folder: Path) -> None:
    """Comments in the head of a PPM file are passed over; one without pixels is refused."""
    path, pixels = folder / "head.ppm", bytes(range(12))
    heads = (b"P6 2 2 255\n", b"P6\n# by an editor\n2 # wide\n2\n#\n255\n", b"P6\n2\n2\n255 ")
    given = set()
    for head in heads:
        path.write_bytes(head + pixels)
        given |= set(answers([program, model, path]))
    assert len(given) == 1
    for head in (b"P6 0 2 255\n", b"P6 2 0 255\n", b"P6 -2 2 255\n", b"P6 99999999 99999999 255\n"):
        path.write_bytes(head + pixels)
        ended = subprocess.run([program, model, path], capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert f"{path}: no pixels, or more than 178956970" in ended.stderr


@pytest.mark.slow
def test_the_node_example_reads_the_golden_rgb(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no node and npm")
    folder = shutil.copytree(
        EXAMPLES / "node", tmp_path / "node", ignore=shutil.ignore_patterns("node_modules")
    )
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"],
        cwd=folder,
        # Its installer would fetch CUDA's libraries from elsewhere.
        env={**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"},
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"npm could not install: {installed.stderr.strip().splitlines()[-1]}")
    rule = GOLDEN.rules[CROP_BICUBIC]
    bundle = identity_models.embedded_file(rule, tmp_path / "model").parent
    names = identity_models.metadata(rule)["class_names"]
    (bundle / "class_names.json").write_text(json.dumps(names))
    paths = golden_paths(CROP_BICUBIC, tmp_path / "pictures")
    # sharp cannot decode i.pgm, which is named.
    given = by_json(["node", "classify.mjs", bundle], paths, {"i.pgm"}, cwd=folder)
    # sharp cuts 16 bits off where Pillow's are rounded, and converts CMYK by a colour profile.
    deep = {name: each for name, each in given.items() if "i16" in name}
    rest = {name: each for name, each in given.items() if "i16" not in name and "cmyk" not in name}
    require_levels_off(deep, CROP_BICUBIC, most=2, share=1)
    require_levels_off(rest, CROP_BICUBIC, most=1, share=0.02)
