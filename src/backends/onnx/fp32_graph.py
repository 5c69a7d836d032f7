"""The fp32 ONNX graph of a network, from which all ONNX and OpenVINO files are made."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from src.backends.onnx import pooling
from src.backends.onnx.runtime import INPUT, OUTPUT

if TYPE_CHECKING:
    from torch import Tensor, nn


class Fp32Graph:
    """The network as ONNX files, each made when it is first asked for and kept for other formats.

    Args:
        network: (N, 3, H, W) float32 to (N, K) float32, in eval mode on the CPU.
        example: (2, 3, H, W); a batch of one can freeze the batch size.
        folder: an existing folder for the files.
    """

    def __init__(self, network: nn.Module, example: Tensor, folder: Path) -> None:
        self._network = network
        self._example = example
        self._folder = folder

    @functools.cached_property
    def path(self) -> Path:
        """One self-contained fp32 file with a dynamic batch: what ``onnx_fp32`` ships."""
        import torch

        path = self._folder / "fp32.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the exporter's internals, not the result
            torch.onnx.export(
                self._network,
                (self._example,),
                path,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                external_data=False,  # its default leaves the weights in a second file
                verbose=False,
            )
        _tidy(path)
        return path

    @functools.cached_property
    def prepared(self) -> Path:
        """The fp32 file with shapes and the runtime's own fusions, as quantizers need it."""
        from onnxruntime.quantization.shape_inference import quant_pre_process

        path = self._folder / "prepared.onnx"
        quant_pre_process(self.path, path)
        return path


def _tidy(path: Path) -> None:
    """Use better operators, and remove what the exporter notes on each node.

    It notes its Python stack, with this machine's paths: 498 KB of EfficientNet-B0's file, a
    tenth of it in int8.
    """
    import onnx

    model = onnx.load(path)
    pooling.use_global_average_pool(model)
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save_model(model, path)
