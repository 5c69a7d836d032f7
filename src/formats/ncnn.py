"""ncnn in fp32: layers and weights, for phones and boards as well as for servers."""

from __future__ import annotations

from pathlib import Path

from src.backends import metadata_file
from src.backends.base import ExportSource
from src.backends.ncnn.names import INPUT, OUTPUT, PARAMETERS, WEIGHTS
from src.backends.ncnn.runtime import NcnnRuntime
from src.backends.own_environment import OwnEnvironment
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import MOST_IMAGES, ExportDetails, PreprocessingFacts


class Ncnn(Format):
    """The fp32 graph, converted from ONNX by pnnx, for one image a call."""

    requires = ("onnx", "onnxscript")
    runs_with = ("ncnn",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance = 5e-3  # other kernels, BatchNorm folded
    environment = OwnEnvironment("ncnn", size_bytes=192_000_000)
    bundling = Bundling("runtime_ncnn", (PARAMETERS, WEIGHTS, metadata_file.FILE), ("ncnn",))

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        shape = ",".join(str(side) for side in (1, *source.example.shape[1:]))
        # pnnx writes beside the file that it reads.
        copy = source.scratch / "ncnn" / "network.onnx"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(source.fp32_graph.normalised.read_bytes())
        self.environment.run("src.backends.ncnn.convert", str(copy), shape, str(folder))
        metadata_file.write(source, folder)
        return ExportDetails(more={MOST_IMAGES: 1})

    def load(self, folder: Path, device: str, threads: int) -> NcnnRuntime:
        return NcnnRuntime(folder, threads)

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        opening = [
            f'metadata = open("{usage_code.FOLDER}/{metadata_file.FILE}", encoding="utf-8")',
            'names = json.load(metadata)["class_names"]',
            "model = ncnn.Net()",
            "model.opt.use_fp16_packed = model.opt.use_fp16_storage = False",
            "model.opt.use_fp16_arithmetic = model.opt.use_bf16_storage = False",
            f'model.load_param("{usage_code.FOLDER}/{PARAMETERS}")',
            f'model.load_model("{usage_code.FOLDER}/{WEIGHTS}")',
            "run = model.create_extractor()",
        ]
        call = (
            f'[run.input("{INPUT}", ncnn.Mat(images[0])), '
            f'numpy.array(run.extract("{OUTPUT}")[1])][1:]'
        )
        return usage_code.lines(["import ncnn"], opening, preprocessing, call)
