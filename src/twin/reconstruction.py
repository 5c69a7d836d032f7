"""Layer-wise reconstruction: a student's layers are refitted to give the outputs of its teacher.

A student with other parts has the weights of layers that never saw such inputs. Each convolution
and linear layer behind a replaced part is fitted by least squares: its inputs are those of the
student, whose earlier layers are fitted already, and its outputs shall be those of the teacher. So
errors do not grow from layer to layer. Zhang et al. (2015, arXiv 1505.06798, section 3.2) fit
approximated layers so; He et al. (2017, arXiv 1707.06168) fit pruned ones. It needs no gradients.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from src.models.batch_norm_statistics import reestimate_statistics
from src.twin.layer_fit import Layer, fit

_FEWEST_IMAGES = 16
_SECONDS = 180.0  # for the passes over the images, unless sixteen images take longer
_BATCH = 32
_RATIO, _LEAST_RATIO = 16, 4  # samples for each weight of an output
_LEAST_SAMPLES, _FEWEST_SAMPLES, _MOST_SAMPLES = 2048, 4096, 32768
_MOST_INPUTS = 5 * 10**7  # of a layer, unless one sample an image has more: 400 MB
_MOST_OUTPUTS = 3 * 10**6  # of a layer, unless it needs more: 12 MB, kept for all layers at once
_MOST_SQUARES = 4608**2  # of all groups: 170 MB for 512 channels of 3 x 3


class _ReachedError(Exception):
    """Ends a forward pass at the layer whose input was wanted."""


def reconstruct(
    student: nn.Module,
    teacher: nn.Module,
    images: Tensor,
    device: torch.device,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Refit the layers behind the replaced parts, in the order in which they run.

    A layer keeps its weights if others do not lower its error on images that were held out. Each
    BatchNorm gets the statistics of its inputs in its turn, before the layers behind it are fitted.
    At least 16 images are used, and as many as three minutes of passes allow: the error on other
    images falls with their number, up to a thousand and more. Left as they are:
    layers that run more than once, share weights with others, pad in another way than by a number
    of zeros, have more weights for an output than a 3 x 3 convolution of 512 channels, or whose
    output's first axis is not that of the images.

    Args:
        student: with replaced parts, in eval mode; modules that it shares with the teacher have the
            same paths. It is changed in place.
        teacher: in eval mode.
        images: training images, (n, 3, H, W), in random order.
        device: on which both are run; afterwards they are on the CPU.
        clock: seconds.

    Returns:
        The number of refitted layers.
    """
    teacher.to(device)
    student.to(device)
    with torch.no_grad():
        steps = _steps(student, teacher, images[:2].to(device))
        layers = {step.path: Layer(step.module) for step in steps if _is_layer(step.module)}
        used = images[: _count(teacher, images, len(steps), device, clock)]
        expected = _outputs(teacher, layers, used, device)
        refitted = 0
        for step in steps:
            if step.path in expected:
                layer = layers[step.path]
                inputs = _inputs(student, step.module, layer, used, device)
                refitted += fit(layer, inputs, expected.pop(step.path).to(device))
                if step.norm is not None:
                    _set_statistics(step.norm, layer(inputs))
            elif isinstance(step.module, _BatchNorm):
                _estimate(student, step.module, used, device)
        reestimate_statistics(student, images)
    teacher.cpu()
    student.cpu()
    return refitted


@dataclass(frozen=True)
class _Step:
    """A layer to fit with the norm that directly follows it, or a norm on its own."""

    path: str
    module: nn.Module
    norm: _BatchNorm | None = None


