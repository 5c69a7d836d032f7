"""Instruction sets hidden from a process: kernels, threads, real faults, and refusals."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from src.system import cpuid_mask, machine
from src.system.cpuid_mask import INSTRUCTION_SETS, CannotHideError, InstructionSet

EXACT = 64 * 127 * 255
# Pairs of products are summed in 16 bits, which end at 32767.
SATURATED = 32 * 32767


def hidden(instruction_set: InstructionSet) -> dict[str, str]:
    """Return the environment of a process, or skip the test where nothing can be hidden."""
    try:
        return {**os.environ, **cpuid_mask.hiding(instruction_set)}
    except CannotHideError as error:
        pytest.skip(str(error))


def run(code: str, env: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *argv]
    root = Path(cpuid_mask.__file__).parents[2]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an ONNX file that multiplies uint8 by the largest int8 weights."""
    weights = numpy_helper.from_array(np.full((64, 3), 127, np.int8), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["images", "weights"], ["logits"])],
        "product",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 64])],
        [helper.make_tensor_value_info("logits", TensorProto.INT32, ["n", 3])],
        [weights],
    )
    path = tmp_path_factory.mktemp("product") / "product.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


MULTIPLY = """
import sys, threading
import numpy as np, onnxruntime
from src.system import cpuid_mask
cpuid_mask.require_effective()
def multiply():
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    print(session.run(None, {"images": np.full((1, 64), 255, np.uint8)})[0][0, 0])
thread = threading.Thread(target=multiply)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("instruction_set", "expected"),
    [("avx2", SATURATED), ("avx512", SATURATED), ("avx512_vnni", EXACT)],
)
def test_a_runtime_computes_as_on_the_older_processor(
    product: Path, instruction_set: InstructionSet, expected: int
) -> None:
    ended = run(MULTIPLY, hidden(instruction_set), str(product))
    assert (ended.stdout.strip(), ended.returncode) == (str(expected), 0), ended.stderr


CONVOLVE = """
import sys
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
images = np.random.default_rng(1).integers(0, 256, (2, 16, 9, 9), dtype=np.uint8)
np.save(sys.argv[2], session.run(None, {"images": images})[0])
"""


@pytest.mark.slow
def test_answers_are_those_of_an_emulated_older_processor_bit_for_bit(tmp_path: Path) -> None:
    """Emulated: each instruction by software, on a processor without AVX-512 and VNNI."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("qemu-user is not installed")
    random = np.random.default_rng(0)
    weights = random.integers(-128, 128, (32, 16, 3, 3), dtype=np.int8)
    constants = {
        "weights": weights,
        "weight_scale": np.full(32, 0.01, np.float32),
        "weight_zero": np.zeros(32, np.int8),
        "scale": np.float32(0.02),
        "zero": np.uint8(3),
        "out_scale": np.float32(0.9),
        "out_zero": np.uint8(128),
    }
    inputs = "images scale zero weights weight_scale weight_zero out_scale out_zero"
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", inputs.split(), ["features"])],
        "convolution",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 16, 9, 9])],
        [helper.make_tensor_value_info("features", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "convolution.onnx"
    onnx.save(model, path)
    masked, native, emulated = (tmp_path / f"{name}.npy" for name in ("masked", "here", "emulated"))
    run(CONVOLVE, hidden("avx2"), str(path), str(masked))
    run(CONVOLVE, dict(os.environ), str(path), str(native))
    subprocess.run(
        [emulator, "-cpu", "Haswell", sys.executable, "-c", CONVOLVE, path, emulated], check=True
    )
    assert np.array_equal(np.load(masked), np.load(emulated))
    assert not np.array_equal(np.load(masked), np.load(native))  # some sums saturate


def test_a_fault_of_the_program_itself_still_ends_it() -> None:
    ended = run("import ctypes; ctypes.string_at(8)", hidden("avx2"))
    assert ended.returncode == -signal.SIGSEGV


def test_a_child_of_the_process_sees_the_same_instruction_sets() -> None:
    code = (
        "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', "
        "'from src.system import cpuid_mask; cpuid_mask.require_effective(); import numpy; "
        'assert not numpy._core._multiarray_umath.__cpu_features__["AVX512F"]\']).returncode)'
    )
    ended = run(code, hidden("avx2"))
    assert ended.returncode == 0, ended.stderr


def test_a_process_that_hides_nothing_though_it_should_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpuid_mask.require_effective()
    monkeypatch.setenv("LIGHTSHIP_CPUID_MASK", "avx2")
    with pytest.raises(CannotHideError, match="no effect"):
        cpuid_mask.require_effective()


def refusal(instruction_set: InstructionSet) -> str:
    with pytest.raises(CannotHideError) as refused:
        cpuid_mask.hiding(instruction_set)
    return str(refused.value)


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to have the newest processor, with CPUID faulting, on Linux."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(
        machine, "instruction_sets", lambda: ("AVX2", "FMA", "AVX-512", "AVX-512 VNNI", "AMX")
    )
    monkeypatch.setattr(cpuid_mask, "_can_fault", lambda: True)
    cpuid_mask._library.cache_clear()


@pytest.mark.usefixtures("newest")
def test_the_reason_is_given_where_nothing_can_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "instruction_sets", lambda: ("AVX2", "FMA"))
    assert refusal("avx512") == "this processor does not have AVX-512"
    assert refusal("avx2") == "this processor has nothing newer than avx2"
    monkeypatch.setattr(machine, "instruction_sets", lambda: ("AVX2", "FMA", "AVX-VNNI"))
    monkeypatch.setattr(cpuid_mask, "_can_fault", lambda: False)
    assert "CPUID faulting" in refusal("avx2")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "Linux on x86-64 only" in refusal("avx2")


@pytest.mark.usefixtures("newest")
def test_a_compiler_that_is_missing_or_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "install gcc or clang" in refusal("avx2")
    monkeypatch.setenv("CC", "false")
    assert refusal("avx2").startswith("false failed")
    monkeypatch.setenv("CC", str(tmp_path / "none"))
    assert "none failed" in refusal("avx2")


@pytest.mark.usefixtures("newest")
def test_a_library_that_the_user_preloads_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cpuid_mask, "_library", lambda: tmp_path / "mask.so")
    monkeypatch.setenv("LD_PRELOAD", "/lib/own.so")
    for name in INSTRUCTION_SETS:
        assert cpuid_mask.hiding(name) == {
            "LIGHTSHIP_CPUID_MASK": name,
            "LD_PRELOAD": f"{tmp_path / 'mask.so'}:/lib/own.so",
        }


def test_a_process_does_not_name_the_instruction_sets_that_are_hidden_from_it() -> None:
    code = "from src.system import machine; print(machine.instruction_sets(), machine.has_amx())"
    ended = run(code, hidden("avx512"))
    assert ended.stdout.strip() == "('AVX2', 'FMA', 'AVX-512') False", ended.stderr
