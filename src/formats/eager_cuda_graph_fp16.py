"""``eager_fp16`` with all kernels of a call launched at once: see ``eager_cuda_graph``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.torch import cuda
from src.backends.torch.runtime import open_device
from src.formats import eager, eager_fp16
from src.run import usage_code

requires = eager.requires
runs_with = eager.runs_with
devices = ("cuda",)
precision = "fp16"
tolerance = eager_fp16.tolerance

export = eager_fp16.export


def usage(preprocessing: dict[str, Any]) -> str:
    size = preprocessing["image_size"]
    lines = [
        'model.to("cuda", torch.float16, memory_format=torch.channels_last)',
        f"example = torch.zeros(1, 3, {size}, {size})",
        'example = example.to("cuda", torch.float16, memory_format=torch.channels_last)',
        "model = torch.cuda.make_graphed_callables(model, (example,))",
    ]
    call = f"model({usage_code.tensor('cuda')}.half())"
    return eager.usage(preprocessing, *lines, call=call)


def load(folder: Path, device: str, threads: int) -> cuda.GraphedRuntime:
    from src.backends.torch.half_precision import narrowed

    place = open_device(device, threads)
    network = narrowed(eager.open_network(folder), "float16").to(place)
    return cuda.GraphedRuntime(network, place, precision)
