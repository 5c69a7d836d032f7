"""Move permutations of axes behind element-wise functions, and remove pairs that cancel."""

from __future__ import annotations

from torch import fx

from src.graph_passes import _graph


def rewrite(graph_module: fx.GraphModule) -> int:
    """Move and cancel until nothing changes. Return the number of removed permutations."""
    before = _count_permutations(graph_module)
    while _move(graph_module) or _cancel(graph_module):
        pass
    return before - _count_permutations(graph_module)


def _count_permutations(graph_module: fx.GraphModule) -> int:
    graph_module.graph.eliminate_dead_code()
    return sum(_graph.permutation_of(node) is not None for node in graph_module.graph.nodes)


def _move(graph_module: fx.GraphModule) -> bool:
    """Replace the first f(permute(x)) by permute(f(x)). Return False if there is none."""
    for node in list(graph_module.graph.nodes):
        order = _graph.permutation_of(node)
        value = _graph.input_of(node)
        user = _graph.only_user(node)
        if order is None or value is None or user is None:
            continue
        if not _graph.is_elementwise(graph_module, user):
            continue
        user.replace_input_with(node, value)
        after = _graph.insert_permutation(graph_module, user, order)
        for reader in list(user.users):
            if reader is not after:
                reader.replace_input_with(user, after)
        graph_module.graph.erase_node(node)
        return True
    return False


def _cancel(graph_module: fx.GraphModule) -> bool:
    """Replace the first permute(permute(x)) that equals x by x. Return False if there is none."""
    for node in list(graph_module.graph.nodes):
        second = _graph.permutation_of(node)
        inner = _graph.input_of(node)
        if second is None or inner is None:
            continue
        first = _graph.permutation_of(inner)
        value = _graph.input_of(inner)
        if first is None or value is None or len(first) != len(second):
            continue
        if [first[axis] for axis in second] == list(range(len(first))):
            _graph.bypass(graph_module, node, value)
            return True
    return False
