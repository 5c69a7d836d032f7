"""OpenVINO in bf16, on a processor that multiplies it natively; the weights take half the space."""

from __future__ import annotations

from pathlib import Path

from src import machine
from src.formats import _openvino
from src.formats._openvino_session import OpenVinoRuntime
from src.formats.base import ExportSource, Unavailable

requires = _openvino.REQUIRES
runs_with = ("openvino",)
devices = ("cpu",)
precision = "bf16"
# Products of 8 bits of mantissa move EfficientNet-B0's logits by 5 % of the largest: the
# accuracy is measured instead.
tolerance = None

usage = _openvino.usage


def export(source: ExportSource, folder: Path) -> None:
    # OpenVINO stores 16 bits as float16, which has three bits of mantissa more than bfloat16;
    # what is out of its range stays in float32.
    _openvino.write(_openvino.model(source), source, folder, half=True, precision="bf16")


def load(folder: Path, device: str, threads: int) -> OpenVinoRuntime:
    if not machine.has_bfloat16():
        # OpenVINO would emulate it or take fp32, under this row's name.
        raise Unavailable(f"{machine.cpu_model()} does not multiply bfloat16 natively")
    return _openvino.load(folder, device, threads, precision="bf16")
