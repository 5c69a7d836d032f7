"""Eager's network and weights in bf16 on a GPU: half the size, and the range of fp32."""

from __future__ import annotations

from src.formats.eager_fp16 import EagerFp16


class EagerBf16(EagerFp16):
    """``eager_fp16`` with 8 bits of mantissa and 8 of exponent."""

    precision = "bf16"
    tolerance = None  # 8 bits of mantissa: the accuracy is measured instead
    dtype = "bfloat16"
