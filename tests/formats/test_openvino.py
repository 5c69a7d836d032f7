"""Formats of OpenVINO: files, settings, precision, crashes, and no telemetry."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from src import formats
from src.backends.base import ExportSource, Profile, Unavailable
from src.backends.openvino import file
from src.backends.openvino.runtime import Layer, OpenVinoRuntime, operations
from src.export.source import make_source
from src.export.stage import export_one
from src.models.network import NetworkSpec
from src.quantization import evaluation
from src.system import machine
from tests.conftest import ROOT
from tests.formats.test_contract import CLASSES, PREPROCESSING
from tests.support.small_network import small_network

NAMES = [
    name
    for name in formats.names()
    if name.startswith("openvino") and not formats.get(name).of_twin
]
IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    torch.manual_seed(0)
    spec, network = NetworkSpec("small", len(CLASSES)), small_network(len(CLASSES), IMAGES)
    scratch = tmp_path_factory.mktemp("scratch")
    return make_source(network, spec, CLASSES, IMAGES, PREPROCESSING, scratch)


@pytest.fixture(scope="module")
def exported(
    source: ExportSource, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of a format, which is exported at its first use."""

    @functools.cache
    def export(name: str) -> Path:
        folder = tmp_path_factory.mktemp("exports") / name
        assert export_one(name, source, folder).status == "ok"
        return folder

    return export


@pytest.mark.parametrize("name", NAMES)
def test_a_file_needs_openvino_and_nothing_else(
    name: str, source: ExportSource, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = exported(name)
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "model.xml"]
    text = (folder / "model.xml").read_text()
    assert str(ROOT) not in text
    assert str(source.scratch) not in text
    program = """
import json, sys
sys.modules["openvino_telemetry"] = None
import numpy, openvino
model = openvino.Core().read_model(sys.argv[1])
logits = openvino.compile_model(model, "CPU")({"images": numpy.zeros((5, 3, 32, 32), "f")})
assert "torch" not in sys.modules
print(json.dumps([logits["logits"].shape, *(
    json.loads(model.get_rt_info(["lightship", key]).astype(str))
    for key in ("class_names", "preprocessing"))]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", program, folder / "model.xml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == [
        [5, len(CLASSES)],
        CLASSES,
        msgspec.to_builtins(PREPROCESSING),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_are_those_of_the_compiled_model(
    name: str, exported: Callable[[str], Path]
) -> None:
    if name == "openvino_bf16" and not machine.has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    settings = formats.get(name).load(exported(name), "cpu", 1).settings
    assert settings["runtime"].startswith("openvino 20")
    assert (settings["device"], settings["threads"], settings["streams"]) == ("cpu", 1, 1)
    assert settings["inference_precision"] == ("bf16" if name == "openvino_bf16" else "f32")


@pytest.fixture(scope="module")
def fp32(exported: Callable[[str], Path]) -> Path:
    return exported("openvino_fp32")


def test_every_batch_size_is_compiled_once_and_answers_the_same(
    fp32: Path, source: ExportSource
) -> None:
    runtime = formats.get("openvino_fp32").load(fp32, "cpu", 1)
    images = IMAGES.numpy()
    whole = runtime(images)
    request = runtime._requests[4]  # type: ignore[attr-defined]
    pairs = np.concatenate([runtime(images[:2]), runtime(images[2:])])
    alone = np.concatenate([runtime(image[None]) for image in images])
    assert np.allclose(pairs, whole, atol=1e-4)
    assert np.allclose(alone, whole, atol=1e-4)
    assert np.array_equal(runtime(images), whole)
    assert runtime._requests[4] is request  # type: ignore[attr-defined]
    assert sorted(runtime._requests) == [1, 2, 4]  # type: ignore[attr-defined]


def test_a_graph_in_memory_stays_as_it_was(source: ExportSource) -> None:
    graph = file.model(source)
    before = str(graph.input(0).partial_shape)
    OpenVinoRuntime(graph, "cpu", 1, "f32")(IMAGES.numpy())
    assert str(graph.input(0).partial_shape) == before


def test_an_image_of_another_size_is_refused(fp32: Path) -> None:
    runtime = formats.get("openvino_fp32").load(fp32, "cpu", 1)
    for count in (1, 3):
        with pytest.raises(RuntimeError, match="shape"):
            runtime(np.zeros((count, 3, 40, 40), np.float32))


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_an_int8_file_runs_its_float_part_as_it_says(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool
) -> None:
    if has_bfloat16 and not machine.has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    tmp_path.joinpath("int8").mkdir()
    file.write(file.model(source), source, tmp_path / "int8", half=False, precision="bf16")
    assert file.said_precision(tmp_path / "int8") == "bf16"
    monkeypatch.setattr(machine, "has_bfloat16", lambda: has_bfloat16)
    runtime = formats.get("openvino_int8").load(tmp_path / "int8", "cpu", 1)
    # Made on a processor with bf16, it runs on one without.
    assert runtime.settings["inference_precision"] == ("bf16" if has_bfloat16 else "f32")


def test_a_file_of_before_that_is_silent_is_fp32_and_nonsense_is_refused(
    fp32: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(fp32, tmp_path / "copy")
    text = (folder / "model.xml").read_text()
    said = '<inference_precision value="f32" />'
    assert said in text
    (folder / "model.xml").write_text(text.replace(said, ""))
    assert file.said_precision(folder) == "f32"
    (folder / "model.xml").write_text(text.replace(said, '<inference_precision value="f64" />'))
    with pytest.raises(ValueError, match="inference_precision: expected f32 or bf16, found 'f64'"):
        formats.get("openvino_int8").load(folder, "cpu", 1)


def test_bf16_is_unavailable_where_the_processor_does_not_multiply_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "instruction_sets", lambda: ("AVX2", "AVX-512"))
    with pytest.raises(Unavailable, match="does not multiply bfloat16 natively"):
        formats.get("openvino_bf16").load(tmp_path, "cpu", 1)


@pytest.mark.parametrize("name", NAMES)
def test_openvino_and_nncf_send_no_telemetry(name: str, tmp_path: Path) -> None:
    program = """
