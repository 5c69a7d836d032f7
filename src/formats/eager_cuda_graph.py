"""The files of ``eager`` on a GPU, with all kernels of a call launched at once by a CUDA graph.

A graph is captured at the first call with each batch size, so a service should use few of them.
"""

from __future__ import annotations

from src.backends.torch.cuda import GraphedRuntime
from src.formats.eager import Eager
from src.run import usage_code
from src.run.facts import PreprocessingFacts


class EagerCudaGraph(Eager):
    """Eager in fp32, replayed as a CUDA graph."""

    devices = ("cuda",)
    runtime = GraphedRuntime

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        size = preprocessing.image_size
        lines = [
            'model.to("cuda")',
            f'example = torch.zeros(1, 3, {size}, {size}, device="cuda")',
            "model = torch.cuda.make_graphed_callables(model, (example,))",
        ]
        return self.program(preprocessing, *lines, call=f"model({usage_code.tensor('cuda')})")