def _steps(student: nn.Module, teacher: nn.Module, images: Tensor) -> list[_Step]:
    """Return the layers and norms behind the first replaced part, in order."""
    order: list[str] = []
    # Outputs of layers, kept so that no id comes again, and their versions: what is done in place
    # keeps the tensor.
    made: dict[int, tuple[str, Tensor, int]] = {}
    follows: dict[str, str] = {}  # the layer before a norm
    others: set[str] = set()  # layers of windows or of a sequence that comes first

    def note(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            order.append(path)
            if _is_layer(module):
                made[id(output)] = (path, output, output._version)  # noqa: SLF001  # no public one
                if len(output) != len(images):
                    others.add(path)
            elif inputs and id(inputs[0]) in made and isinstance(module, _BatchNorm):
                layer, tensor, version = made[id(inputs[0])]
                has_channels = tensor.ndim in {2, 4} and tensor.shape[1] == module.num_features
                if has_channels and tensor._version == version:  # noqa: SLF001
                    follows[path] = layer

        return hook

    modules = dict(student.named_modules())
    with _hooks({path: note(path) for path in modules}, modules):
        student(images)
    kept = dict(teacher.named_modules())
    is_new = {path for path, module in modules.items() if type(kept.get(path)) is not type(module)}
    first = next((number for number, path in enumerate(order) if path in is_new - {""}), len(order))
    once = [path for path in order[first:] if order.count(path) == 1]
    shared = _shared(student)
    fitted = {
        path
        for path in once
        if path not in is_new | others
        and _is_layer(modules[path])
        and not shared & set(map(id, modules[path].parameters()))
    }
    norms = {path: module for path in once if _is_tracking(module := modules[path])}
    behind = {follows[path]: path for path in norms if follows.get(path) in fitted}
    return [
        _Step(path, modules[path], norms[behind[path]] if path in behind else None)
        for path in once
        if path in fitted or (path in norms and path not in behind.values())
    ]


def _is_tracking(module: nn.Module) -> TypeGuard[_BatchNorm]:
    return isinstance(module, _BatchNorm) and module.track_running_stats


def _is_layer(module: nn.Module) -> bool:
    """Return True for layers that compute what their class computes, by weights of their own."""
    if type(module) is nn.Conv2d:
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            return False
    elif type(module) is not nn.Linear:
        return False
    if not isinstance(module.weight, nn.Parameter):
        return False
    layer = Layer(module)
    return layer.groups * layer.fan_in**2 <= _MOST_SQUARES


def _shared(network: nn.Module) -> set[int]:
    """Return the ids of parameters that several modules have."""
    seen: set[int] = set()
    shared: set[int] = set()
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            (shared if id(parameter) in seen else seen).add(id(parameter))
    return shared


def _count(
    teacher: nn.Module,
    images: Tensor,
    passes: int,
    device: torch.device,
    clock: Callable[[], float],
) -> int:
    """Return how many images the time allows; each pass ends at its layer, so half of it counts."""
    few = images[:_FEWEST_IMAGES].to(device)
    started = clock()
    teacher(few).cpu()  # waits for a GPU
    seconds = (clock() - started) / len(few) * passes / 2
    return max(_FEWEST_IMAGES, int(_SECONDS / max(seconds, 1e-9)))


def _outputs(
    teacher: nn.Module, layers: Mapping[str, Layer], images: Tensor, device: torch.device
) -> dict[str, Tensor]:
    """Return the teacher's outputs of each layer, (samples, channels), on the CPU."""
    parts: dict[str, list[Tensor]] = {path: [] for path in layers}

    def keep(path: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            layer = layers[path]
            if not parts[path]:
                layer.draw(output, len(images), math.ceil(_samples(layer) / len(images)))
            first = sum(map(len, parts[path]))
            parts[path].append(layer.outputs(output, first).cpu())

        return hook

    with _hooks({path: keep(path) for path in layers}, dict(teacher.named_modules())):
        for batch in _batches(images):
            teacher(batch.to(device))
    return {path: torch.cat(parts.pop(path)).flatten(0, 1) for path in [*parts] if parts[path]}


def _samples(layer: Layer) -> int:
    """Return how many samples a layer is fitted to."""
    least = max(_LEAST_RATIO * layer.fan_in, _LEAST_SAMPLES)
    stored = max(_MOST_OUTPUTS // layer.channels, least)
    wanted = min(max(_RATIO * layer.fan_in, _FEWEST_SAMPLES), stored, _MOST_SAMPLES)
    return min(wanted, _MOST_INPUTS // (layer.groups * layer.fan_in))


def _inputs(
    student: nn.Module, module: nn.Module, layer: Layer, images: Tensor, device: torch.device
) -> Tensor:
    """Return the student's inputs of a layer at the same positions: see :meth:`Layer.inputs`."""
    parts: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        [first, *_others] = [*inputs, *named.values()]
        parts.append(layer.inputs(first, sum(map(len, parts))))
        raise _ReachedError

    _run(student, module.register_forward_pre_hook(keep, with_kwargs=True), images, device)
    return torch.cat(parts).flatten(0, 1)


def _set_statistics(norm: _BatchNorm, values: Tensor) -> None:
    """Set the statistics of a norm to those of values, (samples, channels)."""
    variance, mean = torch.var_mean(values, dim=0)
    norm.running_mean.copy_(mean)  # type: ignore[union-attr]
    norm.running_var.copy_(variance)  # type: ignore[union-attr]


def _estimate(student: nn.Module, norm: _BatchNorm, images: Tensor, device: torch.device) -> None:
    """Give a norm the statistics of its inputs, the mean over all batches."""

    def end(*_: object) -> None:
        raise _ReachedError

    momentum = norm.momentum
    norm.reset_running_stats()
    norm.momentum = None
    norm.train()
    _run(student, norm.register_forward_hook(end), images, device)
    norm.eval()
    norm.momentum = momentum


def _run(network: nn.Module, hook: RemovableHandle, images: Tensor, device: torch.device) -> None:
    """Run a network on batches, each as far as a hook lets it, and remove the hook."""
    try:
        for batch in _batches(images):
            with suppress(_ReachedError):
                network(batch.to(device))
    finally:
        hook.remove()


def _batches(images: Tensor) -> Sequence[Tensor]:
    """Return images in equal parts: a BatchNorm cannot train with a single value per channel."""
    return torch.tensor_split(images, math.ceil(len(images) / _BATCH))


@contextmanager
def _hooks(
    hooks: Mapping[str, Callable[..., None]], modules: Mapping[str, nn.Module]
) -> Iterator[None]:
    """Call hooks after the forward passes of some modules, by path, within a block."""
    handles = [modules[path].register_forward_hook(hook) for path, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
