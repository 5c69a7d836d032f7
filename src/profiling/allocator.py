"""Return of freed memory from the C library to the system."""

from __future__ import annotations

import ctypes
import gc
import sys


def release_free_memory() -> None:
    """Run the garbage collector, then return free memory to the system.

    glibc keeps freed memory for later allocations, and after a rare large one none follows.
    https://man7.org/linux/man-pages/man3/malloc_trim.3.html

    With other C libraries it only runs the garbage collector.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(ctypes.c_size_t(0))
