"""A model for processors with an int8 dot product says so on x86 without one."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import pytest

from src.shipped import machine
from src.shipped.predict import Model, UnusableModelError
from src.system import machine as own_machine
from tests.golden.pixels import GOLDEN
from tests.support import fake_machines, identity_models
from tests.support.bundle_program import described

RULE = GOLDEN.rules[0]
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
