"""The ONNX file in fp32, run by ONNX Runtime with OpenVINO's kernels."""

from __future__ import annotations

from pathlib import Path

from src.backends.onnx import file
from src.backends.onnx.openvino_provider import OPTIONS, PROVIDER, OnnxOpenVinoRuntime
from src.backends.own_environment import OwnEnvironment
from src.formats.base import Bundling
from src.formats.onnx_fp32 import OnnxFp32
from src.run.facts import PreprocessingFacts
from src.run.file_input import FileInput


class OnnxOpenVino(OnnxFp32):
    """The file of ``onnx_fp32`` for another build of ONNX Runtime, which conflicts with ours."""

    requires = ("onnx", "onnxscript")
    devices = ("cpu",)
    environment = OwnEnvironment("onnx_openvino", size_bytes=364_000_000)
    embeds = False  # with its preprocessing inside it would be the file of onnx_fp32 once more
    bundling = Bundling(
        "runtime_onnxruntime_openvino",
        (file.FILE,),
        ("onnxruntime-openvino",),
        imports=("runtime_onnxruntime",),
        remark="The packages onnxruntime-openvino and onnxruntime have the same modules: an "
        "environment can have only one of them.",
    )
    provider = PROVIDER

    def load(self, folder: Path, device: str, threads: int) -> OnnxOpenVinoRuntime:
        return OnnxOpenVinoRuntime(folder / file.FILE, threads)

    def _program(self, preprocessing: PreprocessingFacts, takes: FileInput) -> str:
        program = super()._program(preprocessing, takes)
        return program.replace(f'["{PROVIDER}"]', f'[("{PROVIDER}", {OPTIONS})]')
