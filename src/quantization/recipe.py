"""The part of a recipe that every runtime has."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """One way of making an int8 model. Each runtime has a subclass with its own settings."""

    kept_in_float: tuple[str, ...] = field(default=(), kw_only=True)  # names of layers

    @property
    def float_layers(self) -> str:
        """The number of layers in float in words, empty if there are none."""
        count = len(self.kept_in_float)
        if not count:
            return ""
        return f"{count} {'node' if count == 1 else 'nodes'} in float"
