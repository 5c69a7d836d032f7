"""What a user may say about static int8: for which processor, and how long to look for a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from src.errors import UsageError
from src.quantization.target import Target


@dataclass(frozen=True)
class Int8Options:
    """How the static int8 file is made.

    Args:
        target: the processor that the file is for: auto (this one), vnni (x86 with an int8 dot
            product), avx2 (x86 without) or arm.
        search_seconds: what may be spent on looking for a recipe that keeps the accuracy
            budget, when the plain one doesn't; 0 takes the plain one without judging it. The
            recipe that is being tried when they have passed is finished.
    """

    target: Target = "auto"
    search_seconds: float = 120.0

    def __post_init__(self) -> None:
        if self.search_seconds < 0:
            raise UsageError(
                "export.onnx_int8.search_seconds",
                expected="seconds, or 0 for no search",
                found=str(self.search_seconds),
                remedy="leave it out for its default",
            )
