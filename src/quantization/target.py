"""The 8-bit types for ONNX Runtime that a processor multiplies fast and without overflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from src.run.twin import Processor
from src.system import machine

Target = Literal["auto", "vnni", "avx2", "arm"]


@dataclass(frozen=True)
class Choice:
    """The types for one kind of processor.

    Sources: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html and the
    docstring of ``onnxruntime.quantization.quantize_static`` on parameters for CPUs.
    """

    target: Target  # as in the options
    processor: Processor
    signed_activations: bool  # weights are always signed
    symmetric_activations: bool  # the zero point is 0
    reduce_range: bool  # weights use 7 of their 8 bits
    reason: str

    @property
    def is_here(self) -> bool:
        """True if the file is for this kind of processor: its speed can be measured here."""
        return self.processor == this_processor()

    def quantizer_options(self) -> dict[str, Any]:
        """Return the types as arguments of ONNX Runtime's quantizers."""
        from onnxruntime.quantization import QuantType

        return {
            "activation_type": QuantType.QInt8 if self.signed_activations else QuantType.QUInt8,
            "weight_type": QuantType.QInt8,
            "per_channel": True,
            "reduce_range": self.reduce_range,
            "extra_options": {"ActivationSymmetric": self.symmetric_activations},
        }

    def details(self) -> dict[str, object]:
        """Return the types as plain values, for the manifest."""
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
        """Return the types in words, for the report."""
        origin = "as export.onnx_int8.target says"
        if self.target == "auto":
            origin = "the processor that it was exported on"
        activations = "signed symmetric (S8)" if self.signed_activations else "unsigned (U8)"
        weights = "7 bits (reduce_range)" if self.reduce_range else "the full range"
        text = (
            f"For {self.processor}, {origin}: {activations} activations, signed (S8) weights in "
            f"{weights} with a scale per output channel, for {self.reason}."
        )
        if not self.is_here:
            text += (
                f" It was exported on {this_processor()}: what is measured there, accuracy and "
                "speed, tells nothing certain of that one."
            )
            if self.processor == "avx2":
                text += " benchmark.also_as=[avx2] adds its accuracy with the kernels for that one."
        return text


_CHOICES: dict[Processor, tuple[bool, bool, str]] = {  # signed and symmetric, reduce_range, reason
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
    """Return the types for ``target``. ``auto`` is this processor."""
    processor = this_processor() if target == "auto" else target
    signed, reduce_range, reason = _CHOICES[processor]
    return Choice(target, processor, signed, signed, reduce_range, reason)


def this_processor() -> Processor:
    """Return the kind of this processor: avx2, which is safe, if it is neither x86 nor ARM."""
    if machine.is_arm():
        return "arm"
    return "vnni" if machine.has_int8_dot_product() else "avx2"
