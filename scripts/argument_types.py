"""Types of the scripts' arguments, for argparse."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection
from pathlib import Path


def existing_file(text: str) -> Path:
    """Return the path of a file that is there.

    Raises:
        argparse.ArgumentTypeError: there is no file.
    """
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"expected a file, found none at {text}")
    return path


def positive(text: str) -> int:
    """Return a whole number of 1 or more.

    Raises:
        argparse.ArgumentTypeError: it is anything else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {text}")
    return int(text)


def positive_number(text: str) -> float:
    """Return a finite number above 0.

    Raises:
        argparse.ArgumentTypeError: it is anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def names_among(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return a type for names with commas between, each of them a known one."""

    def among(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(
                    f"expected names among {', '.join(known)}; found {word or 'nothing'}"
                )
        return words

    return among
