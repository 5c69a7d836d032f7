"""OpenVINO in fp32: the graph and its weights, dynamic batch."""

from __future__ import annotations

from pathlib import Path

from src.formats import _openvino
from src.formats._openvino_session import OpenVinoRuntime
from src.formats.base import ExportSource

requires = _openvino.REQUIRES
runs_with = ("openvino",)
devices = ("cpu",)
precision = "fp32"
tolerance = 5e-3  # other kernels, BatchNorm folded

usage = _openvino.usage


def export(source: ExportSource, folder: Path) -> None:
    _openvino.write(_openvino.model(source), source, folder, half=False, precision="f32")


def load(folder: Path, device: str, threads: int) -> OpenVinoRuntime:
    return _openvino.load(folder, device, threads, precision="f32")
