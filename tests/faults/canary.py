"""What a hostile file names to be called: whether it was is to be seen."""

from __future__ import annotations

sung: list[object] = []


def sing(*words: object, **more: object) -> None:
    """What no file may lead to."""
    sung.append((words, more))


class Bird:
    """What no file may make."""

    def __init__(self, *words: object, **more: object) -> None:
        sing(*words, **more)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return sing, ("unpickled",)
