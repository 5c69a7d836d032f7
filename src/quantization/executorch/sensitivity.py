"""Order of a network's layers by the noise that int8 weights and inputs add to their output."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from src.quantization.quantization_noise import Array, energies, noise_share
from src.run.call_size import calls_of

if TYPE_CHECKING:
    from torch import Tensor, nn

_BATCH = 8  # images of one call at most
_LEVELS = 255
_LARGEST = 127


def sensitivity_order(network: nn.Module, images: Tensor) -> list[str]:
    """Return the names of convolutions and linear layers, the noisiest one first.

    Each is run once more with its weights (a scale per output channel) and its input (one range) in
    8 bits, on the fp32 network's own activations.

    Args:
        network: in eval mode on the CPU.
        images: (n, 3, H, W), calibration images.
    """
    import torch

    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    widest: dict[str, tuple[Tensor, Tensor]] = {}  # the ends of the inputs of each layer
    parts: dict[str, list[tuple[Array, Array]]] = defaultdict(list)

    def widen(name: str, values: Tensor, _: Tensor) -> None:
        low, high = widest.get(name, (values.new_zeros(()), values.new_zeros(())))
        widest[name] = torch.minimum(low, values.min()), torch.maximum(high, values.max())

    def measure(name: str, values: Tensor, output: Tensor) -> None:
        layer = layers[name]
        weight = _rounded_weights(layer.get_parameter("weight"))
        noisy = _forward(layer, weight, _rounded_activations(values, *widest[name]))
        axis = 1 if isinstance(layer, torch.nn.Conv2d) else output.ndim - 1
        parts[name].append(energies(output.numpy(), noisy.numpy(), axis))

    for visit in (widen, measure):
        with _visiting(layers, visit), torch.no_grad():
            for batch in calls_of(images, _BATCH):
                network(batch)
    shares = {
        name: noise_share(*(np.sum(part, axis=0) for part in zip(*of_calls, strict=True)))
        for name, of_calls in parts.items()
    }
    return sorted(shares, key=lambda name: -shares[name])


@contextlib.contextmanager
def _visiting(
    layers: Mapping[str, nn.Module], visit: Callable[[str, Tensor, Tensor], None]
) -> Iterator[None]:
    """Call ``visit`` with the name, the input and the output of each layer that runs within it."""

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda _, inputs, output: visit(name, inputs[0], output)

    handles = [layer.register_forward_hook(hook_of(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _forward(layer: nn.Module, weight: Tensor, inputs: Tensor) -> Tensor:
    """Run a layer with another weight, by its own ``forward``: it may pad, or change its weight.

    Calling the layer would run its hook again.
    """
    parameter = layer.get_parameter("weight")
    own = parameter.data
    try:
        parameter.data = weight
        output: Tensor = layer.forward(inputs)
    finally:
        parameter.data = own
    return output


def _rounded_weights(weight: Tensor) -> Tensor:
    rows = weight.detach().flatten(1)
    scale = (rows.abs().amax(1) / _LARGEST).clamp(min=1e-12)
    rounded = (rows / scale[:, None]).round() * scale[:, None]
    return rounded.reshape(weight.shape)


def _rounded_activations(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    scale = ((high - low) / _LEVELS).clamp(min=1e-12)
    return (values / scale).round() * scale
