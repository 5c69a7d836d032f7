"""Attributes of ONNX operators that :mod:`src.twin.operators` reads, and the others.

An attribute that is not read could change what a node computes. Such a node is refused before any
training instead of being computed otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

_POOL = {"kernel_shape", "pads", "strides", "ceil_mode"}
_READ: Mapping[str, set[str]] = MappingProxyType(
    {
        "AveragePool": _POOL | {"count_include_pad"},
        "Concat": {"axis"},
        "Conv": {"kernel_shape", "pads", "strides", "dilations", "group"},
        "Flatten": {"axis"},
        "Gather": {"axis"},
        "Gelu": {"approximate"},
        "Gemm": {"alpha", "beta", "transA", "transB"},
        "HardSigmoid": {"alpha", "beta"},
        "LayerNormalization": {"axis", "epsilon"},
        "MaxPool": _POOL | {"dilations"},
        "ReduceMax": {"axes", "keepdims"},
        "ReduceMean": {"axes", "keepdims"},
        "Reshape": {"allowzero"},
        "Shape": {"start", "end"},
        "Softmax": {"axis"},
        "Split": {"axis", "num_outputs"},
        "Transpose": {"perm"},
    }
)
_SPATIAL = {"AveragePool", "Conv", "MaxPool"}
_RANKS = (3, 4, 5)  # of images: (N, C, W), (N, C, H, W), (N, C, D, H, W)
_NEUTRAL = {"auto_pad": {b"", b"NOTSET", b"VALID"}, "reduction": {b"", b"none"}}
_MULTIPLE_OUTPUTS = {"Split"}


def problem(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any]
) -> str | None:
    """Return what of a node cannot be computed here; None if all of it can.

    Args:
        operator: a key of :data:`src.twin.operators.OPERATORS`.
        inputs: names; an input that is left out is empty.
        outputs: names.
        attributes: of the node.
    """
    if operator not in _MULTIPLE_OUTPUTS and any(outputs[1:]):
        return "more than one output"
    if operator == "Split" and len(inputs) < 2 and "num_outputs" not in attributes:  # noqa: PLR2004
        return "neither sizes nor their number"
    for name, value in attributes.items():
        if name not in _READ.get(operator, set()) and not _is_neutral(name, value, inputs):
            return f"{name}={_text(value)}"
    pads = list(attributes.get("pads", []))
    is_symmetric = pads[: len(pads) // 2] == pads[len(pads) // 2 :]
    if operator == "AveragePool" and not is_symmetric and not attributes.get("count_include_pad"):
        return f"pads={pads} that are not counted"
    if operator in _SPATIAL and len(attributes.get("kernel_shape", [1])) + 2 not in _RANKS:
        return f"kernel_shape={_text(attributes['kernel_shape'])}"
    return None


def _is_neutral(name: str, value: Any, inputs: Sequence[str]) -> bool:
    """Return True if a value changes nothing."""
    if name in _NEUTRAL:
        return value in _NEUTRAL[name]
    if name == "dilations":
        return all(step == 1 for step in value)
    if name == "storage_order":  # of the indices of a maximum
        return True
    if name == "stash_type":  # of the moments of a LayerNorm: 1 is float32
        return bool(value == 1)
    if name == "noop_with_empty_axes":
        return not value or len(inputs) > 1
    return False


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
