"""Set denormal weights to zero: many processors multiply them ten times and more slower.

Weight decay makes them, of channels without a gradient, and so does a BatchNorm that is folded:
https://github.com/microsoft/onnxruntime/issues/13968
"""

from __future__ import annotations

import torch
from torch import fx

_SIGN = torch.iinfo(torch.int32).min
_LEAST_NORMAL = 1 << 23  # the bits of the smallest normal number, 2 ** -126


def rewrite(graph_module: fx.GraphModule) -> int:
    """Set the denormal numbers among parameters and buffers to zero; return how many they were.

    They are told by their bits, because a process that trains takes them for zeros already.
    """
    count = 0
    for values in (*graph_module.parameters(), *graph_module.buffers()):
        if values.dtype != torch.float32:
            continue
        bits = values.detach().contiguous().view(torch.int32) & ~_SIGN
        are_denormal = (bits > 0) & (bits < _LEAST_NORMAL)
        number = int(are_denormal.sum())
        if number:
            values.masked_fill_(are_denormal, 0)
        count += number
    return count
