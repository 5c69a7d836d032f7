"""OpenVINO in fp32: the graph and its weights, dynamic batch."""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.openvino import file
from src.backends.openvino.runtime import OpenVinoRuntime

requires = file.REQUIRES
runs_with = ("openvino",)
devices = ("cpu",)
precision = "fp32"
tolerance = 5e-3  # other kernels, BatchNorm folded

usage = file.usage


def export(source: ExportSource, folder: Path) -> None:
    file.write(file.model(source), source, folder, half=False, precision="f32")


def load(folder: Path, device: str, threads: int) -> OpenVinoRuntime:
    return file.load(folder, device, threads, precision="f32")
