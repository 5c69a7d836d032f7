"""YAML with plain values only, limited to the size of a configuration."""

from __future__ import annotations

from typing import Any

import yaml

from src.errors import describe

MAX_VALUES = 100_000
_MERGE = "tag:yaml.org,2002:merge"
_DATE = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Reads dates as text, as the parser of the command line does: a folder may be called so."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class RepeatedKeyError(ValueError):
    """Raised for a mapping with a key twice, of which PyYAML takes the last one."""


def load(text: str) -> Any:
    """Return the plain values in ``text``.

    Raises:
        yaml.YAMLError: ``text`` is not YAML, or constructs other objects than plain values.
        RepeatedKeyError: a mapping has a key twice.
        ValueError: ``text`` has more than MAX_VALUES values, or a value that contains itself.
            YAML's aliases can multiply a few lines beyond any memory.
    """
    try:
        content = _content(text)
    except (yaml.YAMLError, RepeatedKeyError):
        raise
    except Exception as error:
        # PyYAML's constructors raise various errors for values of the wrong kind.
        raise ValueError(describe(error)) from error
    if _count(content) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    return content


def _content(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _require_different_keys(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _require_different_keys(top: yaml.Node) -> None:
    pending: list[yaml.Node] = [top]
    seen: set[int] = set()  # an alias is the node that it names
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                pending.append(value)
                # PyYAML merges what each << names.
                if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                    continue
                line, kind = key.start_mark.line + 1, (key.tag, key.value)  # 1 is not "1"
                if kind in lines:
                    raise RepeatedKeyError(f"{key.value} twice, on lines {lines[kind]} and {line}")
                lines[kind] = line


def _count(value: Any) -> int:
    """Count nested values up to MAX_VALUES + 1. An aliased value counts each time it is used."""
    pending, count = [value], 0
    while pending and count <= MAX_VALUES:
        item = pending.pop()
        count += 1
        if isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, list | tuple | set):
            pending += item
    return count
