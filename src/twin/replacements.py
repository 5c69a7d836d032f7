"""Parts of a network that are slow in int8, and parts that may stand in their place.

Parts are found by their class, in any network; :mod:`src.twin.functional_calls` makes modules of
activations that are called as functions. A replacement is stored as plain values: the kind of the
part, the name of its substitute and the paths of the modules.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from src.twin.layer_norms import batch_norm

DROP, SQUEEZE, GATE = "drop", "squeeze-excite", "gate"
_GATED = "_lightship_scales_channels"  # attribute of a module that was marked
_RATES = {"p", "prob"}  # attributes of a module of noise: torch's and torchvision's, timm's
_NOISY = ("drop", "stochasticdepth")  # in the name of its class


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


# Makes a substitute of the module that it replaces and the shape of that module's input, which is
# empty for a module that is not called.
Factory = Callable[[nn.Module, Sequence[int]], nn.Module]


@dataclass(frozen=True)
class Kind:
    """Parts of one kind: how they are recognised, and their substitutes by name."""

    is_part: Callable[[nn.Module, bool], bool]  # of a module, and whether it is within a gated one
    substitutes: Mapping[str, Factory]


def _activation(which: type[nn.Module]) -> Callable[[nn.Module, bool], bool]:
    return lambda module, is_within: type(module) is which and not is_within


def _is_gated(module: nn.Module, _: bool = False) -> bool:
    """Return True if a module scales the channels of its input by a gate (Hu et al., 2018)."""
    name = type(module).__name__.lower()
    is_known = "squeezeexcit" in name or name in {"semodule", "effectivesemodule"}
    return is_known or hasattr(module, _GATED)


def _is_sigmoid(module: nn.Module, _: bool) -> bool:
    return isinstance(module, nn.Sigmoid)


def _is_layer_norm(module: nn.Module, _: bool) -> bool:
    return isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1


def _like(make: Callable[..., nn.Module]) -> Factory:
    """Return a factory of activations that work in place where the replaced one does.

    Otherwise a substitute could overwrite a tensor that is read elsewhere, or a part of one.
    Autograd refuses an operation in place on a result of ``chunk``.
    """
    return lambda module, _: make(inplace=bool(getattr(module, "inplace", False)))


_RELU6, _RELU, _HARD_SWISH = _like(nn.ReLU6), _like(nn.ReLU), _like(nn.Hardswish)
_SMOOTH = {"ReLU6": _RELU6, "ReLU": _RELU, "hard swish": _HARD_SWISH}

# In the order in which they are decided: what gains most comes first.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "SiLU": Kind(_activation(nn.SiLU), _SMOOTH),
        "GELU": Kind(_activation(nn.GELU), _SMOOTH),
        "hard swish": Kind(_activation(nn.Hardswish), {"ReLU6": _RELU6, "ReLU": _RELU}),
        SQUEEZE: Kind(_is_gated, {DROP: lambda _module, _shape: nn.Identity()}),
        GATE: Kind(_is_sigmoid, {"hard sigmoid": _like(nn.Hardsigmoid)}),
        "LayerNorm": Kind(_is_layer_norm, {"BatchNorm": batch_norm}),
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
    for path, module, is_in_gated in _modules(network):
        for name, kind in KINDS.items():
            if kind.is_part(module, is_in_gated):
                found.setdefault(name, []).append(path)
    return {name: found[name] for name in KINDS if name in found}


def mark_gated(module: nn.Module) -> None:
    """Mark a module as a squeeze-excite, whatever its class; a copy is marked as well."""
    setattr(module, _GATED, True)


def is_within(path: str, others: Iterable[str]) -> bool:
    """Return True if a module is a part of one of some others."""
    return any(path.startswith(f"{other}.") for other in others)


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
    shapes = input_shapes(network, wanted, image) if wanted else {}
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


def _modules(network: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Yield the path of each module, the module, and whether it is within a gated one.

    The modules within one that has two paths come once.
    """
    gated: list[str] = []
    for parent_path, parent in network.named_modules():
        if _is_gated(parent):
            gated.append(parent_path)
        for name, module in parent.named_children():
            path = f"{parent_path}.{name}" if parent_path else name
            yield path, module, is_within(path, gated)


def input_shapes(
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
