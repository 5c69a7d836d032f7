"""The fp32 ONNX graph of a network, from which all ONNX and OpenVINO files are made."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from src.backends.base import Unavailable
from src.backends.onnx import pooling
from src.backends.onnx.pixel_input import Normalisation, take_pixels
from src.backends.onnx.preprocess import preprocess
from src.backends.onnx.runtime import INPUT, OUTPUT, OnnxRuntime
from src.run.file_input import BatchMaker
from src.system import machine

if TYPE_CHECKING:
    from torch import Tensor, nn

# Largest difference of a logit that rounding explains, as a share of the largest logit.
_TOLERANCE = 5e-3
# Limit of the weights in one file, a message of protobuf, which ends at 2 GiB; 16 MiB are for the
# graph.
_MOST_BYTES = 2**31 - 2**24


class Fp32Graph:
    """The network as ONNX files, each made when it is first asked for and kept for other formats.

    Args:
        network: (N, 3, H, W) float32 to (N, K) float32, in eval mode on the CPU.
        example: (2, 3, H, W); a batch of one can freeze the batch size.
        folder: an existing folder for the files.
        batch: makes the input of the files. For pixels, the normalisation is in the files.
    """

    def __init__(
        self, network: nn.Module, example: Tensor, folder: Path, batch: BatchMaker
    ) -> None:
        self._network = network
        self._example = example
        self._folder = folder
        self.batch = batch

    @property
    def takes_pixels(self) -> bool:
        """True if the files take uint8 pixels."""
        return self.batch.takes.is_pixels

    @functools.cached_property
    def path(self) -> Path:
        """One self-contained fp32 file with a dynamic batch: what ``onnx_fp32`` ships."""
        return self._with_pixel_input(self.normalised) if self.takes_pixels else self.normalised

    @functools.cached_property
    def normalised(self) -> Path:
        """The file that takes normalised images, whatever ``batch`` says.

        Raises:
            Unavailable: the weights are too large for one file.
        """
        import torch

        self._require_size()
        path = self._folder / "fp32.onnx"
        # Without gradients: with them autograd refuses an operation in place on a part of a chunk,
        # which a network may do in layers that are not trained.
        with torch.no_grad(), warnings.catch_warnings():
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
        path = self._folder / "prepared.onnx"
        preprocess(self.path, path)
        return path

    def _require_size(self) -> None:
        tensors = self._network.state_dict().values()
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if size > _MOST_BYTES:
            raise Unavailable(
                f"its weights take {size / 1e9:.2f} GB, and an ONNX file holds "
                f"{_MOST_BYTES / 1e9:.2f} GB at most; eager, torchscript and torch_export hold more"
            )

    def _with_pixel_input(self, normalised: Path) -> Path:
        """Write the file once more with the normalisation inside, and compare the logits.

        Raises:
            ValueError: the logits differ by more than rounding.
        """
        import onnx

        model = onnx.load(normalised)
        take_pixels(model, Normalisation.of(self.batch.preprocessing))
        path = self._folder / "fp32_pixels.onnx"
        onnx.save_model(model, path)
        images = self._example.numpy()
        expected = OnnxRuntime(normalised, "cpu", machine.usable_cores())(images)
        logits = OnnxRuntime(path, "cpu", machine.usable_cores())(self.batch(images))
        allowed = _TOLERANCE * float(abs(expected).max())
        difference = float(abs(logits - expected).max())
        if not difference <= allowed:
            raise ValueError(
                f"with pixels as its input the logits differ by {difference:.3g}, at most "
                f"{allowed:.3g} is due; export with export.input=float"
            )
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
