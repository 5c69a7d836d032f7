"""A model for processors with an int8 dot product says so on x86 without one."""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from src.backends.onnx.exact_sums import EXACT_SUMS
from src.backends.onnx.picture_runtime import PictureRuntime
from src.backends.onnx.runtime import OnnxRuntime, asks_for_exact_sums
from src.shipped import machine, predict_opening, runtime_onnxruntime
from src.shipped.predict import Model, UnusableModelError
from src.shipped.predict_opening import HERE
from src.system import machine as own_machine
from src.system import runtime_variables
from tests.golden.pixels import GOLDEN
from tests.support import fake_machines, identity_models
from tests.support.bundle_program import described
from tests.system.test_cpuid_mask import hidden, run

RULE = GOLDEN.rules[0]
METADATA = identity_models.metadata(RULE)
LACKS = {
    "flags\t: fpu avx2 fma": True,  # Haswell, Zen 2
    "flags\t: fpu avx2 avx512f": True,  # Skylake-SP
    "flags\t: fpu sse2": True,
    "flags\t: fpu avx2 avx512f avx512_vnni": False,
    "flags\t: fpu avx2 avx_vnni": False,
    "flags\t: fpu avx2 amx_int8": False,
    "Features\t: fp asimd": False,  # ARM's kernels do not add in 16 bits
    "": False,  # not known, as on Windows and macOS
}


def on(cpuinfo: str, root: Path, patch: pytest.MonkeyPatch) -> None:
    """Let this process run on a processor with these flags."""
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "cpuinfo").write_bytes(os.fsencode(cpuinfo))
    patch.setattr(machine, "ROOT", root)


