"""Activations that a network calls as functions, made modules: parts like any other.

A module whose own code calls ``functional.silu``, ``functional.gelu``, ``functional.hardswish`` or
``torch.sigmoid`` is found by running the network. torch.fx records that code with all submodules as
leaves, so it need not be able to record the rest of the network. The module stays, with its class,
its attributes and its weights; its forward becomes the recorded one, in which the calls are those
of new submodules. ``x * sigmoid(x)`` is a SiLU. The code is recorded in eval mode, so dropout that
it calls as a function is off in training as well.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from src.errors import describe
from src.graph_passes import in_place
from src.system import os_errors

_ACTIVATIONS = {"silu", "gelu", "hardswish", "sigmoid"}
_PRODUCTS = {"mul", "mul_", "imul"}
_TOLERANCE = 1e-4  # of the logits, a share of the largest one
_SHOWN = 200  # characters of a library's message


class _UnreadableError(Exception):
    """The code of a module cannot be recorded; the message says why."""


@dataclass(frozen=True)
class AsModules:
    """A network whose activations are modules.

    Args:
        network: the given one itself if it calls none as a function; else a copy.
        left_out: why activations stay functions, by the module that calls them.
    """

    network: nn.Module
    left_out: dict[str, str] = field(default_factory=dict)


def as_modules(network: nn.Module, images: Tensor) -> AsModules:
    """Make modules of the activations that a network calls as functions.

    Args:
        network: in eval mode on the CPU; it is not changed.
        images: a few, (n, 3, H, W), to find the calls and to compare the logits on.
    """
    try:
        owners = _owners(copy.deepcopy(network), images)
    except Exception as error:  # of the network's own code
        return AsModules(network, {type(network).__name__: _reason(error)})
    if not owners:
        return AsModules(network)
    changed = copy.deepcopy(network)
    left_out = {}
    count = 0
    for path, owner in owners.items():
        module = changed.get_submodule(path)
        before = dict(module.named_children())
        try:
            _rewrite(module, owner.fixed())
            count += 1
        except Exception as error:  # tracing runs the network's own code, which may raise anything
            for name in dict(module.named_children()).keys() - before.keys():
                delattr(module, name)  # no part: it is not called
            left_out[path or type(network).__name__] = _reason(error)
    if not count:
        return AsModules(network, left_out)
    if (difference := _difference(network, changed, images)) is not None:
        reason = f"recorded by torch.fx, the network gives other logits ({difference})"
        return AsModules(network, {type(network).__name__: reason})
    return AsModules(changed, left_out)


def _reason(error: Exception) -> str:
    """Return why a module stays as it is, in one line; raise an error of the machine again."""
    if os_errors.explain(error) is not None:
        raise error
    return str(error) if isinstance(error, _UnreadableError) else describe(error)[:_SHOWN]


@dataclass
class _Owner:
    """The arguments with which a module was called that calls activations as functions."""

    forward: Callable[..., object]
    calls: list[tuple[tuple[object, ...], dict[str, object]]] = field(default_factory=list)

    def fixed(self) -> dict[str, object]:
        """Return the arguments that are no tensors, by name.

        Raises:
            _UnreadableError: they are not the same in all calls.
        """
        signature = inspect.signature(self.forward)
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            raise _UnreadableError("its forward takes any arguments")
        fixed: list[dict[str, object]] = []
        for args, kwargs in self.calls:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = bound.arguments.items()
            fixed.append({name: value for name, value in values if not isinstance(value, Tensor)})
        if any(values != fixed[0] for values in fixed):
            raise _UnreadableError("it is called with different arguments")
        for name, value in fixed[0].items():
            if value is not None and not isinstance(value, bool | int | float | str):
                raise _UnreadableError(f"its argument {name} is no tensor")
        return fixed[0]


class _Watch(TorchFunctionMode):
    """Notes the modules whose own code calls an activation as a function."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.owners: dict[str, _Owner] = {}
        self._running: list[tuple[str, nn.Module, tuple[object, ...], dict[str, object]]] = []
        for path, module in network.named_modules():
            module.register_forward_pre_hook(self._entering(path), with_kwargs=True)
            module.register_forward_hook(self._leave, always_call=True)

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            self._running.append((path, module, args, kwargs))

        return enter

    def _leave(self, *_: object) -> None:
        self._running.pop()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if _plain_name(func) in _ACTIVATIONS and self._running:
            path, module, given, named = self._running[-1]
            if not type(module).__module__.startswith("torch.nn."):
                owner = self.owners.setdefault(path, _Owner(module.forward))
                if not any(given is known for known, _ in owner.calls):
                    owner.calls.append((given, named))
        return func(*args, **(kwargs or {}))


