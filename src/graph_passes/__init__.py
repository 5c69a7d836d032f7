"""Exact rewrites of a network before its export: the same function in fewer or faster layers.

Training uses a network as it was published. A deployed file needs layers for which runtimes have
fast kernels: a separate affine layer between two others costs a pass over memory, and after
quantization often a dequantization and a quantization around it. Each rewrite is a module with a
function ``rewrite(graph_module) -> int``, which returns the number of places that it changed. It
recognises layers by what they compute, not by the architecture, and skips cases that it cannot
prove to be equal.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, fx, nn

from src.graph_passes import (
    batch_norm_as_convolution,
    batch_norm_into_convolution,
    concatenations,
    denormal_weights,
    identities,
    in_place,
    layer_norm_into_next,
    linear_as_convolution,
    permutations,
    scale_into_last,
)

# The order matters: earlier rewrites produce the patterns that later ones look for. Permutations
# that cancel may be between a convolution and its BatchNorm, and between the results of later ones.
_REWRITES = (
    identities,
    concatenations,
    permutations,
    batch_norm_into_convolution,
    batch_norm_as_convolution,
    scale_into_last,
    layer_norm_into_next,
    linear_as_convolution,
    permutations,
    denormal_weights,  # those of folded layers, too
)


_TOLERANCE = 1e-3  # of the logits, a share of the largest one; fp32 rounding gives about 1e-6


class NotSimplifiedWarning(UserWarning):
    """Emitted when a network is exported unchanged. The message gives the reason."""


class _UnsafeError(Exception):
    """The rewritten network would compute something else; the message says why."""


def simplify(network: nn.Module, images: Tensor | None = None) -> nn.Module:
    """Return a faster network with the same outputs as ``network`` in eval mode.

    The logits are equal except for fp32 rounding. Return a copy, and emit a
    :class:`NotSimplifiedWarning`, in these cases:

    - torch.fx cannot trace the network, because its control flow depends on its input.
    - An operation in place has an effect that the rewrites could lose: see
      :mod:`src.graph_passes.in_place`.
    - A rewrite fails.
    - The logits of ``images`` differ by more than a thousandth of the largest one.

    Args:
        network: (N, 3, H, W) float32 -> (N, K) float32 logits. It is not changed.
        images: a few images, (n, 3, H, W), to compare the logits on; None for no comparison.

    Returns:
        A module that shares no parameters with ``network``, in eval mode.
    """
    duplicate = copy.deepcopy(network).eval()
    try:
        graph_module = fx.symbolic_trace(duplicate)
    except Exception as error:  # tracing runs the network's own code, which may raise anything
        return _copied(network, f"torch.fx cannot trace it: {_described(error)}")
    try:
        _require_no_hazard(duplicate)
        simplified = _rewritten(graph_module)
        if images is not None:
            _require_equal(network, simplified, images)
    except _UnsafeError as error:
        return _copied(network, str(error))
    except Exception as error:  # a rewrite meets calls that nobody thought of
        return _copied(network, f"a rewrite failed: {_described(error)}")
    return simplified


def _require_no_hazard(network: nn.Module) -> None:
    hazard = in_place.first_hazard(network)
    if hazard is not None:
        raise _UnsafeError(f"{hazard} modifies in place a tensor that is read elsewhere")


def _rewritten(graph_module: fx.GraphModule) -> fx.GraphModule:
    with torch.no_grad():
        for module in _REWRITES:
            module.rewrite(graph_module)
    graph_module.graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    graph_module.recompile()
    return graph_module.eval()


def _require_equal(network: nn.Module, simplified: nn.Module, images: Tensor) -> None:
    """Compare the logits, computed by copies: a network may keep values between its calls."""
    with torch.inference_mode():
        # A network may modify its input.
        expected, logits = (
            copy.deepcopy(each).eval()(images.clone()) for each in (network, simplified)
        )
    if expected.shape != logits.shape:
        raise _UnsafeError(
            f"rewritten, it gives logits of shape {tuple(logits.shape)} instead of "
            f"{tuple(expected.shape)}"
        )
    if not expected.isfinite().all():
        return  # nothing to compare
    largest = expected.abs().max()
    difference = (logits - expected).abs().max() / largest.clamp_min(torch.finfo().tiny)
    if not difference <= _TOLERANCE:  # also if it is not a number
        raise _UnsafeError(
            f"rewritten, it gives logits that differ by {difference:.2g} of the largest one, more "
            f"than {_TOLERANCE:g}"
        )


def _copied(network: nn.Module, reason: str) -> nn.Module:
    warnings.warn(
        f"{type(network).__name__} is exported as it is, for {reason}",
        NotSimplifiedWarning,
        stacklevel=3,
    )
    return copy.deepcopy(network).eval()


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
