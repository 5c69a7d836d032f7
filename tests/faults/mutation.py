"""Inputs that are nearly right: changed at random, by a seed, as a hostile or damaged file is."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from src.run.reading import convert
from src.run.record import Record, Wrong

# What has broken a reader of files before, as single values.
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
    """A JSON value with one to three of its parts changed."""
    changed = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        _change(changed, chance)
    return changed


# What is allowed somewhere, and at an edge of it.
EDGES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 7, -1, 0.5, -0.0, 1e-12, 1e9, 1e12, 10**15, 2**62, 10**6),
    *("", " ", "a", "x" * 255, "x" * 5000, "=1+1", "ネコ\u200d", "_x", "-3", "1e400", "$x^$"),
    *("a\nb", "\x1b[2J", ":bomb:", "[red]x[/red]", "eager", "onnx_int8", "cpu", "cuda", [], {}),
)


def within(value: Any, chance: random.Random, kind: type[Record]) -> Any:
    """A JSON value with one to twenty of its parts changed that is still read as ``kind``."""
    wanted = chance.choice([1, 2, 5, 20])
    for _ in range(4 * wanted):
        changed = copy.deepcopy(value)
        _change_within(changed, chance)
        try:
            convert(changed, kind)
        except Wrong:
            continue
        value, wanted = changed, wanted - 1
        if not wanted:
            break
    return value


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes of which some are changed, put in, left out or cut off."""
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
    """JSON of a changed value, now and then damaged as text as well."""
    content = json.dumps(mutated(value, chance)).encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        return b"[" * 100_000 if chance.random() < 0.1 else damaged(content, chance)
    return content


def _change(value: Any, chance: random.Random) -> None:
    holder: Any = value
    key: Any = None
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = chance.choice(keys)
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.15:
            break
        holder = inner
    if key is None or (not holder):
        return
    kind = chance.randrange(5)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[str(chance.choice(HOSTILE))] = holder.pop(key)
    elif kind == 2 and isinstance(holder[key], int | float):
        holder[key] = _other_number(holder[key], chance)
    elif kind == 3 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[key] = copy.deepcopy(chance.choice(HOSTILE))


def _change_within(value: Any, chance: random.Random) -> None:
    holder, key = chance.choice([*_places(value)])
    inner = holder[key]
    kind = chance.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(inner, int | float):
        holder[key] = chance.choice([-inner, inner * 10**6, int(inner), inner / 3])
    elif kind == 2 and isinstance(inner, list):
        holder[key] = chance.choice([inner + copy.deepcopy(inner), inner[::-1], inner[:1]])
    elif kind == 3 and isinstance(inner, dict) and inner:
        inner[str(chance.choice(EDGES))] = copy.deepcopy(chance.choice([*inner.values()]))
    elif kind == 4 and isinstance(inner, dict):
        holder[key] = dict(reversed(inner.items()))
    else:
        holder[key] = copy.deepcopy(chance.choice(EDGES))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything in a value: what holds it, and under which name or number."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _other_number(value: float, chance: random.Random) -> Any:
    # A whole number can be too large for a fraction to be added.
    return chance.choice(
        [-value, value * 10**9, value + (1 if abs(value) > 2**1000 else 0.5), str(value)]
    )
