"""Exact algebra on a network before it is exported: the same function, in fewer or cheaper parts.

Training wants a network as it was published. A file to deploy wants what runtimes are fast at:
an affine step of its own between two layers costs a pass over memory, and after quantization
often a dequantization and a quantization around it. Each rewrite is one module with one function
``rewrite(graph_module) -> int``: how many places it changed. It recognises parts by what they
compute, not by the architecture they stand in, and leaves alone what it is not sure of.
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

# What the later ones look for, the earlier ones lay bare.
_REWRITES = (
    identities,
    concatenations,
    batch_norm_into_convolution,
    batch_norm_as_convolution,
    scale_into_last,
    layer_norm_into_next,
    linear_as_convolution,
    permutations,
)


class NotSimplifiedWarning(UserWarning):
    """The network is exported as it is, for the reason given."""


def simplify(network: nn.Module) -> nn.Module:
    """The same function of the images as ``network`` in eval mode, in parts that run faster.

    The logits are the same to the rounding of fp32. A network that torch.fx cannot trace (its
    course depends on the values of its input) comes back as a copy, with a
    :class:`NotSimplifiedWarning`.

    Args:
        network: (N, 3, H, W) float32 -> (N, K) float32 logits. It is left as it was.

    Returns:
        A module of its own, in eval mode.
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
        for each in _REWRITES:
            each.rewrite(graph_module)
    graph_module.graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    graph_module.recompile()
    return graph_module.eval()
