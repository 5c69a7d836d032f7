"""Least squares of one layer: its weights from samples of its inputs and wanted outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

_HELD_OUT = 4  # of so many samples, one; samples of an image stay together
_RIDGES = (1e-3, 3e-2, 1.0)  # of the mean square of the inputs
_LEAST_RIDGE = 1e-12  # for groups whose inputs are all zero
_LEAST_GAIN = 0.99  # of the error on samples that were held out
_IMAGE_AXES = 4

# Shapes: N images, P drawn positions of each, G groups, F weights of an output, O outputs of a
# group.


class Layer:
    """A convolution or linear layer as a product of matrices, at some positions of its output.

    Args:
        module: ``nn.Conv2d`` with zeros as padding, or ``nn.Linear``.
    """

    def __init__(self, module: nn.Module) -> None:
        if not isinstance(module, nn.Conv2d | nn.Linear):
            raise TypeError(f"expected a Conv2d or Linear, found {type(module).__name__}")
        self.module = module
        self.groups = module.groups if isinstance(module, nn.Conv2d) else 1
        self.fan_in = module.weight[0].numel()
        self.channels = len(module.weight)  # of the output
        self._positions = torch.empty(0, 0, dtype=torch.long)  # (N, P), in the flat output
        self._width = 1  # of the output

    def draw(self, output: Tensor, images: int, count: int) -> None:
        """Draw positions of the output for each image.

        Args:
            output: of any batch.
            images: N.
            count: the largest P.
        """
        generator = torch.Generator().manual_seed(0)
        if isinstance(self.module, nn.Conv2d):
            self._width = output.shape[-1]
            size = output.shape[-2] * output.shape[-1]
        else:
            size = output[0].numel() // output.shape[-1]
        count = min(count, size)
        drawn = [torch.randperm(size, generator=generator)[:count] for _ in range(images)]
        self._positions = torch.stack(drawn).to(output.device)

    def outputs(self, output: Tensor, first: int) -> Tensor:
        """Return a batch's outputs at the drawn positions, (N, P, G * O).

        Args:
            output: of the layer.
            first: number of the batch's first image.
        """
        return self._picked(self._flat(output), first)

    def inputs(self, value: Tensor, first: int) -> Tensor:
        """Return the inputs that the drawn outputs depend on, (N, P, G * F).

        Args:
            value: input of the layer.
            first: number of the batch's first image.
        """
        module = self.module
        if isinstance(module, nn.Linear):
            return self._picked(self._flat(value), first)
        high, wide = module.kernel_size
        down, right = module.stride
        top, left = map(int, module.padding)
        apart_y, apart_x = module.dilation
        padded = functional.pad(value, (left, left, top, top))
        positions = self._positions[first : first + len(value)]
        rows, columns = positions // self._width * down, positions % self._width * right
        y = torch.arange(high, device=value.device).repeat_interleave(wide) * apart_y
        x = torch.arange(wide, device=value.device).repeat(high) * apart_x
        taps = (
            (rows[..., None] + y) * padded.shape[-1] + columns[..., None] + x
        )  # (N, P, high*wide)
        flat = padded.flatten(2)  # (N, C, H * W)
        index = taps.flatten(1)[:, None].expand(-1, flat.shape[1], -1)
        found = flat.gather(2, index).view(*flat.shape[:2], *taps.shape[1:])  # (N, C, P, high*wide)
        return found.transpose(1, 2).flatten(2)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs (samples, G * O) of inputs (samples, G * F)."""
        x, weights = self.operands(inputs)
        return (x @ weights).transpose(0, 1).flatten(1)

    def operands(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of the outputs: inputs (G, samples, F) and weights (G, F, O).

        With a bias, F is greater by one. They are of float64.
        """
        module, groups = self.module, self.groups
        x = inputs.view(len(inputs), groups, -1).transpose(0, 1).double()
        weights = module.weight.double().view(groups, -1, self.fan_in).transpose(1, 2)
        if module.bias is not None:
            x = torch.cat([x, torch.ones_like(x[..., :1])], dim=2)
            weights = torch.cat([weights, module.bias.double().view(groups, 1, -1)], dim=1)
        return x, weights

    def _flat(self, value: Tensor) -> Tensor:
        """Return the values of each position, (N, positions, channels)."""
        if isinstance(self.module, nn.Conv2d):
            return value.flatten(2).transpose(1, 2)
        return value.reshape(len(value), -1, value.shape[-1])

    def _picked(self, values: Tensor, first: int) -> Tensor:
        positions = self._positions[first : first + len(values)]
        return values.gather(1, positions[..., None].expand(-1, -1, values.shape[-1]))


def fit(layer: Layer, inputs: Tensor, outputs: Tensor) -> bool:
    """Give a layer the weights that map inputs to outputs best, if they do it better than its own.

    The weights are pulled towards those that the layer has (ridge regression). Of three strengths
    the one is taken with the least error on a quarter of the samples, which is held out.

    Args:
        layer: to be fitted.
        inputs: (samples, G * F).
        outputs: (samples, G * O).

    Returns:
        True if the layer has other weights now.
    """
    module = layer.module
    x, before = layer.operands(inputs)
    y = outputs.view(len(outputs), layer.groups, -1).transpose(0, 1).double()  # (G, samples, O)
    kept = x.shape[1] - x.shape[1] // _HELD_OUT
    errors = {0.0: _error(x[:, kept:], y[:, kept:], before)}
    system = _System.of(x[:, :kept], y[:, :kept], before)
    for ridge in _RIDGES:
        weights = system.solved(ridge)
        if weights is not None:
            errors[ridge] = _error(x[:, kept:], y[:, kept:], weights)
    best = min(errors, key=lambda ridge: errors[ridge])
    if not errors[best] < _LEAST_GAIN * errors[0.0]:
        return False
    system = system + _System.of(x[:, kept:], y[:, kept:], before)
    weights = system.solved(best)
    if weights is None:
        return False
    if module.bias is not None:
        weights, bias = weights[:, :-1], weights[:, -1]
        module.bias.copy_(bias.reshape(-1))
    module.weight.copy_(weights.transpose(1, 2).reshape(module.weight.shape))
    return True


def _error(x: Tensor, y: Tensor, weights: Tensor) -> float:
    """Return the mean squared error; infinite if it is not a number."""
    error = float((x @ weights - y).square().mean())
    return error if error == error else float("inf")  # noqa: PLR0124


@dataclass(frozen=True)
class _System:
    """The normal equations of ridge regression towards other weights.

    Args:
        before: the other weights, (G, F, O).
        squares: (G, F, F).
        wanted: (G, F, O).
    """

    before: Tensor
    squares: Tensor
    wanted: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, before: Tensor) -> Self:
        return cls(before, x.transpose(1, 2) @ x, x.transpose(1, 2) @ (y - x @ before))

    def __add__(self, other: Self) -> Self:
        """Return the equations of both systems' samples."""
        return replace(
            self, squares=self.squares + other.squares, wanted=self.wanted + other.wanted
        )

    def solved(self, ridge: float) -> Tensor | None:
        """Return the weights, (G, F, O); None if there are none."""
        size = self.squares.diagonal(dim1=1, dim2=2).mean(1)  # (G,)
        strength = ridge * size + _LEAST_RIDGE * size.mean() + torch.finfo(size.dtype).tiny
        added = self.squares.clone()
        added.diagonal(dim1=1, dim2=2).add_(strength[:, None])
        factor, failed = torch.linalg.cholesky_ex(added)
        if bool(failed.any()):  # inputs that are not finite
            return None
        return self.before + torch.cholesky_solve(self.wanted, factor)
