"""The name of an architecture on the command line, such as ``timm/convnext_nano.in12k_ft_in1k``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Self

from src.errors import UsageError
from src.models import builders

_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Architecture:
    """A classifier of a library, and the published weights to start from.

    Args:
        builder: see :mod:`src.models.builders`.
        published: name of published weights; empty if none are named.
    """

    builder: str
    published: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``LIBRARY/NAME`` or ``LIBRARY/NAME.WEIGHTS``.

        Raises:
            UsageError: the library is unknown or not installed, or has no such network or weights.
        """
        library, slash, rest = text.partition("/")
        if not slash or library not in builders.LIBRARIES:
            raise UsageError(
                "model",
                expected=" or ".join(f"{each}/NAME" for each in builders.LIBRARIES),
                found=text or "nothing",
                remedy="for example model=torchvision/mobilenet_v3_small",
            )
        name, _, published = rest.partition(".")
        names = _names(library)
        if name not in names:
            raise UsageError(
                "model",
                expected=f"one of the {len(names)} classifiers of {library}",
                found=rest or "nothing",
                remedy=_remedy(library, name, names),
            )
        known = builders.LIBRARIES[library].tags(name) if published else []
        if published and published not in known:
            raise UsageError(
                "model",
                expected=f"weights of {library}/{name}: {', '.join(known) or 'it has none'}",
                found=published,
                remedy=f"set model={library}/{name} for random weights",
            )
        return cls(name if library == builders.TORCHVISION else f"{library}/{name}", published)


def _names(library: str) -> list[str]:
    try:
        return builders.names(library)
    except ModuleNotFoundError as error:
        raise UsageError(
            "model",
            expected=f"the package {library}, for a network of it",
            found="it is not installed",
            remedy=f"scripts/environment --install {library}, or pip install {library}",
        ) from error


def _remedy(library: str, name: str, names: list[str]) -> str:
    """Return the names that are most similar, first those that begin alike."""
    close = difflib.get_close_matches(name, names, n=_SHOWN, cutoff=0.5)
    begun = [known for known in names if name and known.startswith(name)]
    similar = list(dict.fromkeys([*begun, *close]))[:_SHOWN]
    if not similar:
        return f"see the documentation of {library}"
    return f"did you mean {', '.join(f'{library}/{known}' for known in similar)}?"
