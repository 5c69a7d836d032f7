"""``eager_fp16`` with all kernels of a call launched at once by a CUDA graph."""

from __future__ import annotations

from src.backends.torch.cuda import GraphedRuntime
from src.formats.eager_fp16 import EagerFp16
from src.run import usage_code
from src.run.facts import PreprocessingFacts


class EagerCudaGraphFp16(EagerFp16):
    """Eager in fp16, replayed as a CUDA graph."""

    runtime = GraphedRuntime

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        size = preprocessing.image_size
        lines = [
            'model.to("cuda", torch.float16, memory_format=torch.channels_last)',
            f"example = torch.zeros(1, 3, {size}, {size})",
            'example = example.to("cuda", torch.float16, memory_format=torch.channels_last)',
            "model = torch.cuda.make_graphed_callables(model, (example,))",
        ]
        call = f"model({usage_code.tensor('cuda')}.half())"
        return self.program(preprocessing, *lines, call=call)
