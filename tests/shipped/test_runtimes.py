"""Each runtime of a bundle opens its file: class names, preprocessing and answers come out."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import zipfile
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from src.backends.base import Unavailable
from src.backends.torch import aot_inductor
from src.shipped import predict_threads, runtime_torch
from src.shipped.predict import Model, UnusableModelError
from src.shipped.predict_opening import HERE
from src.system import machine
from tests.golden.pixels import GOLDEN
from tests.support import identity_models
from tests.support.bundle_program import described

RULE = GOLDEN.rules[0]
CLASSES = identity_models.metadata(RULE)["class_names"]
RUNTIMES = ("onnxruntime", "openvino", "torch")


class Flat(torch.nn.Module):
    """Logits that are the values of the image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def onnx_folder(folder: Path, *, has_metadata: bool) -> Path:
    import onnx

    path = identity_models.onnx_file(RULE, folder)
    if not has_metadata:
        model = onnx.load(path)
        del model.metadata_props[:]
        onnx.save_model(model, path)
    return described(path, RULE)


def openvino_folder(folder: Path, *, has_metadata: bool) -> Path:
    openvino = pytest.importorskip("openvino")
    graph = openvino.convert_model(identity_models.onnx_file(RULE, folder / "onnx"))
    if has_metadata:
        for name, value in identity_models.metadata(RULE).items():
            graph.set_rt_info(json.dumps(value), ["lightship", name])
    openvino.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    return described(folder / "model.xml", RULE, "runtime_openvino")


def torch_folder(folder: Path, *, has_metadata: bool) -> Path:
    inside = {"lightship.json": json.dumps(identity_models.metadata(RULE))}
    with runtime_torch._no_deprecation_warnings():
        torch.jit.script(Flat()).save(
            folder / "model.pt", _extra_files=inside if has_metadata else {}
        )
    return described(folder / "model.pt", RULE, "runtime_torch", executes="It is a program.")


FOLDERS = {"onnxruntime": onnx_folder, "openvino": openvino_folder, "torch": torch_folder}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("has_metadata", [True, False])
def test_a_model_answers_with_its_own_metadata_or_else_those_of_the_bundle(
    runtime: str, has_metadata: bool, tmp_path: Path, image: Path
) -> None:
    (tmp_path / "model").mkdir()
    folder = FOLDERS[runtime](tmp_path / "model", has_metadata=has_metadata)
    others = [f"other {number}" for number in range(len(CLASSES))]
    (folder / "class_names.json").write_text(json.dumps(others))
    model = Model(folder, threads=1)
    assert model.class_names == (CLASSES if has_metadata else others)
    values = model.prepare(image)
    assert values.shape == (3, RULE["image_size"], RULE["image_size"])
    batch = [values, values / 2, np.zeros_like(values)]
    logits = model.logits(batch)
    assert np.abs(logits - np.stack(batch).reshape(3, -1)).max() < 1e-6
    one_by_one = np.concatenate([model.answer([part]) for part in batch])
    assert np.abs(model.answer(batch) - one_by_one).max() < 1e-9
    assert np.abs(model.probabilities(image) - one_by_one[0]).max() < 1e-9


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("has_metadata", [True, False])
def test_a_file_that_takes_pixels_gets_pixels(
    runtime: str, has_metadata: bool, tmp_path: Path, image: Path
) -> None:
    import onnx
    from onnx import parser

    size, takes = RULE["image_size"], {"dtype": "uint8", "layout": "NHWC", "normalised": False}
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g (uint8[batch, {size}, {size}, 3] images)'
        " => (float[batch, k] logits) { f = Cast <to = 1> (images) logits = Flatten (f) }"
    )
    facts = {**identity_models.metadata(RULE), "input": takes} if has_metadata else {}
    texts = {name: json.dumps(value) for name, value in facts.items()}
    onnx.helper.set_model_props(model, texts)
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path)
    if runtime == "openvino":
        openvino = pytest.importorskip("openvino")
        graph = openvino.convert_model(path)
        for name, text in texts.items():
            graph.set_rt_info(text, ["lightship", name])
        path = tmp_path / "model.xml"
        openvino.save_model(graph, path, compress_to_fp16=False)
    (tmp_path / "class_names.json").write_text(json.dumps(CLASSES))
    loaded = Model(described(path, RULE, f"runtime_{runtime}", input=takes))
    pixels = loaded.prepare(image)
    assert (pixels.shape, pixels.dtype) == ((size, size, 3), np.uint8)
    assert np.array_equal(loaded.logits([pixels, pixels])[1], pixels.ravel())


