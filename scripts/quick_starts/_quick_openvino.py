"""What the OpenVINO quick starts share: its converter, a model compiled with default options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.base import Profile
from src.backends.openvino import runtime  # noqa: F401  # openvino sends no usage data after it
from src.formats.base import Format

FILE = "model.xml"


def convert(source: Any) -> Any:
    """https://docs.openvino.ai/2026/get-started/install-openvino.html, "convert_model"."""
    import openvino

    return openvino.convert_model(source.network, example_input=source.example)


class Compiled:
    """``openvino.Core().compile_model(path, "CPU")``."""

    def __init__(self, folder: Path) -> None:
        import openvino

        self._model = openvino.Core().compile_model(folder / FILE, "CPU")
        self.settings = {
            "runtime": f"openvino {openvino.__version__}",
            "device": "cpu",
            "precision": self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
        }

    def __call__(self, images: Any) -> Any:
        return self._model(images)[0]

    def synchronize(self) -> None: ...

    def device_seconds(self, images: Any) -> None: ...

    def profile(self, images: Any) -> Profile:
        return Profile()


class QuickOpenVino(Format):
    """A format that is opened as the documentation does; subclasses export it."""

    runs_with = ("openvino",)
    devices = ("cpu",)

    def load(self, folder: Path, device: str, threads: int) -> Compiled:
        return Compiled(folder)
