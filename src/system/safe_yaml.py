"""YAML of plain values only, as much of it as a configuration has."""

from __future__ import annotations

from typing import Any

import yaml

from src.errors import describe

MOST_VALUES = 100_000


def load(text: str) -> Any:
    """The plain values in ``text``.

    Raises:
        yaml.YAMLError: it is no YAML, or asks for other things than plain values.
        ValueError: it holds more values than a configuration, or itself: an alias of YAML may
            multiply a few lines beyond any memory.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        raise
    except Exception as error:
        # Its constructors raise whatever a value of the wrong kind leads them to.
        raise ValueError(describe(error)) from error
    if _count(content) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES} values")
    return content


def _count(value: Any) -> int:
    """How many values there are in it, an alias each time; no further than the most."""
    pending, count = [value], 0
    while pending and count <= MOST_VALUES:
        each = pending.pop()
        count += 1
        if isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, list | tuple | set):
            pending += each
    return count