def test_images_of_a_file_that_mixes_its_batch_are_answered_alone(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "model", has_metadata=True)
    described(folder / "model.onnx", RULE, mixes_batch=True)
    model = Model(folder)
    sizes: list[int] = []
    runtime = model._runtime

    class Counting:
        metadata = runtime.metadata

        def __call__(self, images: Any) -> Any:
            sizes.append(len(images))
            return runtime(images)

    model._runtime = Counting()
    values = np.zeros((3, RULE["image_size"], RULE["image_size"]), np.float32)
    assert model.answer([values] * 3).shape == (3, len(CLASSES))
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize(
    "runtime", ["onnxruntime", "openvino", pytest.param("torch", marks=pytest.mark.slow)]
)
def test_the_number_of_threads_is_that_which_was_asked_for(runtime: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    folder = FOLDERS[runtime](tmp_path / "model", has_metadata=True)
    code = {
        "onnxruntime": "model._runtime._call._session.get_session_options().intra_op_num_threads",
        "openvino": "model._runtime._call._one.get_compiled_model()"
        ".get_property('INFERENCE_NUM_THREADS')",
        "torch": "__import__('torch').get_num_threads()",
    }[runtime]
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(HERE)!r})
import predict
model = predict.Model(Path({str(folder)!r}), threads=1)
print({code}, *({{"torch", "onnxruntime", "openvino"}} & set(sys.modules)))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["1", runtime]


def test_a_number_of_threads_is_bounded_or_that_of_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_threads, "HERE", tmp_path)
    for measured in (4, None):
        (tmp_path / "model").write_bytes(b"")
        described(tmp_path / "model", RULE, threads=measured)
        assert [predict_threads.chosen_threads(text) for text in ("1", "1024")] == [1, 1024]
        for wrong in ("0", "many", "1025", "-1", "1.5", ""):
            with pytest.raises(ArgumentTypeError, match="expected a number from 1 to 1024 or mea"):
                predict_threads.chosen_threads(wrong)
        if measured:
            assert predict_threads.chosen_threads("measured") == measured
        else:
            with pytest.raises(ArgumentTypeError, match="this model was not measured"):
                predict_threads.chosen_threads("measured")
    (tmp_path / "model.json").unlink()
    with pytest.raises(ArgumentTypeError, match=r"model\.json: .*No such file"):
        predict_threads.chosen_threads("measured")


@pytest.mark.parametrize("content", [None, "", "[]", "3", '{"model": "model.onnx"}', "\xff"])
def test_a_damaged_description_is_refused_in_one_line(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "model.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UnusableModelError, match=r"^model\.json: .*; unpack the zip file again$"):
        Model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[(key, None) for key in ("image_size", "resize", "interpolation", "scale", "mean", "std")],
        *[("image_size", value) for value in (0, -1, "224", 2.5, True, 10**9)],
        *[("scale", value) for value in (0, "x", float("nan"), 2, [1])],
        *[("mean", value) for value in (0.5, [0.5], ["a"] * 3, [float("inf")] * 3, {})],
        *[("std", value) for value in ([0.5, 0, 0.5], "abc")],
        *[("resize", value) for value in ("stretch", [])],
        *[("interpolation", value) for value in ("nearest", [], 3)],
    ],
)
def test_a_description_without_a_sound_preprocessing_is_refused_in_one_line(
    key: str, value: object, tmp_path: Path
) -> None:
    rule = {**RULE, key: value}
    if value is None:
        del rule[key]
    (tmp_path / "model.onnx").write_bytes(b"never opened")
    described(tmp_path / "model.onnx", rule)
    with pytest.raises(UnusableModelError, match=rf"^model\.json: preprocessing\.{key} is [^\n]+$"):
        Model(tmp_path)


def test_the_preprocessing_in_a_files_own_metadata_is_as_sound(tmp_path: Path) -> None:
    rule = {key: value for key, value in RULE.items() if key != "scale"}
    folder = described(identity_models.onnx_file(rule, tmp_path / "model"), RULE)
    with pytest.raises(UnusableModelError, match=r"^model\.onnx: preprocessing\.scale is None; "):
        Model(folder)


