"""The stack that signals are handled on, as it was before OpenVINO replaced it.

Each OpenVINO plugin for CPUs gives the thread that loads it a signal stack of its own, puts back
the one before when it goes, and unmaps it. Where plugins do not go in the opposite order of their
coming, and no garbage collector promises that, the last one puts back a stack that is unmapped.
The next signal with a handler then ends the process with a segmentation fault, and one comes
whenever a child process ends.
https://github.com/openvinotoolkit/openvino/blob/master/src/plugins/intel_cpu/src/plugin.cpp
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

_DISABLE = 2  # SS_DISABLE of <signal.h>


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_ = (
        ("pointer", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within it a plugin may be loaded; after it this thread has the signal stack it had.

    A plugin that goes later finds another stack than its own, and leaves that alone.
    """
    if sys.platform != "linux":  # OpenVINO does it nowhere else
        yield
        return
    libc = ctypes.CDLL(None)
    before = _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        if libc.sigaltstack(ctypes.byref(before), None):
            # Too small for the registers that the plugin asked for (AMX): better none than one
            # that will be unmapped.
            libc.sigaltstack(ctypes.byref(_Stack(flags=_DISABLE)), None)
