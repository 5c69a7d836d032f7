"""Try an ExecuTorch program with batches of several sizes. It runs in ExecuTorch's environment.

python -m src.backends.executorch.batches PTE CHANNELS HEIGHT WIDTH

The exit code is 0 if each of them is answered, with as many answers as images.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

SIZES = (1, 2, 5, 1)  # also a smaller one after a larger one


def main() -> None:
    path, *shape = sys.argv[1:]
    runtime: Any = importlib.import_module("executorch.runtime")
    program = runtime.Runtime.get().load_program(path)  # the method needs it while it runs
    method = program.load_method("forward")
    images = torch.rand(max(SIZES), *map(int, shape), generator=torch.Generator().manual_seed(0))
    for size in SIZES:
        answers = method.execute([images[:size].contiguous()])[0].shape[0]
        if answers != size:
            sys.exit(f"{answers} answers for {size} images")


if __name__ == "__main__":
    main()
