"""Hides instruction sets of the processor from a process, so that it computes as an older one.

Runtimes choose their kernels by the CPUID instruction. ``cpuid_mask.c`` answers that instruction in
a process that preloads it. The kernels for the older processor then run natively, so the answers
are those of such a processor. The speed is not.

It needs Linux on x86-64, CPUID faulting of the processor or virtual machine, and a C compiler.
https://man7.org/linux/man-pages/man2/arch_prctl.2.html
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal, get_args

from src.errors import one_line
from src.system import machine

# avx2: x86-64-v3, such as Haswell and Zen 2. avx512: the first server processors with AVX-512, such
# as Skylake-SP. avx512_vnni: AVX-512 with int8 dot products and without bfloat16 and AMX, such as
# Cascade Lake and Ice Lake.
InstructionSet = Literal["avx2", "avx512", "avx512_vnni"]
INSTRUCTION_SETS: tuple[InstructionSet, ...] = get_args(InstructionSet)

_SOURCE = Path(__file__).with_suffix(".c")
_BUILD_SECONDS = 60.0
_ARCH_SET_CPUID = 0x1012
_SYS_ARCH_PRCTL = 158  # on x86-64


class CannotHideError(Exception):
    """The instruction sets cannot be hidden here; the message is the reason."""


class NothingNewerError(CannotHideError):
    """The processor has nothing newer than the instruction set."""


def hiding(instruction_set: InstructionSet) -> dict[str, str]:
    """Return environment variables with which a new process sees no newer instruction set.

    The library is compiled at the first call; it is deleted when this process ends.

    Raises:
        CannotHideError: this is not possible here, or there is nothing to hide.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise CannotHideError("instruction sets are hidden on Linux on x86-64 only")
    present, visible = (
        set(machine.instruction_sets()),
        set(machine.OF_INSTRUCTION_SET[instruction_set]),
    )
    missing = sorted(visible - present)
    if missing:
        raise CannotHideError(f"this processor does not have {' and '.join(missing)}")
    if not present - visible:
        raise NothingNewerError(f"this processor has nothing newer than {instruction_set}")
    if not _can_fault():
        raise CannotHideError("this processor or virtual machine has no CPUID faulting")
    libraries = [str(_library()), os.environ.get("LD_PRELOAD", "")]
    return {machine.MASK_VARIABLE: instruction_set, "LD_PRELOAD": ":".join(filter(None, libraries))}


def require_effective() -> None:
    """Check that this process hides the sets that it was started to hide, if any.

    Raises:
        CannotHideError: the library was not loaded, or could not do its work.
    """
    wanted = os.environ.get(machine.MASK_VARIABLE)
    if wanted is None:
        return
    level = getattr(ctypes.CDLL(None), "lightship_cpuid_mask_level", lambda: 0)()
    if level == 0 or INSTRUCTION_SETS[level - 1] != wanted:
        raise CannotHideError("the library that hides instruction sets had no effect here")


def _can_fault() -> bool:
    """Return True if the kernel can make CPUID fault; the call sets what is set already."""
    return int(ctypes.CDLL(None).syscall(_SYS_ARCH_PRCTL, _ARCH_SET_CPUID, 1)) == 0


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lightship-cpuid-")


@functools.cache
def _library() -> Path:
    """Compile the library.

    Raises:
        CannotHideError: there is no C compiler, or it fails.
    """
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise CannotHideError("no C compiler: install gcc or clang, or name one in CC")
    path = Path(_folder().name, "cpuid_mask.so")
    command = [compiler, "-O2", "-fPIC", "-shared", "-o", str(path), str(_SOURCE)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_BUILD_SECONDS)
    except subprocess.CalledProcessError as error:
        message = one_line(error.stderr.decode(errors="replace"))[:300]
        raise CannotHideError(f"{compiler} failed: {message}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotHideError(f"{compiler} failed: {one_line(str(error))}") from error
    return path
