"""ONNX Runtime's preparation of a file for its quantizer."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

_LOG = logging.getLogger(__name__)


def preprocess(source: Path, target: Path) -> None:
    """Write a file once more, with shapes and the runtime's own fusions, as quantizers need it.

    The symbolic inference of shapes does not know all graphs. Without it, the shapes are those
    that ONNX infers. On its failure it writes files into the working folder, which is therefore
    the folder of the target meanwhile.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, target = source.resolve(), target.resolve()
    with contextlib.chdir(target.parent):
        try:
            quant_pre_process(source, target)
        except Exception as error:  # a bare Exception or a TypeError from within
            _LOG.debug("no symbolic shapes of %s: %s", source.name, error)
            quant_pre_process(source, target, skip_symbolic_shape=True)
