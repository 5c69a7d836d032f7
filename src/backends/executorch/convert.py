"""Lower an exported program for XNNPACK. It runs in the environment of ExecuTorch.

python -m src.backends.executorch.convert PT2 PTE
python -m src.backends.executorch.convert PT2 PTE IMAGES [FLOAT_MODULE...]

With IMAGES.npy the program is quantized first (PT2E), calibrated on these images; the modules that
are named stay in float.

Some networks compute sizes from the size of the batch, as ShuffleNet does, and ExecuTorch may take
these for fixed. So the lowered program is tried with batches of several sizes, in a process of its
own. If it fails, the network is lowered for one image a call instead.
https://docs.pytorch.org/executorch/stable/backends/xnnpack/xnnpack-quantization.html
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.run.call_size import calls_of

_BATCH = 8  # calibration images of one call at most


def main() -> None:
    source, target, *quantization = sys.argv[1:]
    path = Path(target)
    program = _program(source, quantization, single=False)
    most_images = _largest_batch(program)
    path.write_bytes(_lowered(program))
    if not _takes_batches(path, _image_shape(program)):
        path.write_bytes(_lowered(_program(source, quantization, single=True)))
        most_images = 1
    print(most_images)


def _program(source: str, quantization: Sequence[str], *, single: bool) -> Any:
    """Return the program to lower, for one image a call if ``single``.

    It is made from the file each time: lowering changes a program.
    """
    program = torch.export.load(source)
    largest, shape = _largest_batch(program), _image_shape(program)
    if quantization:
        images, *float_modules = quantization
        module = _quantized(program, images, float_modules)
    elif single:
        module = program.module()
    else:
        return program
    if single:
        return torch.export.export(module, (torch.zeros(1, *shape),))
    batch = torch.export.Dim("batch", min=1, max=largest)
    return torch.export.export(module, (torch.zeros(2, *shape),), dynamic_shapes=({0: batch},))


def _lowered(program: Any) -> bytes:
    """Return the program for XNNPACK."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    largest = _largest_batch(program)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    _bound_sizes(lowered.exported_program(), largest)
    return bytes(lowered.to_executorch().buffer)


def _takes_batches(path: Path, shape: Sequence[int]) -> bool:
    """Return True if a program answers batches of several sizes; it may end its process."""
    command = [sys.executable, "-m", "src.backends.executorch.batches", str(path)]
    command += [str(size) for size in shape]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _image_shape(program: Any) -> list[int]:
    """Return (C, H, W) of the program's input."""
    [name] = program.graph_signature.user_inputs
    [node] = [node for node in program.graph.nodes if node.name == name]
    return [int(size) for size in node.meta["val"].shape[1:]]


def _quantized(program: Any, images: str, float_modules: Sequence[str]) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer()
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    kept = frozenset(float_modules)
    quantizer.set_filter_function(lambda node: not kept & set(modules_of(node)))
    prepared = prepare_pt2e(program.module(), quantizer)
    calibration = torch.from_numpy(np.load(images, allow_pickle=False))
    with torch.no_grad():
        for batch in calls_of(calibration, _BATCH):
            prepared(batch)
    return convert_pt2e(prepared)


def _bound_sizes(program: Any, largest: int) -> None:
    """Set the range of each size that may change once more, in the lowered program.

    Otherwise ExecuTorch 1.5.1 plans the memory for 15 images, although the program allows more.
    """
    from torch.utils._sympy.value_ranges import ValueRanges

    for node in program.graph.nodes:
        values = node.meta.get("val")
        for value in values if isinstance(values, list | tuple) else [values]:
            sizes: Any = value.shape if isinstance(value, torch.Tensor) else ()
            for size in sizes:
                if isinstance(size, torch.SymInt):
                    node_of_size: Any = size.node
                    for symbol in node_of_size.expr.free_symbols:
                        node_of_size.shape_env.var_to_range[symbol] = ValueRanges(1, largest)


def modules_of(node: Any) -> list[str]:
    """Return the names of the modules that a node of a graph belongs to."""
    stack = node.meta.get("nn_module_stack") or {}
    return [name.removeprefix("L['self'].") for name, _ in stack.values()]


def _largest_batch(program: Any) -> int:
    """Return the most images of a call; one for a program without a range of them."""
    return max((int(limits.upper) for limits in program.range_constraints.values()), default=1)


if __name__ == "__main__":
    main()
