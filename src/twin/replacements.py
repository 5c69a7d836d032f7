"""Parts of a network that are slow in int8, and parts that may stand in their place.

Parts are found by their class, in any network. A replacement is stored as plain values: the kind of
the part, the name of its substitute and the paths of the modules.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

DROP = "drop"
_IMAGE_AXES, _TOKEN_AXES = 4, 3
_RATES = {"p", "prob"}  # attributes of a module of noise: torch's and torchvision's, timm's
_NOISY = ("drop", "stochasticdepth")  # in the name of its class
_CLOSE = 1e-3  # of normalised values


@dataclass(frozen=True)
class Replacement:
    """Substitutes for some parts of one kind.

    Args:
        kind: key of ``KINDS``.
        by: key of the substitutes of that kind.
        paths: names of the replaced modules in the network.
    """

    kind: str
    by: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        verb = "dropped" if self.by == DROP else f"by {self.by}"
        return f"{len(self.paths)} {self.kind} {verb}"


class ImageBatchNorm(nn.Module):
    """BatchNorm over the channels of images with the channels first or last.

    Args:
        channels: number of channels.
        eps: added to the variance.
        channels_last: images are (N, H, W, C) instead of (N, C, H, W).
    """

    def __init__(self, channels: int, eps: float, *, channels_last: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=eps)
        self.channels_last = channels_last

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images, in their layout."""
        if not self.channels_last:
            normed: Tensor = self.norm(images)
            return normed
        first: Tensor = self.norm(images.permute(0, 3, 1, 2))
        return first.permute(0, 2, 3, 1)