class _Tracer(in_place.Tracer):
    """Records the code of one module."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _owners(network: nn.Module, images: Tensor) -> dict[str, _Owner]:
    """Run a network, which gets hooks, and return the modules that call activations, by path."""
    watch = _Watch(network)
    with torch.no_grad(), watch:
        network(images.clone())
    return watch.owners


def _rewrite(module: nn.Module, fixed: dict[str, object]) -> None:
    """Replace the forward of a module by its record, with modules for its activations.

    Args:
        module: in eval mode.
        fixed: its arguments that are no tensors.

    Raises:
        _UnreadableError: the record has no such call.
    """
    graph = _Tracer().trace(module, concrete_args=fixed or None)
    _accept(graph, fixed)
    count = sum([_replaced(module, graph, node) for node in list(graph.nodes)])
    if not count:
        raise _UnreadableError("torch.fx records no call that can be replaced")
    for node in graph.find_nodes(op="get_attr"):
        value = vars(module).get(str(node.target))
        if isinstance(value, Tensor):  # made by its code; a buffer moves with the module
            delattr(module, str(node.target))
            module.register_buffer(str(node.target), value, persistent=False)
    forward = type(fx.GraphModule(module, graph)).forward
    cls = type(module)
    kept = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    body = {"forward": forward, **kept}
    module.__class__ = type(cls.__name__, (cls,), body)


def _accept(graph: fx.Graph, fixed: Mapping[str, object]) -> None:
    """Give fixed arguments their own names again, and remove the checks of their values."""
    arguments = {}
    for node in graph.find_nodes(op="placeholder"):
        name = str(node.target).rpartition("_")[0]
        if name in fixed and str(node.target) not in fixed:
            node.target = name
            arguments[node] = name
    for argument in arguments:
        for check in list(argument.users):
            for node in (*check.users, check):
                if _plain_name(node.target) in {"assert", "assert_is_none", "eq"}:
                    graph.erase_node(node)


def _replaced(module: nn.Module, graph: fx.Graph, node: fx.Node) -> bool:
    """Replace one call of an activation by that of a new submodule, if it is one."""
    name = _plain_name(node.target)
    if node.op not in {"call_function", "call_method"} or name not in _ACTIVATIONS:
        return False
    values = dict(zip(("input", "inplace"), node.args, strict=False)) | dict(node.kwargs)
    options = {key: value for key, value in values.items() if key != "input"}
    value = values.get("input")
    if not isinstance(value, fx.Node) or any(
        isinstance(each, fx.Node) for each in options.values()
    ):
        return False
    if str(_name(node.target)).endswith("_"):
        options["inplace"] = True
    if name == "sigmoid":
        product = _swish(node, value)
        if product is not None:
            is_in_place = _name(product.target) != "mul" and product.args[0] is value
            _call(module, graph, product, "silu", nn.SiLU(inplace=is_in_place), value)
            graph.erase_node(node)
            return True
        if options:
            return False
        _call(module, graph, node, "sigmoid", nn.Sigmoid(), value)
        return True
    made = {"silu": nn.SiLU, "gelu": nn.GELU, "hardswish": nn.Hardswish}[name](**options)
    _call(module, graph, node, name, made, value)
    return True


def _swish(sigmoid: fx.Node, value: fx.Node) -> fx.Node | None:
    """Return the product of a sigmoid and its own input; None if it is used in another way."""
    if len(sigmoid.users) != 1 or str(_name(sigmoid.target)).endswith("_"):
        return None
    [product] = sigmoid.users
    is_product = product.op != "call_module" and _name(product.target) in _PRODUCTS
    factors = product.args
    if not is_product or product.kwargs or len(factors) != 2:  # noqa: PLR2004
        return None
    return product if set(factors) == {sigmoid, value} else None


def _call(
    module: nn.Module, graph: fx.Graph, node: fx.Node, name: str, part: nn.Module, value: fx.Node
) -> None:
    """Call a new submodule in the place of a node."""
    free, number = name, 1
    while hasattr(module, free):
        free, number = f"{name}_{number}", number + 1
    module.add_module(free, part.eval())
    with graph.inserting_before(node):
        new = graph.call_module(free, (value,))
    node.replace_all_uses_with(new)
    graph.erase_node(node)


def _name(target: object) -> str:
    return str(getattr(target, "__name__", target))


def _plain_name(target: object) -> str:
    """Return the name of a function without the underscores of operations in place."""
    return _name(target).strip("_")


def _difference(network: nn.Module, changed: nn.Module, images: Tensor) -> str | None:
    """Return how the logits differ; None if they do not."""
    with torch.no_grad():
        expected, logits = (copy.deepcopy(each)(images.clone()) for each in (network, changed))
    if expected.shape != logits.shape:
        return f"of shape {tuple(logits.shape)} instead of {tuple(expected.shape)}"
    difference = (logits - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
    if difference <= _TOLERANCE or not expected.isfinite().all():
        return None
    return f"by {difference:.2g} of the largest one"
