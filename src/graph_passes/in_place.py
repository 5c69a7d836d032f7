"""Find operations in place whose effect a rewrite could lose.

A torch.fx graph has an edge for each result that is read, but none for a tensor that is modified.
So the removal of unread nodes removes ``relu_(x)`` as a statement, and a rewrite that reads a
tensor later or earlier than the network did may read other values. A graph is safe if each
modified tensor is read by nothing but the operation that modifies it, whose result is read instead.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator

from torch import fx, nn

_VIEWS = {  # functions and methods whose result may share the memory of their first argument
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "ravel"),
    *("permute", "transpose", "t", "swapaxes", "swapdims", "movedim", "moveaxis"),
    *(
        "squeeze",
        "unsqueeze",
        "expand",
        "expand_as",
        "broadcast_to",
        "select",
        "narrow",
        "diagonal",
    ),
    *("getitem", "chunk", "split", "tensor_split", "unbind", "unfold", "as_strided", "real"),
    *("contiguous", "detach", "to", "float", "type", "type_as", "cpu", "alias", "getattr"),
    *(
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "stochastic_depth",
        "drop_path",
        "rearrange",
    ),
}
_VIEW_MODULES = (
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
_OPERATORS = {
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv),
    *(operator.imod, operator.ipow, operator.iand, operator.ior, operator.ixor, operator.imatmul),
    *(operator.ilshift, operator.irshift, operator.setitem, operator.delitem),
}
_ARITHMETIC = {
    *(operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg),
    *(operator.iadd, operator.isub, operator.imul, operator.ifloordiv, operator.imod),
}

_OF_SHAPE = {"size", "dim", "numel"}
_ATTRIBUTES = {"shape", "ndim", "dtype", "device"}  # they hold none of a tensor's values


class _Proxy(fx.Proxy):
    """A value that records ``+=`` as what it is: fx.Proxy records a sum in new memory."""


def _recorded(function: Callable[..., object]) -> Callable[[_Proxy, object], fx.Proxy]:
    def record(self: _Proxy, other: object) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return record


for _name_of in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul"):
    setattr(_Proxy, f"__{_name_of}__", _recorded(getattr(operator, _name_of)))


class Tracer(fx.Tracer):
    """Records each operation in place as one, ``+=`` as well."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)


def first_hazard(network: nn.Module) -> str | None:
    """Return the first call that modifies a tensor that is read elsewhere, or is not read itself.

    Return None if there is no such call.

    Args:
        network: in eval mode; torch.fx can trace it.
    """
    graph_module = fx.GraphModule(network, Tracer().trace(network))
    for node in graph_module.graph.nodes:
        for value in _modified(graph_module, node):
            sharing = _sharing(graph_module, value)
            is_read = any(each.op == "get_attr" or _readers(each) > 1 for each in sharing)
            if is_read or not node.users:
                return str(node.name)
    return None


def modified(graph_module: fx.GraphModule) -> set[fx.Node]:
    """Return all nodes whose results may be modified, also through a view."""
    return {
        sharing
        for node in graph_module.graph.nodes
        for value in _modified(graph_module, node)
        for sharing in _sharing(graph_module, value)
    }


def _modified(graph_module: fx.GraphModule, node: fx.Node) -> Iterator[fx.Node]:
    """Yield the tensors that ``node`` may modify."""
    given = [
        value
        for value in (*node.args, *node.kwargs.values())
        if isinstance(value, fx.Node) and not _is_of_shape(value)
    ]
    if node.op == "call_module":
        if _is_in_place(graph_module.get_submodule(str(node.target))):
            yield from given
    elif node.op in {"call_function", "call_method"}:
        out = node.kwargs.get("out")
        if out is not None:
            yield from (value for value in node.all_input_nodes if _contains(out, value))
        if _modifies_first(node):
            yield from (value for value in node.all_input_nodes[:1] if value in given)


def _is_in_place(module: nn.Module) -> bool:
    """Return True if a module may modify its input in eval mode, where dropout does nothing."""
    return any(
        getattr(part, "inplace", False) and not isinstance(part, _VIEW_MODULES)
        for part in module.modules()
    )


def _readers(node: fx.Node) -> int:
    """Return the number of calls that read the values of a result, and not only its shape."""
    return sum(not _reads_no_values(user) for user in node.users)


def _reads_no_values(node: fx.Node) -> bool:
    name = _name(node)
    return name in _OF_SHAPE or (name == "getattr" and node.args[1] in _ATTRIBUTES)


def _is_of_shape(node: fx.Node) -> bool:
    """Return True if a value is computed from a shape: it is a number, which has no aliases."""
    while True:
        name = _name(node)
        if name in _OF_SHAPE or (name == "getattr" and node.args[1:] == ("shape",)):
            return True
        before = node.all_input_nodes
        if node.op != "call_function" or len(before) != 1:
            return False
        if node.target is not operator.getitem and node.target not in _ARITHMETIC:
            return False
        node = before[0]


def _modifies_first(node: fx.Node) -> bool:
    name = _name(node)
    if name.endswith("_") and not name.endswith("__"):
        return True
    if node.op == "call_method":
        return name in {f"__{function.__name__}__" for function in _OPERATORS}
    return node.target in _OPERATORS or _is_told_inplace(node)


def _is_told_inplace(node: fx.Node) -> bool:
    """Return True if a function gets a true ``inplace``, by name or by position."""
    if "inplace" in node.kwargs:
        return node.kwargs["inplace"] is not False
    try:
        parameters = list(inspect.signature(node.target).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a function of C, which has no inplace
        return False
    if "inplace" not in parameters:
        return False
    position = parameters.index("inplace")
    return len(node.args) > position and node.args[position] is not False


def _sharing(graph_module: fx.GraphModule, value: fx.Node) -> Iterator[fx.Node]:
    """Yield a tensor, and those before it whose memory it may share."""
    yield value
    while _may_share_memory(graph_module, value) and value.all_input_nodes:
        value = value.all_input_nodes[0]
        yield value


def _may_share_memory(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    """Return True if the result of ``node`` may be a view of its first argument."""
    if node.op == "call_module":
        module = graph_module.get_submodule(str(node.target))
        return _is_in_place(module) or isinstance(module, _VIEW_MODULES)
    if node.op in {"call_function", "call_method"}:
        return _name(node) in _VIEWS or _modifies_first(node)
    return False


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _contains(value: object, node: fx.Node) -> bool:
    return value is node or (isinstance(value, list | tuple) and node in value)
