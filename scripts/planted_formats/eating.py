"""A runtime that eats memory until it is stopped."""

import numpy as np
from src.formats._broken import BrokenFormat


class Eating(BrokenFormat):
    def fail(self) -> None:
        hoard = []
        while True:
            hoard.append(np.ones(10_000_000))
