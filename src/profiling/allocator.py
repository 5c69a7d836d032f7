"""The memory that a process has freed and the C library keeps for it."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Collect what nothing refers to, and return what is free to the system.

    glibc keeps freed memory for the next allocation of its size, and after something large and
    rare none comes. https://man7.org/linux/man-pages/man3/malloc_trim.3.html

    Elsewhere than in glibc it collects only.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(ctypes.c_size_t(0))
