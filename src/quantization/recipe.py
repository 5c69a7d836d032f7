"""One way of making a static int8 file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Calibration = Literal["minmax", "average", "percentile 99.999", "percentile 99.99", "entropy"]


@dataclass(frozen=True)
class Recipe:
    """What is done between the fp32 file and the int8 file."""

    calibration: Calibration = "minmax"
    kept_in_float: tuple[str, ...] = ()  # names of nodes
    bias_corrected: bool = False
    equalised: bool = False
    sigmoid_gelu: bool = False  # GELU as x times a sigmoid, in int8
    multiplied_generally: tuple[str, ...] = ()  # convolutions, by their nodes' names
    float_up_to: str = ""  # the name of the last node of a beginning in float

    def __str__(self) -> str:
        parts: list[str] = [self.calibration]
        if self.bias_corrected:
            parts.append("bias corrected")
        if self.equalised:
            parts.append("equalised")
        if self.sigmoid_gelu:
            parts.append("GELU by a sigmoid")
        if count := len(self.multiplied_generally):
            parts.append(f"{count} by the general product")
        if self.float_up_to:
            parts.append(f"in float up to {self.float_up_to}")
        if count := len(self.kept_in_float):
            parts.append(f"{count} {'node' if count == 1 else 'nodes'} in float")
        return ", ".join(parts)
