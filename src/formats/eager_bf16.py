"""Eager in bf16 on a GPU: half the size of fp32, and the same range of numbers."""

from __future__ import annotations

from src.formats.eager_fp16 import EagerFp16


class EagerBf16(EagerFp16):
    """``eager_fp16`` with 8 bits of mantissa and 8 of exponent."""

    precision = "bf16"
    tolerance = None  # with 8 bits of mantissa the accuracy is measured instead
    dtype = "bfloat16"
