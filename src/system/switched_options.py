"""Options that mean something only beside a switch of the same stage."""

from __future__ import annotations

import dataclasses
from typing import Any

_NEEDS = "needs"


def needs(switch: str) -> dict[str, str]:
    """Return the metadata of a dataclass field that only counts if the field ``switch`` is set."""
    return {_NEEDS: switch}


def needing(options: type[Any]) -> dict[str, str]:
    """Return the switch of each option that needs one, by the name of the option."""
    return {
        field.name: field.metadata[_NEEDS]
        for field in dataclasses.fields(options)
        if _NEEDS in field.metadata
    }
