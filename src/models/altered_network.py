"""Comparison of a classifier's network with the one that its checkpoint names.

A checkpoint holds the name of a network and its options, not code. An export builds that network
again. A subclass may have changed its own, for example ``self.network.maxpool = nn.Identity()``,
and weights of the same names and shapes would be exported as another network.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from src.errors import UsageError, describe
from src.models import builders
from src.models.network import NetworkSpec

PREFIX = "network."  # of the bare network's weights in a classifier's state dict
# Share of the largest logit. Both networks run on one device. On a GPU, cuDNN may choose another
# kernel for the second one, and TF32 has 11 significant bits.
_TOLERANCE, _TOLERANCE_ON_GPU = 1e-4, 5e-3
_SHOWN = 120  # characters of a layer


def difference(
    classifier: nn.Module, network: nn.Module, spec: NetworkSpec, images: Tensor
) -> str | None:
    """Return how a classifier differs from the network that it names; None if it answers alike.

    Modes, weights and torch's random numbers are left as they are.

    Args:
        classifier: maps images to logits, (N, K), by its ``network``; on any device.
        network: the classifier's own.
        spec: of the network that the classifier names.
        images: inputs, (N, 3, H, W), on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        named = spec.build()
    state = network.state_dict(keep_vars=True)
    try:
        builders.require_weights_of(named, state)
    except ValueError as error:
        return _layer(network, named) or str(error)
    device = next(network.parameters()).device
    named.to(device).eval()
    images = images.to(device)
    for weights_from in (_distinct, _single_precision):
        weights = weights_from(state)
        for name, value in named.state_dict(keep_vars=True).items():
            value.data = weights[name]
        with _evaluation(classifier), _replaced(classifier, state, weights):
            logits = classifier(images)
            try:
                expected = named(images)
            except (RuntimeError, ValueError, IndexError) as error:
                return _layer(network, named) or describe(error)
        if not isinstance(logits, Tensor) or logits.shape != expected.shape:
            return f"it returns {_described(logits)} and not {_described(expected)}"
        if torch.isfinite(expected).all():
            break  # a network without normalisation may overflow with the first weights
    share = _TOLERANCE if device.type == "cpu" else _TOLERANCE_ON_GPU
    limit = share * float(expected.abs().max())
    if torch.allclose(logits, expected, rtol=0, atol=limit, equal_nan=True):
        return None
    largest = float((logits - expected).abs().max() / expected.abs().max())
    return (
        _layer(network, named)
        or f"its logits differ by {largest:.2g} of the largest, so a forward() is another one"
    )


def refusal(builder: str, found: str, otherwise: str = "") -> UsageError:
    """Return the error for a network that is not the one that it names.

    Args:
        builder: name of the network that would be exported.
        found: a result of :func:`difference`.
        otherwise: the end of the remedy: another way out.
    """
    return UsageError(
        "model",
        expected=f"{builder} unchanged: a checkpoint holds a network's name and no code, and "
        "exports build it by this name",
        found=found,
        remedy="give the changed network a name of its own by a file in src/models/own/, see "
        f"docs/extending.md{otherwise}",
    )


@contextlib.contextmanager
def _evaluation(classifier: nn.Module) -> Iterator[None]:
    """Evaluate in eager mode, without autocast and gradients, and restore the modes."""
    training = {module: module.training for module in classifier.modules()}
    device = next(classifier.parameters()).device.type
    with contextlib.ExitStack() as stack:
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.no_grad())
        try:
            classifier.eval()
            yield
        finally:
            for module, mode in training.items():
                module.training = mode


@contextlib.contextmanager
def _replaced(
    classifier: nn.Module, state: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> Iterator[None]:
    """Compute with other weights, in single precision, and restore those that there are.

    The parameters stay the same objects, which an optimizer or a frozen layer may know.
    """
    values = {id(tensor): weights[name] for name, tensor in state.items()}
    own = [(each, each.data) for each in chain(classifier.parameters(), classifier.buffers())]
    try:
        for tensor, value in own:
            tensor.data = values[id(tensor)] if id(tensor) in values else _as_single(value)
        yield
    finally:
        for tensor, value in own:
            tensor.data = value


def _as_single(value: Tensor) -> Tensor:
    # A copy: a layer may write into its buffers.
    return value.detach().clone().float() if value.is_floating_point() else value.clone()


def _single_precision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    copies = {id(value): _as_single(value) for value in state.values()}
    return {name: copies[id(value)] for name, value in state.items()}


def _distinct(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with which each layer changes the logits.

    New networks have gains and heads that are zero or nearly so, such as ConvNeXt's layer scale of
    1e-6, which hide what the layers before or behind them compute.
    """
    generator = torch.Generator().manual_seed(0)
    values = _single_precision(state)
    for name, parameter in state.items():
        value = values[name]
        if not isinstance(parameter, nn.Parameter) or not value.is_floating_point():
            continue
        is_gain = sum(side > 1 for side in value.shape) <= 1  # or a bias
        if is_gain:
            drawn = torch.rand(value.shape, generator=generator) / 2 + 0.5
            signs = torch.randint(2, value.shape, generator=generator) * 2 - 1
            value.copy_(drawn * signs)
        elif not value.any():
            fan_in = max(1, value[0].numel())
            value.copy_(torch.randn(value.shape, generator=generator) * fan_in**-0.5)
    return values


def _layer(network: nn.Module, named: nn.Module) -> str | None:
    """Return the first layer that is another one; None if all are of one kind and options."""
    own, other = dict(network.named_modules()), dict(named.named_modules())
    for name in dict.fromkeys([*own, *other]):
        layer, expected = _shown(own.get(name)), _shown(other.get(name))
        if layer != expected and not isinstance(own.get(name), _DropoutNd):
            return f"{name or 'the network'} is {layer} and not {expected}"
    return None


def _shown(layer: nn.Module | None) -> str:
    if layer is None:
        return "no layer"
    return f"{type(layer).__name__}({layer.extra_repr()})".replace("()", "")[:_SHOWN]


def _described(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"