def test_a_file_that_holds_code_is_compared_with_its_hash_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = torch_folder(tmp_path, has_metadata=True)
    Model(folder)

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr(torch.jit, "load", load)
    content = bytearray((folder / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.pt").write_bytes(content)
    with pytest.raises(UnusableModelError, match=r"model\.pt is not the file that was packed"):
        Model(folder)
    (folder / "model.pt").unlink()
    with pytest.raises(UnusableModelError, match=r"model\.pt cannot be read"):
        Model(folder)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_damaged_file_is_refused_in_one_line(runtime: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    folder = FOLDERS[runtime](tmp_path / "model", has_metadata=True)
    about = json.loads((folder / "model.json").read_text())
    (folder / about["model"]).write_bytes(b"nothing\nto open")
    described(folder / about["model"], RULE, f"runtime_{runtime}")
    with pytest.raises(UnusableModelError, match=rf"^{about['model']} cannot be opened: [^\n]+$"):
        Model(folder)


@pytest.mark.parametrize("name", ["os", "runtime_none", "../runtime_torch", "predict"])
def test_a_description_can_name_a_runtime_of_the_bundle_only(name: str, tmp_path: Path) -> None:
    folder = described(identity_models.onnx_file(RULE, tmp_path / "model"), RULE, name)
    with pytest.raises(UnusableModelError, match=r"model\.json: expected a runtime_\*\.py"):
        Model(folder)


def package(path: Path, **facts: Any) -> Path:
    """Write a package without a library that can be loaded."""
    compiled = {"machine": platform.machine(), "instruction_sets": [], **facts}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/extra/lightship.json", json.dumps(compiled))
        archive.writestr("model/data/model.so", b"no library")
    return path


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"machine": "z80"}, "compiled for z80, this is"),
        ({"instruction_sets": ["AVX2", "SSE 9"]}, "compiled for a processor with (AVX2, )?SSE 9"),
        ({"instruction_sets": ["avx512_vbmi3"]}, "compiled for a processor with avx512_vbmi3,"),
    ],
)
def test_a_package_for_another_processor_is_not_loaded(
    facts: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = described(package(tmp_path / "model.pt2", **facts), RULE, "runtime_torch")
    with pytest.raises(UnusableModelError, match=message):
        Model(folder)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (
            "Error in dlopen: /tmp/x/model.so: failed to map segment from shared object",
            r"no library may be loaded from .*noexec; name another folder, as in TMPDIR=/path$",
        ),
        ("Error in dlopen: /tmp/x/model.so: invalid ELF header", r"invalid ELF header$"),
    ],
)
def test_a_folder_of_temporary_files_that_permits_no_library_is_told(
    problem: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._C import _aoti

    def refuse(*_: Any) -> None:
        raise RuntimeError(problem)

    monkeypatch.setattr(_aoti, "AOTIModelContainerRunnerCpu", refuse)
    path = package(tmp_path / "model.pt2")
    with pytest.raises(UnusableModelError, match=expected):
        Model(described(path, RULE, "runtime_torch"))
    with pytest.raises((ValueError, RuntimeError), match=expected):
        aot_inductor.open_package(path, torch.device("cpu"))


@pytest.mark.parametrize(
    ("exported_on", "loaded_on", "missing", "by_gcc"),
    [  # the same sets by their usual names
        (
            "avx2 fma avx512f avx512_vnni avx512_vbmi2 gfni",
            "avx2 fma avx512f avx512_vnni",
            "vbmi2",
            True,
        ),
        ("asimd asimddp i8mm bf16 sve sve2 svei8mm", "asimd asimddp i8mm bf16 sve", "sve2", True),
        ("avx2 fma avx512f avx512bw", "avx2 fma avx512f", "avx512bw", True),
        ("avx2 fma bmi2", "avx2 fma", "bmi2", True),
        ("avx2 fma", "avx2 fma avx512f avx512bw bmi2", None, True),
        # A compiler does not use these by itself, or only Clang does.
        ("avx2 fma rdpid clwb sha_ni", "avx2 fma", None, False),
        ("avx2 fma avx512f avx512_vp2intersect", "avx2 fma avx512f", None, False),
        ("asimd sve sme jscvt", "asimd sve", None, False),
        ("avx2 fma bmi2 sse4a", "avx2 fma bmi2", None, True),
        ("avx2 fma bmi2 sse4a", "avx2 fma bmi2", "sse4a", False),
        ("avx2 fma bmi2 sse4a", "avx2 fma bmi2 sse4a", None, False),
        ("avx2 avx_ifma avx512ifma", "avx2", None, True),
    ],
)
def test_a_package_is_loaded_where_all_its_code_can_run(
    exported_on: str,
    loaded_on: str,
    missing: str | None,
    by_gcc: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "Features" if "asimd" in exported_on else "flags"

    def on(flags: str) -> None:
        (tmp_path / "cpuinfo").write_text(f"{key}\t: {flags}\n")
        machine.instruction_sets.cache_clear()
        machine._cpuinfo.cache_clear()

    monkeypatch.setattr(aot_inductor, "_is_by_gcc", lambda: by_gcc)
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(runtime_torch, "CPUINFO", tmp_path / "cpuinfo")
    try:
        on(exported_on)
        compiled = aot_inductor._compiled_for(torch.device("cpu"))
        on(loaded_on)
        facts = {"machine": compiled.machine, "instruction_sets": compiled.instruction_sets}
        if missing is None:
            aot_inductor._require_machine(compiled, "cpu")
            runtime_torch.require_processor(facts)
        else:
            with pytest.raises(Unavailable, match=missing):
                aot_inductor._require_machine(compiled, "cpu")
            with pytest.raises(ValueError, match=missing):
                runtime_torch.require_processor(facts)
    finally:
        machine.instruction_sets.cache_clear()
        machine._cpuinfo.cache_clear()


def test_a_bundle_knows_the_instruction_sets_that_an_export_names() -> None:
    assert {flag: name for name, flag in runtime_torch.FLAGS.items()} == machine._ISA
    if platform.system() == "Linux":
        runtime_torch.require_processor(
            {"machine": platform.machine(), "instruction_sets": machine.instruction_sets()}
        )
