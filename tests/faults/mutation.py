"""Seeded random changes of valid inputs, as in hostile or damaged files."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from src.run.reading import convert
from src.run.record import Record, Wrong

# Single values that have broken readers of files before.
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, -1e308, float("nan")),
    *(float("inf"), "", " ", "\0", "\n", "..", "../../../etc/passwd", "/etc/passwd", "a/b"),
    *("CON", "x" * 10_000, "\ud800", "\u202e", "<script>alert(1)</script>", "[red]x[/red]"),
    *("$x^$", "{0.__class__}", "%s%n", "'; DROP TABLE runs; --", "${HOME}", "`id`", "ok"),
    *([], {}, [[]], [None], {"": None}, {"__class__": "x"}, {"class_path": "os.system"}),
)
BYTES = (
    b"\0",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b"9" * 30,
    b"-",
    b"e999",
    b"\n",
    b"NaN",
)


def mutated(value: Any, chance: random.Random) -> Any:
    """Return a copy of a JSON value with 1 to 3 parts changed."""
    changed = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        _change(changed, chance)
    return changed


# Values that some field allows, at the edge of its range.
EDGES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 7, -1, 0.5, -0.0, 1e-12, 1e9, 1e12, 10**15, 2**62, 10**6),
    *("", " ", "a", "x" * 255, "x" * 5000, "=1+1", "ネコ\u200d", "_x", "-3", "1e400", "$x^$"),
    *("a\nb", "\x1b[2J", ":bomb:", "[red]x[/red]", "eager", "onnx_int8", "cpu", "cuda", [], {}),
)


def valid_mutation(value: Any, chance: random.Random, kind: type[Record]) -> Any:
    """Return a JSON value with 1 to 20 parts changed such that it is still read as ``kind``."""
    changes_left = chance.choice([1, 2, 5, 20])
    for _ in range(4 * changes_left):
        changed = copy.deepcopy(value)
        _change_plausibly(changed, chance)
        try:
            convert(changed, kind)
        except Wrong:
            continue
        value, changes_left = changed, changes_left - 1
        if not changes_left:
            break
    return value


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a copy of ``content`` with bytes changed, inserted, deleted or cut off."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            changed[at:at] = chance.choice(BYTES)
        elif kind == 2:
            del changed[at : at + chance.randint(1, 50)]
        elif chance.random() < 0.2:
            del changed[at:]
        else:
            end = chance.randrange(len(changed) + 1)
            changed[at:at] = changed[min(at, end) : max(at, end)][:200]
    return bytes(changed)


def as_json(value: Any, chance: random.Random) -> bytes:
    """Return JSON of a changed value; the text of every tenth is damaged too."""
    content = json.dumps(mutated(value, chance)).encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        return b"[" * 100_000 if chance.random() < 0.1 else damaged(content, chance)
    return content


def _change(value: Any, chance: random.Random) -> None:
    container: Any = value
    key: Any = None
    while True:
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        if not keys:
            break
        key = chance.choice(keys)
        inner = container[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.15:
            break
        container = inner
    if key is None or (not container):
        return
    kind = chance.randrange(5)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[str(chance.choice(HOSTILE))] = container.pop(key)
    elif kind == 2 and isinstance(container[key], int | float):
        container[key] = _other_number(container[key], chance)
    elif kind == 3 and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    else:
        container[key] = copy.deepcopy(chance.choice(HOSTILE))


def _change_plausibly(value: Any, chance: random.Random) -> None:
    container, key = chance.choice([*_items(value)])
    inner = container[key]
    kind = chance.randrange(6)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(inner, int | float):
        container[key] = chance.choice([-inner, inner * 10**6, int(inner), inner / 3])
    elif kind == 2 and isinstance(inner, list):
        container[key] = chance.choice([inner + copy.deepcopy(inner), inner[::-1], inner[:1]])
    elif kind == 3 and isinstance(inner, dict) and inner:
        inner[str(chance.choice(EDGES))] = copy.deepcopy(chance.choice([*inner.values()]))
    elif kind == 4 and isinstance(inner, dict):
        container[key] = dict(reversed(inner.items()))
    else:
        container[key] = copy.deepcopy(chance.choice(EDGES))


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every item in a nested value as (container, key)."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _items(value[key])


def _other_number(value: float, chance: random.Random) -> Any:
    # Python cannot convert a very large integer to float, which + 0.5 would do.
    return chance.choice(
        [-value, value * 10**9, value + (1 if abs(value) > 2**1000 else 0.5), str(value)]
    )
