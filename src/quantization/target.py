"""Which 8-bit types a processor multiplies fast and without overflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from src.system import machine

Target = Literal["auto", "vnni", "avx2", "arm"]


@dataclass(frozen=True)
class Choice:
    """The types for one kind of processor.

    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, and the
    docstring of ``onnxruntime.quantization.quantize_static`` on parameters for CPUs.
    """

    target: Target  # what was asked for
    processor: Target  # what that is: vnni, avx2 or arm
    signed_activations: bool  # weights always are
    symmetric_activations: bool  # the zero point is 0
    reduce_range: bool  # weights in 7 of their 8 bits
    why: str

    @property
    def is_here(self) -> bool:
        """Whether this processor is of the kind, so that speed measured here tells something."""
        return self.processor == this_processor()

    def quantizer_options(self) -> dict[str, Any]:
        """The same as arguments of ONNX Runtime's quantizers."""
        from onnxruntime.quantization import QuantType

        return {
            "activation_type": QuantType.QInt8 if self.signed_activations else QuantType.QUInt8,
            "weight_type": QuantType.QInt8,
            "per_channel": True,
            "reduce_range": self.reduce_range,
            "extra_options": {"ActivationSymmetric": self.symmetric_activations},
        }

    def details(self) -> dict[str, Any]:
        """The same as plain values, for the manifest."""
        return {
            "target": self.processor,
            "asked_for": self.target,
            "activation_type": "int8" if self.signed_activations else "uint8",
            "activations_symmetric": self.symmetric_activations,
            "weight_type": "int8",
            "per_channel": True,
            "reduce_range": self.reduce_range,
        }

    def sentence(self) -> str:
        """The same in words."""
        origin = "which this CPU is" if self.target == "auto" else "as export.onnx_int8.target says"
        activations = "signed symmetric (S8)" if self.signed_activations else "unsigned (U8)"
        weights = "7 bits (reduce_range)" if self.reduce_range else "the full range"
        text = (
            f"For {self.processor}, {origin}: {activations} activations, signed (S8) weights in "
            f"{weights} with a scale per output channel, for {self.why}."
        )
        if not self.is_here:
            text += (
                f" This CPU is {this_processor()}: what is measured on it, accuracy and speed, "
                "tells nothing certain of that one."
            )
        return text


_CHOICES: dict[Target, tuple[bool, bool, str]] = {  # signed and symmetric, reduce_range, why
    "vnni": (
        False,
        False,
        "its int8 dot product multiplies unsigned with signed bytes and sums in 32 bits",
    ),
    "avx2": (
        False,
        True,
        "its vpmaddubsw adds pairs of products in 16 bits, where full-range weights overflow",
    ),
    "arm": (True, False, "ARM's kernels multiply signed with signed bytes"),
}


def choose(target: Target) -> Choice:
    """The types for ``target``; ``auto`` is this processor."""
    processor = this_processor() if target == "auto" else target
    signed, reduce_range, why = _CHOICES[processor]
    return Choice(target, processor, signed, signed, reduce_range, why)


def this_processor() -> Target:
    """This processor's kind; one that is neither x86 nor ARM is treated with avx2's caution."""
    if machine.is_arm():
        return "arm"
    return "vnni" if machine.has_int8_dot_product() else "avx2"
