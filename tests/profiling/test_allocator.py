"""Freed memory is returned to the system."""

from __future__ import annotations

import ctypes
import sys
import weakref
from pathlib import Path

import pytest

from src.profiling import allocator


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_reference_cycles_are_collected() -> None:
    reference = weakref.ref(Cycle())
    allocator.release_free_memory()
    assert reference() is None


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no glibc"
)
def test_freed_memory_leaves_the_resident_set() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    size = 64 * 1024  # below malloc's threshold for a separate mapping
    blocks = [libc.malloc(size) for _ in range(2000)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    # Keep the last block, so that free() alone cannot shrink the heap.
    for block in blocks[:-1]:
        libc.free(block)
    before = resident()
    allocator.release_free_memory()
    assert before - resident() > 1000 * size
    libc.free(blocks[-1])
