"""Function and class that hostile files name; a call of either is recorded."""

from __future__ import annotations

calls: list[object] = []


def record_call(*args: object, **options: object) -> None:
    """Record a call, which no file may cause."""
    calls.append((args, options))


class Canary:
    """Class that no file may create an object of."""

    def __init__(self, *args: object, **options: object) -> None:
        record_call(*args, **options)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return record_call, ("unpickled",)
