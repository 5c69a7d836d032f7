"""OpenVINO in bf16, on a processor that multiplies it natively; the weights take half the space."""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource, Unavailable
from src.backends.openvino import file
from src.backends.openvino.runtime import OpenVinoRuntime
from src.formats.openvino_fp32 import OpenVinoFp32
from src.system import machine


class OpenVinoBf16(OpenVinoFp32):
    """The fp32 graph with weights in 16 bits and products in bf16."""

    precision = "bf16"
    # Products of 8 bits of mantissa move EfficientNet-B0's logits by 5 % of the largest: the
    # accuracy is measured instead.
    tolerance = None

    def export(self, source: ExportSource, folder: Path) -> None:
        # OpenVINO stores 16 bits as float16, which has three bits of mantissa more than bfloat16;
        # what is out of its range stays in float32.
        file.write(file.model(source), source, folder, half=True, precision="bf16")

    def load(self, folder: Path, device: str, threads: int) -> OpenVinoRuntime:
        if not machine.has_bfloat16():
            # OpenVINO would emulate it or take fp32, under this row's name.
            raise Unavailable(f"{machine.cpu_model()} does not multiply bfloat16 natively")
        return OpenVinoRuntime(folder / file.FILE, device, threads, "bf16")
