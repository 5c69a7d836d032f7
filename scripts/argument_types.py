"""Types of the scripts' arguments, for argparse."""

from __future__ import annotations

import argparse
import math


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
