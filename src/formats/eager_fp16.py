"""Eager in fp16 on a GPU: half the size of fp32, and products by tensor cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from src.formats.eager import Eager
from src.run import usage_code
from src.run.facts import PreprocessingFacts

if TYPE_CHECKING:
    from src.backends.torch.half_precision import NarrowType


class EagerFp16(Eager):
    """Eager with weights and products in 16 bits; images and logits stay in fp32."""

    devices = ("cuda",)
    precision = "fp16"
    tolerance: ClassVar[float | None] = 2e-2  # like onnx_fp16: 11 bits of mantissa
    dtype: ClassVar[NarrowType | None] = "float16"

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        line = f'model.to("cuda", torch.{self.dtype}, memory_format=torch.channels_last)'
        call = f"model({usage_code.tensor('cuda')}.to(torch.{self.dtype}))"
        return self.program(preprocessing, line, call=call)
