"""The files of ``eager`` on a GPU in TF32: 8 bits of exponent, 10 of mantissa."""

from __future__ import annotations

from src.formats.eager import Eager
from src.run import usage_code
from src.run.facts import PreprocessingFacts


class EagerTf32(Eager):
    """Eager with TF32 in matrix products and convolutions."""

    devices = ("cuda",)
    precision = "tf32"
    tolerance = 2e-2  # like fp16, which has as many bits of mantissa
    tf32 = True

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        tf32 = [f"torch.backends.{part}.allow_tf32 = True" for part in ("cuda.matmul", "cudnn")]
        call = f"model({usage_code.tensor('cuda')})"
        return self.program(preprocessing, 'model.to("cuda")', *tf32, call=call)
