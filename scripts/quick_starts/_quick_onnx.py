"""What the ONNX quick starts share: torch's exporter, a session with its default options."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.backends.base import Profile
from src.formats.base import Format

FILE = "model.onnx"


def export(source: Any, path: Path) -> None:
    """https://docs.pytorch.org/docs/stable/onnx.html; the batch is dynamic, to score in batches."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            source.network,
            (source.example,),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )


def prepare(source: Any, folder: Path) -> Path:
    """The float file after the pre-processing that the quantizers' page asks for."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    export(source, folder / "float.onnx")
    quant_pre_process(folder / "float.onnx", folder / "prepared.onnx")
    return folder / "prepared.onnx"


def reader(source: Any) -> Any:
    """The calibration images one by one."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds: Iterator[Any] = iter(source.calibration.split(1))

        def get_next(self) -> Any:
            image = next(self._feeds, None)
            return None if image is None else {"images": image.numpy()}

    return Reader()


class Session:
    """``onnxruntime.InferenceSession(path)``."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(folder / FILE)
        self.settings = {"runtime": f"onnxruntime {onnxruntime.__version__}", "device": "cpu"}

    def __call__(self, images: Any) -> Any:
        return self._session.run(None, {"images": images})[0]

    def synchronize(self) -> None: ...

    def device_seconds(self, images: Any) -> None: ...

    def profile(self, images: Any) -> Profile:
        return Profile()


class QuickOnnx(Format):
    """A format that is opened as the quick start does; subclasses export it."""

    requires = runs_with = ("onnxruntime",)
    devices = ("cpu",)

    def load(self, folder: Path, device: str, threads: int) -> Session:
        return Session(folder)
