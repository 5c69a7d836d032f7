"""OpenVINO in bf16, for processors with bf16 instructions; weights take half the space."""

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
    # With 8 bits of mantissa, EfficientNet-B0's logits change by 5 % of the largest, so the
    # accuracy is measured instead.
    tolerance = None

    def export(self, source: ExportSource, folder: Path) -> None:
        # OpenVINO stores 16-bit weights as float16, which has three more bits of mantissa than
        # bfloat16. Weights out of its range stay in float32.
        file.write(file.model(source), source, folder, half=True, precision="bf16")

    def load(self, folder: Path, device: str, threads: int) -> OpenVinoRuntime:
        if not machine.has_bfloat16():
            # OpenVINO would emulate bf16 or use fp32, and the row would have a wrong name.
            raise Unavailable(f"{machine.cpu_model()} does not multiply bfloat16 natively")
        return OpenVinoRuntime(folder / file.FILE, device, threads, "bf16")
