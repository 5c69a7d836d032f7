"""Parallel map that keeps few results in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from src.system import machine

_AHEAD = 2  # items a core that are begun before their result is asked for

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items.

    Pillow decodes without the interpreter lock. Unlike ``Executor.map``, which begins all items at
    once, this holds the results of a few items, which may be decoded images of 100 MB each.
    """
    cores = machine.usable_cores()
    with ThreadPoolExecutor(cores) as pool:
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > _AHEAD * cores:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
