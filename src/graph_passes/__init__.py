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
from torch import fx, nn

from src.graph_passes import (
    batch_norm_as_convolution,
    batch_norm_into_convolution,
    concatenations,
    identities,
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
)


class NotSimplifiedWarning(UserWarning):
    """Emitted when a network is exported unchanged. The message gives the reason."""


def simplify(network: nn.Module) -> nn.Module:
    """Return a faster network with the same outputs as ``network`` in eval mode.

    The logits are equal except for fp32 rounding. If torch.fx cannot trace the network, because its
    control flow depends on its input, return a copy and emit a :class:`NotSimplifiedWarning`.

    Args:
        network: (N, 3, H, W) float32 -> (N, K) float32 logits. It is not changed.

    Returns:
        A module that shares no parameters with ``network``, in eval mode.
    """
    duplicate = copy.deepcopy(network).eval()
    try:
        graph_module = fx.symbolic_trace(duplicate)
    except Exception as error:  # tracing runs the network's own code, which may raise anything
        warnings.warn(
            f"{type(network).__name__} is exported as it is, for torch.fx cannot trace it: "
            f"{type(error).__name__}: {error}",
            NotSimplifiedWarning,
            stacklevel=2,
        )
        return duplicate
    with torch.no_grad():
        for module in _REWRITES:
            module.rewrite(graph_module)
    graph_module.graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    graph_module.recompile()
    return graph_module.eval()
