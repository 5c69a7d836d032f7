"""Order of a network's layers by the noise that int8 weights and inputs add to their output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.quantization.quantization_noise import energies, noise_share

if TYPE_CHECKING:
    from torch import Tensor, nn

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

    shares: dict[str, float] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):

            def measure(
                layer: nn.Module, inputs: tuple[Tensor], output: Tensor, name: str = name
            ) -> None:
                weight = _rounded_weights(layer.get_parameter("weight"))
                noisy = _forward(layer, weight, _rounded_activations(inputs[0]))
                axis = 1 if isinstance(layer, torch.nn.Conv2d) else output.ndim - 1
                shares[name] = noise_share(*energies(output.numpy(), noisy.numpy(), axis))

            handles.append(module.register_forward_hook(measure))
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return sorted(shares, key=lambda name: -shares[name])


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


def _rounded_activations(values: Tensor) -> Tensor:
    low, high = values.min().clamp(max=0), values.max().clamp(min=0)
    scale = ((high - low) / _LEVELS).clamp(min=1e-12)
    return (values / scale).round() * scale
