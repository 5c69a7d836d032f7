"""MNN's converter and runtime, planted: the reasons of files that cannot be made or opened."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.backends.mnn.runtime import MnnRuntime
from src.system.limited_process import LimitedProcessError, run_limited

# As the real one, it prints by the C library, whose buffer is not that of Python.
CONVERTER = """
import ctypes, pathlib, sys

def mnnconvert(words):
    for line in {lines}:
        ctypes.CDLL(None).printf(b"%s\\n", line)
    if {writes}:
        pathlib.Path(words[words.index("--MNNModel") + 1]).write_bytes(b"model")
"""


def convert(folder: Path, lines: list[bytes], *, writes: bool = False) -> str:
    (folder / "_tools.py").write_text(CONVERTER.format(lines=lines, writes=writes))
    return run_limited(
        [sys.executable, "-m", "src.backends.mnn.convert", "x.onnx", str(folder / "x.mnn")],
        seconds=60,
        max_bytes=10**10,
        variables={**os.environ, "PYTHONPATH": str(folder)},
    )


def test_a_network_that_cannot_be_converted_has_the_converters_reason(tmp_path: Path) -> None:
    lines = [b"Start to convert", b"Don't support type [Gather]", b"[ERROR] \xff failed"]
    with pytest.raises(LimitedProcessError) as raised:
        convert(tmp_path, lines)
    assert "wrote no file: Start to convert Don't support type [Gather] [ERROR]" in str(
        raised.value
    )
    assert str(raised.value).endswith(" failed")


def test_a_long_output_is_cut_and_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(LimitedProcessError) as raised:
        convert(tmp_path, [b"layer " * 1000, b"Don't support type [Gather]"])
    assert str(raised.value).endswith("Don't support type [Gather]")
    assert len(str(raised.value)) < 350
    with pytest.raises(LimitedProcessError, match="wrote no file: it gave no reason"):
        convert(tmp_path, [])


def test_the_output_of_a_conversion_is_whole(tmp_path: Path) -> None:
    assert convert(tmp_path, [b"one", b"two"], writes=True).split() == ["one", "two"]


def test_a_file_that_mnn_cannot_open_is_an_error_and_no_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {
        "MNN": SimpleNamespace(version=lambda: "3.6.1"),
        "MNN.expr": SimpleNamespace(),
        "MNN.nn": SimpleNamespace(
            create_runtime_manager=lambda settings: None,
            load_module_from_file=lambda *_, **__: None,
        ),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="it is no file of MNN"):
        MnnRuntime(tmp_path / "model.mnn", 1)
