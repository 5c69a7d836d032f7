"""Quantize a LiteRT file by the AI Edge Quantizer. It runs in the environment of LiteRT.

python -m src.quantization.litert.quantize FP32 INT8 IMAGES [LAYER...]
python -m src.quantization.litert.quantize --order FP32 IMAGES

The first form writes a file with int8 weights, a scale per output channel, and int8 activations,
calibrated on IMAGES.npy, (n, 3, H, W). Its input and its logits stay in float, and so do the layers
that are named, by their output tensors. The second form prints these names as JSON, the layer first
to which int8 adds the most noise.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
from ai_edge_quantizer import algorithm_manager, qtyping, quantizer
from numpy.typing import NDArray

from src.backends.litert.names import INPUT
from src.backends.own_environment import CANNOT
from src.quantization.litert.sensitivity import sensitivity_order
from src.system import machine

_BITS = 8
_EVERYWHERE = ".*"
_SIGNATURE = "serving_default"  # as onnx2tf calls it


def main() -> None:
    if sys.argv[1] == "--order":
        fp32, images = sys.argv[2:]
        names = sensitivity_order(Path(fp32), _read(images))
        sys.stdout.write(f"\n{json.dumps(names)}\n")  # the interpreter prints as well
        return
    fp32, target, images, *float_layers = sys.argv[1:]
    operation, off = qtyping.TFLOperationName, algorithm_manager.AlgorithmName.NO_QUANTIZE
    tool = quantizer.Quantizer(fp32)
    tool.add_static_config(_EVERYWHERE, operation.ALL_SUPPORTED, _BITS, _BITS)
    # The quantizer 0.10 fails on PADV2, which surrounds the input of a pool with minus infinity.
    for kept in (operation.INPUT, operation.OUTPUT, operation.PADV2):
        tool.update_quantization_recipe(_EVERYWHERE, kept, algorithm_key=off)
    for name in float_layers:
        # An operator is found by the names of its output tensors, a semicolon behind each.
        pattern = f"^{re.escape(name)};$"
        tool.update_quantization_recipe(pattern, operation.ALL_SUPPORTED, algorithm_key=off)
    samples = [{INPUT: image[None]} for image in _read(images)]
    try:
        ranges = tool.calibrate({_SIGNATURE: samples}, num_threads=machine.usable_cores())
        result = tool.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    except KeyError as error:  # of a tensor by its name, as in ConvNeXt-T
        sys.stderr.write(f"\nthe AI Edge Quantizer cannot calibrate the tensor {error}\n")
        sys.exit(CANNOT)
    Path(target).write_bytes(result.quantized_model)


def _read(path: str) -> NDArray[np.float32]:
    images: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return images


if __name__ == "__main__":
    main()