class TokenBatchNorm(nn.Module):
    """BatchNorm over the last axis of tokens (N, L, C) or vectors (N, C)."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, eps=eps)

    def forward(self, values: Tensor) -> Tensor:
        """Return the normalised values, (N, L, C) or (N, C)."""
        normed: Tensor = self.norm(values.transpose(1, -1))
        return normed.transpose(1, -1)


# Makes a substitute of the module that it replaces and the shape of that module's input, which is
# empty for a module that is not called.
Factory = Callable[[nn.Module, Sequence[int]], nn.Module]


@dataclass(frozen=True)
class Kind:
    """Parts of one kind: how they are recognised, and their substitutes by name."""

    is_part: Callable[[nn.Module, nn.Module], bool]  # of a module and its parent
    substitutes: Mapping[str, Factory]


def _activation(*classes: type[nn.Module]) -> Callable[[nn.Module, nn.Module], bool]:
    return lambda module, parent: type(module) in classes and not _is_gated(parent)


def _is_gated(module: nn.Module) -> bool:
    """Return True if a module scales the channels of its input by a gate (Hu et al., 2018)."""
    name = type(module).__name__.lower()
    return "squeezeexcit" in name or name in {"semodule", "effectivesemodule"}


def _is_gate(module: nn.Module, parent: nn.Module) -> bool:
    return isinstance(module, nn.Sigmoid) and _is_gated(parent)


def _is_squeeze(module: nn.Module, _: nn.Module) -> bool:
    return _is_gated(module)


def _is_layer_norm(module: nn.Module, _: nn.Module) -> bool:
    return isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1


def _batch_norm(module: nn.Module, shape: Sequence[int]) -> nn.Module:
    """Return a BatchNorm that begins with the weights of a LayerNorm.

    Raises:
        ValueError: there is no such BatchNorm for that input.
    """
    if not isinstance(module, nn.LayerNorm):
        raise TypeError(f"expected a LayerNorm, found {type(module).__name__}")
    [channels] = module.normalized_shape
    last = not shape or _normalises_last(module, shape)
    if len(shape) == _IMAGE_AXES:
        new: nn.Module = ImageBatchNorm(channels, module.eps, channels_last=last)
    elif last and len(shape) <= _TOKEN_AXES:
        new = TokenBatchNorm(channels, module.eps)
    else:
        raise ValueError(f"no BatchNorm for an input of {len(shape)} axes")
    norm = new.norm
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)  # noqa: S101  # for mypy
    if module.elementwise_affine:
        norm.weight.data.copy_(module.weight.data)
        if module.bias is not None:
            norm.bias.data.copy_(module.bias.data)
    return new


def _normalises_last(module: nn.LayerNorm, shape: Sequence[int]) -> bool:
    """Return True if a LayerNorm normalises the last axis of an input, False for the second one.

    Its class does not say it: subclasses in torchvision and timm exist for both layouts.

    Raises:
        ValueError: it computes something else.
    """
    with torch.no_grad():
        values = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
        values = values.to(next(iter(module.parameters()), values).device)
        normalised = module(values)
        for axis in (-1, 1):
            moved = values.movedim(axis, -1)
            if moved.shape[-1:] != tuple(module.normalized_shape):
                continue
            expected = functional.layer_norm(
                moved, moved.shape[-1:], module.weight, module.bias, module.eps
            )
            if torch.allclose(normalised.movedim(axis, -1), expected, rtol=_CLOSE, atol=_CLOSE):
                return axis == -1
    raise ValueError(f"{type(module).__name__} normalises neither the last nor the second axis")


def _new(factory: Callable[[], nn.Module]) -> Factory:
    return lambda _module, _shape: factory()


_RELU6 = _new(lambda: nn.ReLU6(inplace=True))
_RELU = _new(lambda: nn.ReLU(inplace=True))
_HARD_SWISH = _new(lambda: nn.Hardswish(inplace=True))
_SMOOTH = {"ReLU6": _RELU6, "ReLU": _RELU, "hard swish": _HARD_SWISH}

# In the order in which they are decided: what gains most comes first.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "SiLU": Kind(_activation(nn.SiLU), _SMOOTH),
        "GELU": Kind(_activation(nn.GELU), _SMOOTH),
        "hard swish": Kind(_activation(nn.Hardswish), {"ReLU6": _RELU6, "ReLU": _RELU}),
        "squeeze-excite": Kind(_is_squeeze, {DROP: _new(nn.Identity)}),
        "gate": Kind(_is_gate, {"hard sigmoid": _new(lambda: nn.Hardsigmoid(inplace=True))}),
        "LayerNorm": Kind(_is_layer_norm, {"BatchNorm": _batch_norm}),
    }
)


def without_noise(network: nn.Module) -> nn.Module:
    """Turn dropout and stochastic depth of a network off, also in training.

    A student imitates a function without noise. With stochastic depth its answers in training are
    of other networks than the one that is exported. Modules stay, with a rate of zero, because
    networks read the rates of their modules and pass their own to functions.
    """
    for module in network.modules():
        is_noise = any(word in type(module).__name__.lower() for word in _NOISY)
        for name, value in list(vars(module).items()):
            is_rate = "drop" in name.lower() or (is_noise and name in _RATES)
            if is_rate and isinstance(value, float):
                setattr(module, name, 0.0)
    return network


def find(network: nn.Module) -> dict[str, list[str]]:
    """Return the paths of the parts of each kind, in the order of the network."""
    found: dict[str, list[str]] = {}
    for path, module, parent in _modules(network):
        for name, kind in KINDS.items():
            if kind.is_part(module, parent):
                found.setdefault(name, []).append(path)
    return {name: found[name] for name in KINDS if name in found}


def replaced(network: nn.Module, replacements: Iterable[Replacement], image: Tensor) -> nn.Module:
    """Return a copy of a network with substitutes; all other weights are the same.

    Args:
        network: in any mode, which is kept.
        replacements: plain values, perhaps of a file.
        image: (1, 3, H, W), to find the shapes of the parts' inputs.

    Raises:
        ValueError: a replacement names a kind, a substitute or a module that there is not, or a
            substitute cannot stand in the place of a module.
    """
    student = copy.deepcopy(network)
    replacements = list(replacements)
    present = {kind: set(paths) for kind, paths in find(network).items()}
    for each in replacements:
        if each.kind not in KINDS or each.by not in KINDS[each.kind].substitutes:
            raise ValueError(f"no substitute {each.by!r} for {each.kind!r}"[:200])
        if missing := set(each.paths) - present.get(each.kind, set()):
            raise ValueError(f"no {each.kind} at {min(missing)!r}"[:200])
    wanted = [path for each in replacements if each.kind == "LayerNorm" for path in each.paths]
    shapes = _input_shapes(network, wanted, image) if wanted else {}
    for each in replacements:
        make = KINDS[each.kind].substitutes[each.by]
        for path in each.paths:
            old = student.get_submodule(path)
            try:
                new = make(old, shapes.get(path, ()))
            except ValueError as error:
                raise ValueError(f"no {each.by} for {each.kind} at {path!r}: {error}") from error
            new.train(old.training)
            student.set_submodule(path, new)
    return student


def _modules(network: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Yield the path of each module, the module and its parent."""
    for parent_path, parent in network.named_modules():
        for name, module in parent.named_children():
            yield f"{parent_path}.{name}" if parent_path else name, module, parent


def _input_shapes(
    network: nn.Module, paths: Iterable[str], image: Tensor
) -> dict[str, tuple[int, ...]]:
    """Return the shape of the first input of some modules for one image."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], dict[str, Tensor]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            shapes[path] = tuple([*inputs, *named.values()][0].shape)

        return hook

    hooks = [
        network.get_submodule(path).register_forward_pre_hook(note(path), with_kwargs=True)
        for path in paths
    ]
    modes = {module: module.training for module in network.modules()}
    try:
        network.eval()
        with torch.inference_mode():
            network(image.to(next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return shapes
