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

DROP = "drop"
_IMAGE_AXES = 4
_NOISY = {"StochasticDepth", "DropPath"}  # torchvision's and timm's


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


@dataclass(frozen=True)
class Kind:
    """Parts of one kind: how they are recognised, and their substitutes by name.

    A substitute gets the module that it replaces, the shape of that module's input, and whether its
    channels are the last axis.
    """

    is_part: Callable[[nn.Module, nn.Module], bool]  # of a module and its parent
    substitutes: Mapping[str, Callable[[nn.Module, Sequence[int]], nn.Module]]


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
    """Return a BatchNorm that begins with the weights of a LayerNorm."""
    if not isinstance(module, nn.LayerNorm):
        raise TypeError(f"expected a LayerNorm, found {type(module).__name__}")
    [channels] = module.normalized_shape
    if len(shape) == _IMAGE_AXES:
        # Subclasses such as torchvision's LayerNorm2d take (N, C, H, W).
        last = type(module) is nn.LayerNorm
        new: nn.Module = ImageBatchNorm(channels, module.eps, channels_last=last)
    else:
        new = TokenBatchNorm(channels, module.eps)
    norm = new.norm
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)  # noqa: S101  # for mypy
    if module.elementwise_affine:
        norm.weight.data.copy_(module.weight.data)
        if module.bias is not None:
            norm.bias.data.copy_(module.bias.data)
    return new


def _new(factory: Callable[[], nn.Module]) -> Callable[[nn.Module, Sequence[int]], nn.Module]:
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
    of other networks than the one that is exported.
    """
    for path, module, _ in list(_modules(network)):
        name = type(module).__name__
        if isinstance(module, nn.modules.dropout._DropoutNd) or name in _NOISY:  # noqa: SLF001
            network.set_submodule(path, nn.Identity())
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
        ValueError: a replacement names a kind, a substitute or a module that there is not.
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
            new = make(old, shapes.get(path, ()))
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

    def note(path: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            shapes[path] = tuple(inputs[0].shape)

        return hook

    hooks = [network.get_submodule(path).register_forward_pre_hook(note(path)) for path in paths]
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
