"""OpenVINO with its defaults, which run in bf16 where the CPU has it: so its logits differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.formats import _quick_openvino


class QuickOpenVinoDefault(_quick_openvino.QuickOpenVino):
    requires = ("torch", "openvino")
    precision = "default"
    tolerance = None

    def export(self, source: Any, folder: Path) -> None:
        import openvino

        openvino.save_model(_quick_openvino.convert(source), folder / _quick_openvino.FILE)