@pytest.mark.parametrize(("cpuinfo", "lacks"), LACKS.items())
@pytest.mark.parametrize("needs", [True, False])
def test_a_model_that_may_saturate_here_warns_whoever_opens_it(
    cpuinfo: str, lacks: bool, needs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = described(
        identity_models.onnx_file(RULE, tmp_path / "model"), RULE, needs_dot_product=needs
    )
    on(cpuinfo, tmp_path / "root", monkeypatch)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Model(folder)
    words = [str(warning.message) for warning in told]
    assert len(words) == (needs and lacks)
    for sentence in words:
        assert sentence.startswith("model.onnx was quantized for processors with an int8 dot ")
        assert "sums may saturate and answers be wrong; python predict.py --exam" in sentence
    assert [warning.filename for warning in told] == [__file__] * len(words)


def test_this_project_and_a_bundle_know_the_same_variables_of_onednn() -> None:
    others = {"NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"}  # of a GPU
    assert {*predict_opening.OTHER_PRECISION} == {*runtime_variables.OF_PRECISION} - others


@pytest.mark.parametrize("variable", predict_opening.OTHER_PRECISION)
@pytest.mark.parametrize("value", ["BF16", "any", "1", "STRICT", "strict", "0", ""])
@pytest.mark.parametrize("runtime", sorted(path.stem for path in HERE.glob("runtime_*.py")))
def test_float32_in_another_precision_warns_whoever_opens_a_file_that_onednn_computes(
    variable: str, value: str, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = described(identity_models.onnx_file(RULE, tmp_path / "model"), RULE, runtime)
    opened = SimpleNamespace(Runtime=lambda *_: SimpleNamespace(metadata=METADATA))
    monkeypatch.setitem(sys.modules, f"src.shipped.{runtime}", opened)
    monkeypatch.setenv(variable, value)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Model(folder)
    by_onednn = runtime in {"runtime_torch", "runtime_openvino", "runtime_onnxruntime_openvino"}
    warned = by_onednn and value in {"BF16", "any", "1"}
    expected = f"{variable} is set: float32 of model.onnx may be computed in another precision"
    assert [str(each.message).split(" than")[0] for each in told] == [expected] * warned
    assert [each.filename for each in told] == [__file__] * warned


@pytest.mark.parametrize("value", [None, "no", 1])
def test_a_damaged_description_of_the_sums_is_refused(value: object, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not opened")
    folder = described(tmp_path / "model.onnx", RULE, needs_dot_product=value)
    refused = re.escape(f"model.json: needs_dot_product is {value!r}; unpack")
    with pytest.raises(UnusableModelError, match=refused):
        Model(folder)


@pytest.mark.parametrize("name", fake_machines.LINUX)
def test_a_bundle_and_this_project_know_the_same_processors(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = fake_machines.LINUX[name]
    fake_machines.clear_caches()
    fake_machines.patch_machine(planted, tmp_path / "machine", monkeypatch)
    on(planted.cpuinfo or "", tmp_path / "root", monkeypatch)
    try:
        assert machine.lacks_dot_product() is own_machine.lacks_dot_product()
    finally:
        fake_machines.clear_caches()


@pytest.mark.parametrize(
    ("architecture", "cpuinfo", "may"),
    [
        ("x86_64", "flags\t: fpu avx2", True),
        ("x86_64", "flags\t: fpu avx2 avx_vnni", False),
        ("AMD64", "", True),  # Windows
        ("arm64", "", False),
        ("aarch64", "Features\t: fp asimd", False),
    ],
)
def test_an_x86_processor_whose_instruction_sets_are_not_known_may_lack_the_dot_product(
    architecture: str, cpuinfo: str, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(cpuinfo, tmp_path, monkeypatch)
    monkeypatch.setattr("platform.machine", lambda: architecture)
    assert machine.may_lack_dot_product() is may


@pytest.mark.parametrize("lacks", [True, False])
def test_onnxruntime_is_told_to_sum_in_32_bits_where_it_could_saturate(
    lacks: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = identity_models.onnx_file(RULE, tmp_path / "model")
    monkeypatch.delenv(own_machine.MASK_VARIABLE, raising=False)
    monkeypatch.setattr(machine, "may_lack_dot_product", lambda: lacks)
    monkeypatch.setattr(own_machine, "lacks_dot_product", lambda: lacks)
    own = OnnxRuntime(file, "cpu", 1)
    assert own.settings.get("exact_int8_sums", False) is lacks
    shipped = runtime_onnxruntime.Runtime(file, 1)._session.get_session_options()
    embedded = PictureRuntime(file, 1)._session.get_session_options()
    for options in (shipped, embedded, own._session.get_session_options()):
        if lacks:
            assert options.get_session_config_entry(EXACT_SUMS) == "1"
        else:
            with pytest.raises(RuntimeError):
                options.get_session_config_entry(EXACT_SUMS)
    # A process that hides instruction sets shows what the runtime does by itself.
    monkeypatch.setenv(own_machine.MASK_VARIABLE, "avx2")
    assert not asks_for_exact_sums()


ANSWER = """
import sys
from pathlib import Path
import numpy as np
from src.system import cpuid_mask
cpuid_mask.require_effective()
from src.shipped import machine
from src.shipped.runtime_onnxruntime import Runtime
machine.may_lack_dot_product = lambda: sys.argv[2] == "told"
images = np.random.default_rng(1).integers(0, 256, (2, 16, 9, 9)).astype(np.float32)
np.save(sys.argv[3], Runtime(Path(sys.argv[1]), 1)(images))
"""


SHAPES = {"operators": (32, 16, 3, 3), "pairs": (32, 16, 3, 3), "linear": (9, 32)}


def sums_of_int8(path: Path, form: str) -> None:
    """Write an ONNX file of an int8 layer with weights in the full range, a scale per channel."""
    weights = np.random.default_rng(0).integers(-128, 128, SHAPES[form], dtype=np.int8)
    constants = {
        "weights": weights,
        "weight_scale": np.full(32, 0.01, np.float32),
        "weight_zero": np.zeros(32, np.int8),
        "scale": np.float32(1),
        "zero": np.uint8(0),
        "out_scale": np.float32(50),
        "out_zero": np.uint8(128),
    }
    of_weights = ["weights", "weight_scale", "weight_zero"]
    quantized = helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["levels"])
    if form == "operators":
        inputs = ["levels", "scale", "zero", *of_weights, "out_scale", "out_zero"]
        layer = [helper.make_node("QLinearConv", inputs, ["features"])]
    else:
        axis, kind = (1, "MatMul") if form == "linear" else (0, "Conv")
        layer = [
            helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["values"]),
            helper.make_node("DequantizeLinear", of_weights, ["factors"], axis=axis),
            helper.make_node(kind, ["values", "factors"], ["sums"]),
            helper.make_node("QuantizeLinear", ["sums", "out_scale", "out_zero"], ["features"]),
        ]
    result = helper.make_node("DequantizeLinear", ["features", "out_scale", "out_zero"], ["logits"])
    graph = helper.make_graph(
        [quantized, *layer, result],
        form,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 16, 9, 9])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


@pytest.mark.parametrize("form", SHAPES)
def test_the_sums_of_an_older_processor_are_those_of_this_one_if_it_is_told(
    form: str, tmp_path: Path
) -> None:
    if not own_machine.has_int8_dot_product():
        pytest.skip("this processor has no int8 dot product to compare with")
    file = tmp_path / "int8.onnx"
    sums_of_int8(file, form)
    environment = hidden("avx2")

    def answer(word: str, variables: dict[str, str]) -> NDArray[np.float32]:
        path = tmp_path / "answer.npy"
        ended = run(ANSWER, variables, str(file), word, str(path))
        assert ended.returncode == 0, ended.stderr
        values: NDArray[np.float32] = np.load(path)
        return values

    here = answer("not told", dict(os.environ))
    assert (answer("not told", environment) != here).any()
    np.testing.assert_array_equal(answer("told", environment), here)
