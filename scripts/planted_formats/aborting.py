"""A runtime that aborts, as one does in native code."""

import os

from src.formats._broken import BrokenFormat


class Aborting(BrokenFormat):
    def fail(self) -> None:
        os.abort()
