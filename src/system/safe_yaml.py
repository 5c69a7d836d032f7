"""YAML with plain values only, limited to the size of a configuration."""

from __future__ import annotations

from typing import Any

import yaml

from src.errors import describe

MAX_VALUES = 100_000


def load(text: str) -> Any:
    """Return the plain values in ``text``.

    Raises:
        yaml.YAMLError: ``text`` is not YAML, or constructs other objects than plain values.
        ValueError: ``text`` has more than MAX_VALUES values, or a value that contains itself.
            YAML's aliases can multiply a few lines beyond any memory.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        raise
    except Exception as error:
        # PyYAML's constructors raise various errors for values of the wrong kind.
        raise ValueError(describe(error)) from error
    if _count(content) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    return content


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