import importlib, sys
from src import formats
kind = formats.get(sys.argv[1])
for package in {*kind.requires, *kind.runs_with} - {"onnx", "onnxscript"}:
    importlib.import_module(package)
print([name for name in sys.modules if name.startswith("openvino_telemetry.")])
"""
    (tmp_path / "intel").mkdir()
    (tmp_path / "intel" / "openvino_telemetry").write_text("0")  # even if this test is to fail
    answer = subprocess.run(
        [sys.executable, "-c", program, name],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "[]"


def _time_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_TIMED_SECONDS", 0.01)
    monkeypatch.setattr(evaluation, "_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(evaluation, "_MAX_SECONDS", 0.01)


def test_int8_gives_up_a_bit_where_sums_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    from src.formats import openvino_int8
    from src.quantization.openvino import quantizer

    monkeypatch.setattr(machine, "is_arm", lambda: False)
    for isa, expected in ((("AVX2",), "enable"), (("AVX2", "AVX-512 VNNI"), "disable")):
        monkeypatch.setattr(machine, "instruction_sets", lambda isa=isa: isa)
        for recipe in openvino_int8.RECIPES:
            settings = quantizer.settings(recipe.preset)
            assert settings["advanced_parameters"].overflow_fix.value.startswith(expected)


@pytest.mark.slow
def test_the_int8_recipe_is_chosen_by_images_that_it_was_not_calibrated_on(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.formats import openvino_int8

    _time_briefly(monkeypatch)
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        labels = source.network(images).argmax(dim=1)
    judged = dataclasses.replace(source, selection=(images, labels), max_accuracy_drop=0.99)
    details = export_one("openvino_int8", judged, tmp_path / "openvino_int8").details
    names = [row[0] for row in details.table.rows]
    # The network has no activation to harden; what it has in float may be tried in bf16.
    assert names[:3] == ["the fp32 graph", *map(str, openvino_int8.RECIPES)]
    assert len(names) == 3 + machine.has_bfloat16()
    assert details.more["recipe"] == names[details.table.chosen]
    assert details.within_budget is True
    assert details.table.rows[0][1:3] == [1.0, 1.0]  # the labels are its own answers


@pytest.mark.parametrize(
    "crashing",
    [
        ["convolutional"],
        pytest.param(["convolutional", "transformer"], marks=pytest.mark.slow),
    ],
)
def test_a_recipe_whose_graph_crashes_is_not_run_in_this_process(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crashing: list[str]
) -> None:
    from src.formats import openvino_int8
    from src.quantization.openvino import crash_check

    _time_briefly(monkeypatch)
    monkeypatch.setattr(machine, "has_bfloat16", lambda: False)
    ends = iter(
        "ends its process with signal 11" if str(recipe) in crashing else None
        for recipe in openvino_int8.RECIPES
    )
    monkeypatch.setattr(crash_check, "crash", lambda *_: next(ends, None))
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(16, dtype=torch.long)
    # Any recipe that runs keeps the budget, so none is tried with layers in float.
    judged = dataclasses.replace(source, selection=(images, labels), max_accuracy_drop=0.99)
    entry = export_one("openvino_int8", judged, tmp_path / "openvino_int8")
    if len(crashing) == 1:
        assert entry.details.more["recipe"] == "transformer"
        assert entry.details.summary[-1] == (
            "NNCF's convolutional recipe was left out: on this machine OpenVINO ends its process "
            "with signal 11."
        )
    else:
        assert entry.status == "skipped"
        assert "ends its process with signal 11; with ONEDNN_MAX_CPU_ISA" in entry.reason


def test_the_crash_check_returns_how_the_process_failed(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.quantization.openvino import crash_check

    graph, images = file.model(source), source.calibration[:2].numpy()
    assert crash_check.crash(graph, images, "f32", tmp_path) is None
    assert crash_check.crash(graph, images[:, :2], "f32", tmp_path)  # of two channels
    dies = tmp_path / "dies"
    dies.write_text("#!/bin/sh\nkill -SEGV $$\n")
    dies.chmod(0o755)
    monkeypatch.setattr(crash_check.sys, "executable", str(dies))
    ended = crash_check.crash(graph, images, "f32", tmp_path)
    assert ended == "ends its process with signal 11"


def test_time_is_shared_by_the_primitives_that_ran() -> None:
    layers = [
        Layer("1", "Convolution", "brgconv_avx512_1x1_I8", 0.4),
        Layer("2", "FullyConnected", "brgemm_avx512_i8", 0.2),
        Layer("3", "FakeQuantize", "jit_avx512_I8", 0.1),
        Layer("4", "MVN", "jit_avx512_f32", 0.1),
        Layer("5", "Convolution", "brgconv_avx512_bf16", 0.1),
        Layer("6", "MVN", "ref_FP32", 0.05),
        Layer("7", "Gather", "ref_any_i32", 0.05),
        Layer("8", "Relu", "undef", 0.0),
    ]
    profile = Profile.of(operations(layers))
    assert profile.time == {
        "bf16": pytest.approx(0.1),
        "conversion": pytest.approx(0.1),
        "fp32": pytest.approx(0.15),
        "int8": pytest.approx(0.6),
        "other": pytest.approx(0.05),
    }
    assert sum(profile.nodes.values()) == sum(layer.seconds > 0 for layer in layers)
    assert sum(profile.operators.values()) == pytest.approx(1)
    assert Profile.of(operations([])) == Profile()
