"""A runtime that never returns."""

import time

from src.formats._broken import BrokenFormat


class Endless(BrokenFormat):
    def fail(self) -> None:
        time.sleep(1_000_000)
